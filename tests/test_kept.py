"""What is kept between trainings."""

from pathlib import Path

import numpy as np
import pytest

from learnedrouter.training.kept import Arrays, kept


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> Arrays:
        self.made += 1
        return {"some": np.arange(3.0), "none": np.empty((2, 0))}


def test_what_was_made_of_the_same_is_not_made_again(tmp_path: Path) -> None:
    """By content: other objects that are equal find it; anything that differs does not."""
    make = Maker()

    first = kept(tmp_path / "new", "it", (["a", "b"], np.arange(2), 0), make)
    again = kept(tmp_path / "new", "it", (["".join("a"), "b"], np.arange(2), 0), make)

    assert make.made == 1
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    for other in ((["a", "c"], np.arange(2), 0), (["a", "b"], np.arange(2) + 1, 0), (["a", "b"], np.arange(2), 1)):
        kept(tmp_path / "new", "it", other, make)
    assert make.made == 4


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """And replaced, so that it is read the next time."""
    make = Maker()
    kept(tmp_path, "it", "all", make)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)

    kept(tmp_path, "it", "all", make)
    kept(tmp_path, "it", "all", make)

    assert make.made == 2
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    """The error comes through, and the next call tries again."""

    def fail() -> Arrays:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        kept(tmp_path, "it", "all", fail)

    assert not list(tmp_path.iterdir())
