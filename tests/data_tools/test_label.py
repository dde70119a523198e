"""``data label``: the terminal labeller, driven by a stream of keys."""

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from learnedrouter import desk
from learnedrouter.errors import DatasetError, InputError
from learnedrouter.tiers import DEFAULT_LADDER, Ladder
from learnedrouter.training.labelling import begin
from tests.data_tools.conftest import Run, Write, rows_of

ROWS = (
    {"id": "a", "prompt": "translate", "note": "kept"},
    {"id": "b", "prompt": "prove", "tier": "complex"},
    {"id": "c", "prompt": "plan"},
)


def press(path: Path, keys: Iterator[str] | str, *, again: bool = False, start: str | None = None, guess: desk.Guess | None = None) -> str:
    """Labels with these keys; gives what was on the screen."""
    console = Console(file=io.StringIO(), width=120)
    desk.label(begin(path, DEFAULT_LADDER, again=again, start=start), keys, console, path.with_name("RUBRIC.md"), guess)
    return console.file.getvalue()  # type: ignore[attr-defined]


def tiers(path: Path) -> list[str | None]:
    return [row.get("tier") for row in rows_of(path)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("14", ["bulk", "complex", "complex"]),
        ("s2", [None, "complex", "structured"]),
        ("1u3", ["standard", "complex", None]),
        ("1uq", [None, "complex", None]),
        ("12uu4", ["complex", "complex", None]),
        ("su1", ["bulk", "complex", None]),
        ("u1", ["bulk", "complex", None]),
        ("1q4", ["bulk", "complex", None]),
        ("x9 \n2", ["structured", "complex", None]),
        ("1" * 9, ["bulk", "complex", "bulk"]),
        ("", [None, "complex", None]),
    ],
)
def test_keys_give_tiers(write: Write, keys: str, expected: list[str | None]) -> None:
    """1 to 4 label, u undoes, s skips, q quits, others do nothing; rows with a tier are not asked about."""
    path = write("rows.jsonl", *ROWS)

    press(path, keys)

    assert tiers(path) == expected
    assert [row["id"] for row in rows_of(path)] == ["a", "b", "c"]
    assert rows_of(path)[0]["note"] == "kept"


def test_every_answer_is_on_disk_before_the_next_question(write: Write) -> None:
    """Whatever ends the program, no answer is lost."""
    path = write("rows.jsonl", *ROWS)
    seen = []

    def keys() -> Iterator[str]:
        yield "2"
        seen.append(tiers(path))
        yield "u"
        seen.append(tiers(path))
        yield "q"

    press(path, keys())

    assert seen == [["structured", "complex", None], [None, "complex", None]]
    assert [file.name for file in path.parent.iterdir()] == ["rows.jsonl"]


def test_a_second_session_goes_on_where_the_first_ended(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the only state; the command reads its keys from a pipe as well."""
    path = write("rows.jsonl", *ROWS)

    monkeypatch.setattr("sys.stdin", io.StringIO("3q"))
    assert "1 tiers given, 1 rows left; go on with: learnedrouter data label" in run("label", path)[1]
    monkeypatch.setattr("sys.stdin", io.StringIO("3u4"))
    assert "1 of 1 · c" in run("label", path)[1]
    assert "every row has a tier; --again asks about them once more" in run("label", path)[1]

    assert tiers(path) == ["standard", "complex", "complex"]


def test_again_is_blind_and_can_begin_anywhere(write: Write) -> None:
    """An earlier label is shown after the choice, never before it."""
    path = write("rows.jsonl", *ROWS)

    screen = press(path, "2", again=True, start="b")

    question, verdict = screen.split("→")
    assert "complex" not in question.replace("4 complex", "")
    assert "structured" in verdict
    assert "before: complex" in verdict
    assert tiers(path) == [None, "structured", None]


def test_the_guess_comes_after_the_choice(write: Write) -> None:
    """The model is not asked before the answer is written."""
    path = write("rows.jsonl", *ROWS)
    at_guess = []

    def guess(request: object) -> str:
        at_guess.append(tiers(path))
        return "standard, enough with 80%"

    screen = press(path, "1q", guess=guess)

    assert at_guess == [["bulk", "complex", None]]
    assert "the model: standard, enough with 80%" in screen.split("→")[1]


def test_the_rubric_is_a_key_away(write: Write) -> None:
    """R shows it and asks again; without a rubric it says where one was looked for."""
    path = write("rows.jsonl", *ROWS)
    assert "no rubric at" in press(path, "rq")

    write("RUBRIC.md", "Depth before form.")

    assert "Depth before form." in press(path, "rq")
    assert tiers(path) == [None, "complex", None]


def test_a_prompt_cannot_write_on_the_terminal(write: Write) -> None:
    """Escape sequences and markup of a prompt are shown, not obeyed; the conversation before the ask is shown too."""
    messages = [
        {"role": "user", "content": "first \x1b[2Jask"},
        {"role": "assistant", "content": "[red]fine"},
        {"role": "user", "content": "\x1b]0;x\x07[bold]and then"},
    ]
    path = write("rows.jsonl", {"id": "a", "messages": messages})

    screen = press(path, "q")

    assert "\x1b" not in screen
    for text in ("first", "[red]fine", "[bold]and then"):
        assert text in screen


def test_lines_that_were_not_answered_keep_their_bytes(write: Write) -> None:
    """Spacing, order of keys, blank lines and escapes of other rows are none of the labeller's business."""
    other = b'{ "prompt" : "caf\\u00e9",   "id":"a", "tier": "bulk" }\n\n'
    path = write("rows.jsonl", other + b'{"id": "b", "prompt": "caf\xc3\xa9 \\ud83d"}')

    press(path, "3")

    assert path.read_bytes().startswith(other)
    answered = json.loads(path.read_bytes().removeprefix(other))
    assert answered == {"id": "b", "prompt": "café \ud83d", "tier": "standard"}
    assert begin(path, DEFAULT_LADDER).queue == ()


def test_another_program_s_change_is_never_overwritten(write: Write) -> None:
    """If the file was written in between, the answer is refused and the file is left as it is."""
    path = write("rows.jsonl", *ROWS)

    def keys() -> Iterator[str]:
        path.write_text('{"id": "z", "prompt": "new"}\n')
        yield "1"

    with pytest.raises(InputError, match="changed by another program since it was read"):
        press(path, keys())

    assert rows_of(path) == [{"id": "z", "prompt": "new"}]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no rows"),
        (
            '{"id": "a", "prompt": "x", "tier": "huge"}',
            r":1: unknown tier 'huge'; expected one of bulk, structured, standard, complex, or none",
        ),
        ('\n{"id": "a"}', r":2: expected either 'prompt' or 'messages', found neither"),
        (b'{"id": "caf\xe9", "prompt": "x"}', ":1: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_labelled_is_one_clear_error(write: Write, content: str | bytes, problem: str) -> None:
    """Nothing is asked about a file that could not be written back whole."""
    with pytest.raises(DatasetError, match=problem):
        begin(write("rows.jsonl", content), DEFAULT_LADDER)


def test_unknown_files_ids_and_artefacts_are_named(run: Run, write: Write) -> None:
    """The command ends with status 2 and one line."""
    path = write("rows.jsonl", *ROWS)
    for arguments, problem in (
        (("label", "gone.jsonl"), "gone.jsonl: cannot be read (No such file or directory)"),
        (("label", path, "--from", "zzz"), "no row has the id 'zzz'"),
        (("label", path, "--artifact", "gone"), "gone: holds no artefact"),
    ):
        status, _, err = run(*arguments)
        assert (status, len(err.splitlines())) == (2, 1)
        assert problem in err


@given(st.text("123us", max_size=30))
def test_undoing_everything_restores_the_file(keys: str) -> None:
    """As many undos as keys bring back the bytes that were there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(f'{{"prompt":"p{n}",  "id":"{n}"}}\n' for n in range(5)))
        before = path.read_bytes()
        labelling = begin(path, Ladder(("x", "y", "z")))
        for key in keys:
            if key == "u":
                labelling.undo()
            elif labelling.current:
                labelling.skip() if key == "s" else labelling.answer(labelling.ladder.names[int(key) - 1])
        while labelling.undo():
            pass

        assert path.read_bytes() == before
        assert labelling.done == 0
