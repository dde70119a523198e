"""What the words of a request say: the same for the same words, learned only where there are enough rows, and kept whole."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.classifier.wording import BUCKETS, READ_CHARACTERS, Wording, marks, opinions
from learnedrouter.errors import ArtifactError
from learnedrouter.training import wording
from tests.made import ask, quiet

RNG = np.random.default_rng(0)
COLOURS, TREES = ("red", "green", "blue", "white", "grey"), ("oak", "elm", "ash", "fir", "yew")


def row(words: tuple[str, ...]) -> str:
    return " ".join(RNG.choice(words, 6))


TEXTS = [row(COLOURS if place % 2 else TREES) for place in range(120)]
CLASSES = np.arange(120) % 2
GROUPS = [f"g{place}" for place in range(120)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Prove that", "prove THAT"),  # case says nothing
        ("prove  that\n", " prove that"),  # nor does white space
        ("prove that prove that", "that prove that prove that"),  # how often a word stands there does not count
        ("Straße über", "STRASSE über".replace("SS", "ß")),
    ],
)
def test_the_same_words_leave_the_same_marks(one: str, other: str) -> None:
    """What a text is known by are its words and pairs of neighbours, each once."""
    np.testing.assert_array_equal(marks(one), marks(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dog bites man", "man bites dog"),  # the pairs differ
        ("a b", "ab"),
        ("x=1", "x 1"),  # a sign is a word
        ("日本", "本日"),  # where no spaces part the words, each sign is one
        ("don't", "don t"),
    ],
)
def test_other_words_leave_other_marks(one: str, other: str) -> None:
    """The order of neighbours counts, and so does where a word ends."""
    assert marks(one).tolist() != marks(other).tolist()


def test_of_a_long_text_the_ends_are_read() -> None:
    """A middle of any length changes nothing."""
    head, tail = "alpha " * 200, " omega" * 200

    np.testing.assert_array_equal(marks(head + "middle " * 50 + tail), marks(head + "other " * 5_000 + tail))
    assert len(marks("İ" * 3 * READ_CHARACTERS)) == 1  # grows when it is put into lower case


@given(st.text(max_size=300))
def test_every_text_has_marks_in_range(text: str) -> None:
    """Lone surrogates, controls, other alphabets: sorted, distinct, and within the table."""
    found = marks(text)

    assert (np.diff(found) > 0).all()
    assert all(0 <= mark < BUCKETS for mark in found)
    assert bool(len(found)) == bool(text.strip(" \t\n\r\x0b\x0c") and any(ord(sign) > 32 for sign in text))


def test_words_that_tell_the_class_are_learned() -> None:
    """New texts of known words get the class of their words; a text of unknown ones gets what the classes' shares say."""
    learned = wording.fit([ask(text) for text in TEXTS], CLASSES, GROUPS, 0, quiet)

    told = opinions(learned.wording, [ask("a red and a blue one"), ask("an oak beside an elm"), ask("zzz")])

    assert told[0].argmax() == 1
    assert told[1].argmax() == 0
    assert abs(np.exp(told[2, 0]) - 0.5) < 0.1
    np.testing.assert_allclose(np.exp(told).sum(axis=1), 1, atol=1e-6)


def test_what_a_row_is_told_of_itself_comes_from_others() -> None:
    """Labels by the toss of a coin: the rows' own opinions are no better than a guess, though the whole model remembers them."""
    texts = [f"w{place} {row(COLOURS)} v{place // 2}" for place in range(400)]
    classes = RNG.integers(0, 2, 400)
    asks = [ask(text) for text in texts]

    learned = wording.fit(asks, classes, [f"g{place // 2}" for place in range(400)], 0, quiet)

    assert (opinions(learned.wording, asks).argmax(axis=1) == classes).mean() > 0.6
    assert 0.4 < (learned.opinions.argmax(axis=1) == classes).mean() < 0.6


def test_too_few_rows_say_nothing() -> None:
    """Below twenty rows of a class, or with a class in one large group, there is no wording, and no column."""
    asks = [ask(text) for text in TEXTS]

    few = wording.fit(asks[:30], CLASSES[:30], GROUPS[:30], 0, quiet)
    lumped = wording.fit(asks, CLASSES, ["one" if kind else f"g{place}" for place, kind in enumerate(CLASSES)], 0, quiet)

    assert few.wording is None
    assert few.opinions.shape == (30, 0)
    assert lumped.wording is None
    assert opinions(None, asks).shape == (120, 0)


def test_the_same_rows_are_not_read_twice(tmp_path: Path) -> None:
    """What was learned of them is kept, with a wording or without; rows of other classes are learned anew."""
    steps: list[str] = []
    asks = [ask(text) for text in TEXTS]
    for classes, rows in ((CLASSES, 120), (CLASSES, 30), (1 - CLASSES, 120)):
        found = [
            wording.fit_once(asks[:rows], classes[:rows], GROUPS[:rows], 0, tmp_path, lambda step, *_: steps.append(step)) for _ in range(2)
        ]

        np.testing.assert_array_equal(found[0].opinions, found[1].opinions)
        np.testing.assert_array_equal(*(opinions(each.wording, asks) for each in found))

    assert len(steps) == 2 * (wording.FOLDS + 1)


def test_it_is_kept_as_it_judges(tmp_path: Path) -> None:
    """Saved and loaded, it gives the same opinions; three classes as well as two."""
    asks = [ask(text) for text in TEXTS]
    for classes in (CLASSES, np.arange(120) % 3):
        learned = wording.fit(asks, classes, GROUPS, 0, quiet)
        assert learned.wording
        learned.wording.save(tmp_path / "wording.npz")

        np.testing.assert_array_equal(Wording.load(tmp_path / "wording.npz").opinions(asks), learned.wording.opinions(asks))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """It names the file."""
    (tmp_path / "wording.npz").write_bytes(content)

    with pytest.raises(ArtifactError, match=r"wording\.npz: not what a wording is saved as"):
        Wording.load(tmp_path / "wording.npz")


def test_a_table_of_another_size_is_refused(tmp_path: Path) -> None:
    """The error says what was found, and what was expected."""
    np.savez(tmp_path / "wording.npz", weights=np.zeros((8, 4)), offset=np.zeros(4))

    with pytest.raises(ArtifactError, match=r"weights \(8, 4\) and offset \(4,\), expected \(131072, k\) and \(k,\)"):
        Wording.load(tmp_path / "wording.npz")
