"""Asks and rows that stand in no file, and progress that nobody watches."""

from learnedrouter.ask import Ask
from learnedrouter.training.dataset import LabelledRow, Split


def ask(text: str) -> Ask:
    """The ask of a request that says `text` and nothing else."""
    return Ask(text, "", len(text), 1, False)


def labelled(identity: str, place: int = 0, *, tier: int = 0, text: str = "ask", split: Split | None = None) -> LabelledRow:
    """A row that is a group of its own, a request of its own, and a case of nothing."""
    return LabelledRow(
        id=identity,
        ask=ask(text),
        tier=tier,
        acceptable=frozenset({tier}),
        group=f"g{place}",
        slices=frozenset(),
        family="f",
        language="en",
        fingerprint=place,
        split=split,
        where="x:1",
    )


def quiet(step: str, done: int, total: int) -> None:
    """Show no progress."""
