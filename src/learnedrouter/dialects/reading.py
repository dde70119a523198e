"""Reading untrusted JSON field by field, so that each error names the field, the value and what was expected."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from learnedrouter.errors import ProviderUnavailable, RequestError

T = TypeVar("T")

_KINDS = {str: "a string", list: "an array", dict: "an object", int: "an integer", float: "a number", bool: "true or false"}
_SHOWN_CHARACTERS = 60


def shown(value: Any) -> str:
    """Return `value` as an error shows it: its repr, cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def expect(value: Any, kind: type[T], field: str) -> T:
    """Return `value` if it is a `kind`; a float may be written as an integer.

    Raises
    ------
    RequestError
        It is not; names `field`.
    """
    right = isinstance(value, (int, float) if kind is float else kind)
    if not right or (kind in (int, float) and isinstance(value, bool)):
        raise RequestError(f"{field}: {shown(value)} is not {_KINDS[kind]}", field=field)
    return value  # type: ignore[no-any-return]


def optional(body: Mapping[str, Any], key: str, kind: type[T], field: str | None = None) -> T | None:
    """Return ``body[key]`` if it is a `kind`; None where it is missing or null."""
    value = body.get(key)
    return None if value is None else expect(value, kind, field or key)


def required(body: Mapping[str, Any], key: str, kind: type[T], field: str) -> T:
    """Return ``body[key]``, which must be there and be a `kind`."""
    if key not in body:
        raise RequestError(f"{field}: is missing", field=field)
    return expect(body[key], kind, field)


def one_of(body: Mapping[str, Any], key: str, known: Mapping[str, T], field: str) -> T:
    """Return what `known` has for ``body[key]``, which must be there and be one of its names."""
    name = required(body, key, str, field)
    if name not in known:
        raise RequestError(f"{field}: {shown(name)} is not one of {', '.join(known)}", field=field)
    return known[name]


def objects(value: Any, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of an array, each with its own field path; null is an empty array."""
    for place, item in enumerate(expect(value, list, field) if value is not None else ()):
        yield f"{field}[{place}]", expect(item, dict, f"{field}[{place}]")


def positive(body: Mapping[str, Any], key: str) -> int | None:
    """Return ``body[key]`` if it is a positive integer; None where it is missing or null."""
    value = optional(body, key, int)
    if value is not None and value < 1:
        raise RequestError(f"{key}: {value} is not a positive integer", field=key)
    return value


def count(body: Mapping[str, Any], key: str) -> int | None:
    """Return ``body[key]`` if it is a number of things; None, which is unknown, whatever else stands there."""
    value = body.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def section(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return ``body[key]`` if it is an object; an empty one, whatever else stands there."""
    value = body.get(key)
    return value if isinstance(value, Mapping) else {}


@contextmanager
def provider_answer(what: str) -> Iterator[None]:
    """Turn complaints about a field into `ProviderUnavailable`: it is a provider's answer that is read, not a request.

    Parameters
    ----------
    what
        What it should be, for the error: ``"a message"``.
    """
    try:
        yield
    except RequestError as error:
        raise ProviderUnavailable(f"the answer cannot be read as {what}: {error}") from error
