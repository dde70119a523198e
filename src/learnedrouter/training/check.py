"""Checking a data set: what is in it, what is wrong with it, and what looks wrong.

Errors make figures untrue and must be repaired: rows that cannot be used, groups or near-duplicates in two splits.
Warnings are for eyes: near-duplicates in one split, near-duplicates that are labelled otherwise, suspicious labels.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from learnedrouter.classifier.features import FloatArray
from learnedrouter.errors import DatasetError, InputError
from learnedrouter.tiers import Ladder
from learnedrouter.training.dataset import LabelledRow, files, home, read, straddlers
from learnedrouter.training.neighbours import Pair, near_pairs
from learnedrouter.training.suspects import suspects

WORD_LENGTHS = ((0, 5), (5, 15), (15, 40), (40, 120), (120, 400), (400, 2_000), (2_000, None))
"""Bounds of the length classes, in words of the newest ask; the upper one is not in the class."""

_SHOWN_CHARACTERS = 110

Embed = Callable[[Sequence[LabelledRow]], FloatArray]
"""Gives the embeddings of rows, ``(n, d)``, of unit length."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What `check` found.

    Parameters
    ----------
    files
        The files, in the order of reading.
    rows
        Rows that can be used.
    counts
        By heading (split, language, slice, family, words), by name: rows of each tier.
    tiers
        Rows by tier.
    problems
        Rows that cannot be used, exact duplicates and contradicting labels among them: place and reason.
    straddling
        Rows whose group is in another split as well: place and reason.
    leakage
        Near-duplicates in two splits.
    conflicts
        Near-duplicates of two groups that share no acceptable tier.
    near_duplicates
        Other near-duplicates of two groups.
    variations
        How many near-duplicates are of one group, as they may be.
    suspects
        Rows whose label a model trained without them disagrees with.
    skipped
        What was not looked for, and why.
    """

    files: Sequence[str]
    rows: int
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    tiers: Mapping[str, int]
    problems: Sequence[Mapping[str, Any]]
    straddling: Sequence[Mapping[str, Any]]
    leakage: Sequence[Mapping[str, Any]] = ()
    conflicts: Sequence[Mapping[str, Any]] = ()
    near_duplicates: Sequence[Mapping[str, Any]] = ()
    variations: int = 0
    suspects: Sequence[Mapping[str, Any]] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """How many findings must be repaired before any figure on this data means something."""
        return len(self.problems) + len(self.straddling) + len(self.leakage)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"errors": self.errors} | asdict(self)


def check(paths: Iterable[Path], ladder: Ladder, embed: Embed | None) -> Findings:
    """Check data files.

    Parameters
    ----------
    paths
        Files, or folders whose ``*.jsonl`` are read.
    embed
        Gives embeddings; None leaves out what needs them.

    Raises
    ------
    DatasetError
        A path does not exist, or there is no row at all, good or bad.
    """
    read_files = files(paths)
    rows, problems = read(read_files, ladder)
    if not rows and not problems:
        raise DatasetError(", ".join(map(str, read_files)), None, "holds no rows; expected one JSON object a line")
    pairs: list[Pair] = []
    suspected: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    if embed is None or not rows:
        reason = "embeddings were left out" if embed is None else "no row can be used"
        skipped = dict.fromkeys(("near-duplicates", "suspicious labels"), reason)
    else:
        embeddings = embed(rows)
        pairs = near_pairs(embeddings)
        try:
            suspected = _suspects(rows, embeddings, ladder)
        except InputError as error:
            skipped["suspicious labels"] = str(error)
    sorted_pairs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("leakage", "conflicts", "near_duplicates", "variations")}
    for pair in pairs:
        sorted_pairs[_kind(rows[pair.first], rows[pair.second])].append(_shown_pair(rows, pair, ladder))
    return Findings(
        files=[str(path) for path in read_files],
        rows=len(rows),
        counts=counts(rows, ladder),
        tiers={name: sum(row.tier == tier for row in rows) for tier, name in enumerate(ladder.names)},
        problems=[_listed(problem) for problem in problems],
        straddling=[_listed(problem) for problem in straddlers(rows)],
        leakage=sorted_pairs["leakage"],
        conflicts=sorted_pairs["conflicts"],
        near_duplicates=sorted_pairs["near_duplicates"],
        variations=len(sorted_pairs["variations"]),
        suspects=suspected,
        skipped=skipped,
    )


def counts(rows: Sequence[LabelledRow], ladder: Ladder) -> dict[str, dict[str, dict[str, int]]]:
    """Return, by heading and name, how many rows each tier has; names by size, lengths by length."""
    headings: dict[str, Callable[[LabelledRow], Iterable[str]]] = {
        "split": lambda row: (home(row),),
        "words": lambda row: (length_class(row),),
        "language": lambda row: (row.language,),
        "slice": lambda row: row.slices or ("none",),
        "family": lambda row: (row.family,),
    }
    found: dict[str, dict[str, dict[str, int]]] = {}
    for heading, names_of in headings.items():
        tally = Counter((name, row.tier) for row in rows for name in names_of(row))
        totals = Counter({name: sum(tally[name, tier] for tier in range(len(ladder))) for name, _ in tally})
        order = [name for name, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))]
        if heading == "words":
            order = [name for bounds in WORD_LENGTHS if (name := _length_name(*bounds)) in totals]
        found[heading] = {name: {tier: tally[name, place] for place, tier in enumerate(ladder.names)} for name in order}
    return found


def length_class(row: LabelledRow) -> str:
    """Return the class of length that a row's newest ask is of."""
    length = words(row)
    return next(_length_name(low, high) for low, high in WORD_LENGTHS if high is None or length < high)


def words(row: LabelledRow) -> int:
    """Return the words of a row's newest ask; where its middle was cut out, scaled to what there was."""
    kept = len(row.ask.text.split())
    return kept * row.ask.characters // len(row.ask.text) if row.ask.truncated else kept


def _length_name(low: int, high: int | None) -> str:
    return f"{low:,} and more" if high is None else f"{low:,} to {high - 1:,}"


def _kind(one: LabelledRow, other: LabelledRow) -> str:
    if one.group == other.group:
        return "variations"
    if home(one) != home(other):
        return "leakage"
    return "near_duplicates" if one.acceptable & other.acceptable else "conflicts"


def _suspects(rows: Sequence[LabelledRow], embeddings: FloatArray, ladder: Ladder) -> list[dict[str, Any]]:
    return [
        _shown(rows[suspect.row], ladder)
        | {
            "predicted": ladder.names[suspect.predicted],
            "predicted_probability": round(suspect.predicted_probability, 4),
            "label_probability": round(suspect.own_probability, 4),
        }
        for suspect in suspects(rows, embeddings)
    ]


def _shown_pair(rows: Sequence[LabelledRow], pair: Pair, ladder: Ladder) -> dict[str, Any]:
    """Return a pair for eyes; a small share of shared words says that the encoder cannot tell two texts apart, as in foreign alphabets."""
    cosine = float(np.round(pair.cosine, 4))
    one, other = (set(rows[place].ask.reading.lower().split()) for place in (pair.first, pair.second))
    shared = round(len(one & other) / max(len(one | other), 1), 4)
    first, second = (_shown(rows[place], ladder) for place in (pair.first, pair.second))
    return {"cosine": cosine, "shared_words": shared, "first": first, "second": second}


def _shown(row: LabelledRow, ladder: Ladder) -> dict[str, Any]:
    ask = " ".join(row.ask.reading.split())
    ask = ask if len(ask) <= _SHOWN_CHARACTERS else f"{ask[: _SHOWN_CHARACTERS - 1]}…"
    return {"id": row.id, "tier": ladder.names[row.tier], "split": home(row), "where": row.where, "ask": ask}


def _listed(problem: DatasetError) -> dict[str, Any]:
    return {"path": str(problem.path), "line": problem.line, "problem": problem.problem}
