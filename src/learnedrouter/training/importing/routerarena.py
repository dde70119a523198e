"""RouterArena's results (https://github.com/RouteWorks/RouterArena): a record per query and model.

Three shapes are read, from one file or from a folder of them, and joined by query: a model's cached results
(``global_index``, ``question``, ``llm_selected``, ``evaluation_result`` with ``score`` and ``inference_cost``), a
router's predictions (``global index``, ``prompt``, ``prediction``, ``accuracy``, ``cost``), and a flat table with
``global_index``, ``prompt``, ``model``, ``score``, ``cost``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from learnedrouter.errors import DatasetError
from learnedrouter.training.importing import outcomes
from learnedrouter.training.importing.records import Item, Record

_QUERY = ("global_index", "global index", "Global Index")
_PROMPT = ("question", "prompt", "prompt_formatted")
_MODEL = ("llm_selected", "prediction", "model")
_SCORE = ("score", "accuracy")
_COST = ("inference_cost", "cost")


@dataclass(frozen=True, slots=True)
class _Query:
    first: Record
    prompt: str
    scores: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)


def convert(items: Iterable[Item]) -> Iterator[Item]:
    """Yield what cannot be used, then an outcomes row a query, with all of its models."""
    queries: dict[str, _Query] = {}
    for item in items:
        try:
            if isinstance(item, DatasetError):
                raise item
            _add(queries, item)
        except DatasetError as problem:
            yield problem
    for name, query in queries.items():
        yield outcomes.row(query.first, name, query.prompt, query.scores, query.costs, name.rpartition("_")[0] or name)


def _add(queries: dict[str, _Query], record: Record) -> None:
    judged = record.values.get("evaluation_result")
    values = {**record.values, **judged} if isinstance(judged, Mapping) else record.values
    name, model = str(_first(record, values, _QUERY)), str(_first(record, values, _MODEL))
    prompt = outcomes.text(record, _first(record, values, _PROMPT), "prompt")
    score = _first(record, values, _SCORE)
    cost = next((values[key] for key in _COST if key in values), None)
    outcomes.row(record, name, prompt, {model: score}, {model: cost}, name)  # refuses a bad score here, where its line is known
    query = queries.get(name) or _Query(record, prompt)
    place = f"{query.first.path}:{query.first.line}"
    if query.prompt.split() != prompt.split():
        raise DatasetError(record.path, record.line, f"the prompt of {name!r} differs from that at {place}")
    if model in query.scores:
        raise DatasetError(record.path, record.line, f"a score of {model!r} for {name!r} was read already; the query stands at {place}")
    queries[name] = query
    query.scores[model], query.costs[model] = score, cost


def _first(record: Record, values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = next((values[name] for name in names if values.get(name) not in (None, "")), None)
    if found is None:
        raise DatasetError(record.path, record.line, f"expected {' or '.join(map(repr, names))}, found none that is filled")
    return found
