"""Results that are kept between trainings, by the content of everything that they are made from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import joblib
import numpy as np
import numpy.typing as npt

from learnedrouter.training.atomic import replaced

Arrays = Mapping[str, npt.NDArray[Any]]


def kept(cache: Path, name: str, made_from: object, make: Callable[[], Arrays]) -> Arrays:
    """Return what `make` returns, calling it only if `cache` does not hold it.

    Parameters
    ----------
    cache
        A folder; it can be emptied at any time.
    name
        What is kept, as its files are called.
    made_from
        All that the result depends on, the code that makes it included; hashed by content.
    """
    path = cache / f"{name}-{joblib.hash(made_from)}.npz"
    if (found := read_arrays(path)) is None:
        found = make()
        write_arrays(path, found)
    return found


def read_arrays(path: Path) -> Arrays | None:
    """Return the arrays in a file; None where there is none, or a cut or foreign one: then they are made anew."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, BadZipFile):
        return None


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays to a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes a flag
