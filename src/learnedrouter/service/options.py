"""What a caller asks of the routing beside the request: by ``model`` and by headers. Native requests have fields for most of it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Literal

from starlette.requests import Request

from learnedrouter.chat import Caller
from learnedrouter.dialects.reading import optional, shown
from learnedrouter.errors import RequestError
from learnedrouter.planning import RouteOptions
from learnedrouter.service.http import PREFIX

AUTO, TIER = "auto", "tier:"

TAGS_HEADER = f"{PREFIX}tags"
MAX_TAGS, TAG_CHARACTERS = 16, 128

CONVERSATION_HEADERS = ("x-learnedrouter-conversation-id", "x-session-id", "x-conversation-id", "x-claude-code-session-id")
"""Headers that clients name a conversation by, the first that is there counts; the last three are other tools' habits."""


def options_for(body: Mapping[str, Any], headers: Mapping[str, str]) -> RouteOptions:
    """Return what `model` and headers ask of the routing.

    Raises
    ------
    RequestError
        One of them holds something else than it must; names it.
    """
    name = (optional(body, "model", str) or AUTO).strip() or AUTO
    return RouteOptions(
        tier=name.removeprefix(TIER) if name.startswith(TIER) else None,
        min_tier=headers.get(f"{PREFIX}min-tier"),
        max_tier=headers.get(f"{PREFIX}max-tier"),
        threshold=_threshold(headers),
        max_cost_usd=_max_cost(headers),
        model=None if name == AUTO or name.startswith(TIER) else name,
        fallback=fallback_option(headers),
        conversation_id=conversation_id(headers),
    )


def fallback_option(headers: Mapping[str, str]) -> Literal["on", "off"]:
    """Return whether other models may take over, as ``x-learnedrouter-fallback`` says.

    Raises
    ------
    RequestError
        It says neither on nor off.
    """
    name = f"{PREFIX}fallback"
    value = headers.get(name, "on").strip().lower()
    if value not in ("on", "off"):
        raise RequestError(f"{name}: {value!r} is neither on nor off", field=name)
    return "off" if value == "off" else "on"


def conversation_id(headers: Mapping[str, str]) -> str | None:
    """Return the name that a caller gives its conversation; None where it gives none."""
    return next((value for name in CONVERSATION_HEADERS if (value := headers.get(name))), None)


def caller_of(request: Request, body: Mapping[str, Any]) -> Caller:
    """Return who asks: the key shown, and the tags of the header ``x-learnedrouter-tags`` over those of the body's metadata.

    Raises
    ------
    RequestError
        The header is no list of ``name=value``, or too long a one.
    """
    named = body.get("metadata")
    told = named.items() if isinstance(named, Mapping) else ()
    tags = {name[:TAG_CHARACTERS]: value[:TAG_CHARACTERS] for name, value in told if isinstance(value, str)}
    tags = dict(islice(tags.items(), MAX_TAGS)) | _tags(request.headers.get(TAGS_HEADER, ""))
    return Caller(request.state.key, tags)


def _tags(header: str) -> dict[str, str]:
    pairs = [(part, *map(str.strip, part.partition("=")[::2])) for part in header.split(",") if part.strip()]
    for part, name, value in pairs:
        if not name or not value or max(len(name), len(value)) > TAG_CHARACTERS:
            raise RequestError(
                f"{TAGS_HEADER}: {shown(part.strip())} is not name=value, of at most {TAG_CHARACTERS} characters each", field=TAGS_HEADER
            )
    if len(pairs) > MAX_TAGS:
        raise RequestError(f"{TAGS_HEADER}: {len(pairs)} tags; expected at most {MAX_TAGS}", field=TAGS_HEADER)
    return {name: value for _, name, value in pairs}


def _threshold(headers: Mapping[str, str]) -> float | None:
    name = f"{PREFIX}threshold"
    value = _number(headers, name)
    if value is not None and not 0 <= value <= 1:
        raise RequestError(f"{name}: {value} is not between 0 and 1", field=name)
    return None if value is None else float(value)


def _max_cost(headers: Mapping[str, str]) -> Decimal | None:
    name = f"{PREFIX}max-cost-usd"
    value = _number(headers, name)
    if value is not None and value <= 0:
        raise RequestError(f"{name}: {value} is not above 0", field=name)
    return value


def _number(headers: Mapping[str, str], name: str) -> Decimal | None:
    if (text := headers.get(name)) is None:
        return None
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise RequestError(f"{name}: {text!r} is not a number", field=name)
    return value
