"""The labeller's desk: shows a row on a terminal, takes keys, and says what they did.

The model's guess and an earlier label are shown only after the choice, so that they do not make it.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console, Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text

from learnedrouter.ask import extract_ask
from learnedrouter.chat import ChatRequest
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.printing import plain
from learnedrouter.training.labelling import Labelling, Row

SHOWN_CHARACTERS = 3_000
"""Of a longer ask, the head and the tail are shown."""

CONTEXT_CHARACTERS = 300
"""What is shown of each turn before the ask."""

Guess = Callable[[ChatRequest], str]
"""Says in words what a model makes of a request."""


def label(labelling: Labelling, keys: Iterable[str], console: Console, rubric: Path, guess: Guess | None) -> int:
    """Ask about row after row until all are done, ``q`` is pressed, or the keys end; return how many tiers were given.

    Parameters
    ----------
    keys
        One character a key: the tiers' numbers, ``u`` undo, ``s`` skip, ``r`` rubric, ``q`` quit.
    rubric
        The text that ``r`` shows, in Markdown.
    guess
        Asked after each choice; None without a model.

    Raises
    ------
    InputError
        The file was changed by another program.
    """
    given = 0
    stream = iter(keys)
    while True:
        row = labelling.current
        if row:
            show(row, labelling, console)
        else:
            console.print("every row is done: u undo  q quit", style="bold")
        key = next((key for key in stream if _acts(key, labelling, console, rubric)), "q")
        if key == "q":
            return given
        if key == "u":
            console.print("back to the row before" if labelling.undo() else "nothing to undo", style="yellow")
        elif row and key == "s":
            labelling.skip()
            console.print("skipped", style="yellow")
        elif row:
            tier = labelling.ladder.names[int(key) - 1]
            labelling.answer(tier)
            given += 1
            console.print(_verdict(row, tier, guess))


def show(row: Row, labelling: Labelling, console: Console) -> None:
    """Show a row: what came before it in small, the ask in a frame, the keys under it."""
    turns = [turn for turn in row.request.turns if turn.text.strip()]
    ask = extract_ask(row.request)
    newest = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=len(turns) - 1)
    context = [
        Text(f"{turn.role}: {_cut(turn.text, CONTEXT_CHARACTERS)}", style="dim") for place, turn in enumerate(turns) if place != newest
    ]
    title = f"{labelling.done + 1} of {len(labelling.queue)} · {row.id}"
    frame = Panel(Text(_cut(ask.text, SHOWN_CHARACTERS)), title=Text(plain(title)), subtitle=f"{ask.characters:,} characters")
    console.print(Group(*context, frame), Text(_legend(labelling), style="bold"))


def guesser(classifier: TierClassifier) -> Guess:
    """Return what asks `classifier` for its guess, with the probability that this tier is enough."""

    def guess(request: ChatRequest) -> str:
        assessment = classifier.assess([extract_ask(request)])
        predicted = int(assessment.predicted[0])
        return f"{classifier.ladder.names[predicted]}, enough with {float(assessment.sufficiency[0, predicted]):.0%}"

    return guess


def _acts(key: str, labelling: Labelling, console: Console, rubric: Path) -> bool:
    """Say whether a key moves the labelling; show the rubric or the keys where it does not."""
    numbers = [str(place) for place in range(1, len(labelling.ladder) + 1)]
    if key in ("u", "s", "q", *numbers):
        return True
    if key == "r":
        text = rubric.read_text(encoding="utf-8") if rubric.is_file() else None
        console.print(Markdown(text) if text else Text(f"no rubric at {rubric}; name one with --rubric", style="yellow"))
    elif not key.isspace():
        console.print(Text(f"{plain(key)!r} does nothing here: {_legend(labelling)}", style="yellow"))
    return False


def _legend(labelling: Labelling) -> str:
    tiers = "  ".join(f"{place} {name}" for place, name in enumerate(labelling.ladder.names, 1))
    return f"{tiers}   u undo  s skip  r rubric  q quit"


def _verdict(row: Row, tier: str, guess: Guess | None) -> Text:
    parts = [f"→ {tier}"]
    if row.tier:
        parts.append(f"before: {row.tier}" if row.tier != tier else "as before")
    if guess:
        parts.append(f"the model: {guess(row.request)}")
    return Text("   ".join(parts), style="green")


def _cut(text: str, kept: int) -> str:
    text = plain(text.strip())
    if len(text) <= kept:
        return text
    return f"{text[: kept // 2]}\n… {len(text) - kept:,} characters …\n{text[-kept // 2 :]}"
