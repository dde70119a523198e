"""Reading untrusted JSON field by field, so that each error names the field, the value and what was expected."""

from collections.abc import Mapping
from typing import Any, TypeVar

from learnedrouter.errors import RequestError

T = TypeVar("T")

_KINDS = {str: "a string", list: "an array", dict: "an object", int: "an integer", bool: "true or false"}
_SHOWN_CHARACTERS = 60


def shown(value: Any) -> str:
    """Return `value` as an error shows it: its repr, cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def expect(value: Any, kind: type[T], field: str) -> T:
    """Return `value` if it is a `kind`.

    Raises
    ------
    RequestError
        It is not; names `field`.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RequestError(f"{field}: {shown(value)} is not {_KINDS[kind]}", field=field)
    return value


def optional(body: Mapping[str, Any], key: str, kind: type[T], field: str | None = None) -> T | None:
    """Return ``body[key]`` if it is a `kind`; None where it is missing or null."""
    value = body.get(key)
    return None if value is None else expect(value, kind, field or key)


def required(body: Mapping[str, Any], key: str, kind: type[T], field: str) -> T:
    """Return ``body[key]``, which must be there and be a `kind`."""
    if key not in body:
        raise RequestError(f"{field}: is missing", field=field)
    return expect(body[key], kind, field)
