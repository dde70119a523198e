"""Files that are replaced whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from learnedrouter.errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Give an empty file to write; it takes the place of `path` if the block succeeds, else it is removed.

    Raises
    ------
    InputError
        The folder is missing, or nothing can be written there.
    """
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with file:
            yield file  # type: ignore[misc]  # a wrapper that behaves as the file it holds
            file.flush()
            os.fsync(file.fileno())
        os.chmod(file.name, mode)
        os.replace(file.name, path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise
