"""Deciding for files of requests, without calling any model."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from learnedrouter.ask import Ask, extract_ask
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.rows import lines, parse_object, parse_request
from learnedrouter.tiers import decide_tier, decide_unfamiliar

_CHUNK = 256


def decisions(classifier: TierClassifier, file: Iterable[bytes], name: Path) -> Iterator[dict[str, Any]]:
    """Yield a decision for each request of a file, in order.

    Parameters
    ----------
    file
        Lines of JSON.
    name
        What errors call the file.

    Raises
    ------
    DatasetError
        A line is no request; decisions for the chunks before it have been given.
    """
    requests = (_identified(name, line, raw) for line, raw in lines(file))
    while chunk := list(islice(requests, _CHUNK)):
        yield from _decide(classifier, chunk)


def _identified(name: Path, line: int, raw: bytes) -> tuple[Any, Ask]:
    value = parse_object(name, line, raw)
    return value.get("id", line), extract_ask(parse_request(name, line, value))


def _decide(classifier: TierClassifier, chunk: list[tuple[Any, Ask]]) -> Iterator[dict[str, Any]]:
    ladder, everything = classifier.ladder, range(len(classifier.ladder))
    assessment = classifier.assess([ask for _, ask in chunk])
    columns = (assessment.sufficiency, assessment.predicted, assessment.unfamiliar)
    told = zip(chunk, *(column.tolist() for column in columns), assessment.answered_by, strict=True)
    for (identity, _), sufficiency, predicted, unfamiliar, encoder in told:
        if unfamiliar:
            tier, reasons = decide_unfamiliar(len(ladder), everything)
        else:
            tier, reasons = decide_tier(sufficiency, predicted, classifier.threshold, everything)
        yield {
            "id": identity,
            "tier": ladder.names[tier],
            "predicted_tier": ladder.names[predicted],
            "sufficiency": dict(zip(ladder.names, (round(value, 6) for value in sufficiency), strict=True)),
            "confidence": round(sufficiency[tier], 6),
            "reasons": list(reasons),
            "encoder": encoder,
        }
