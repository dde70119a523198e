"""Bodies in, headers and JSON out."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from math import isinf
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from learnedrouter.encoding import json_bytes
from learnedrouter.errors import RequestError
from learnedrouter.events import RoutedCompletion
from learnedrouter.providers.bodies import Adjusted
from learnedrouter.recording import RoutedStream
from learnedrouter.tiers import Decision

PREFIX = "x-learnedrouter-"
UNKNOWN, NONE = "unknown", "none"

ELSEWHERE = "other"
"""The endpoint of a request to none: paths that callers make up are not to fill metrics and logs."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def endpoint(scope: Mapping[str, Any]) -> str:
    """Return the path of the endpoint that a request came to, as the description has it; known once it was routed."""
    return getattr(scope.get("route"), "path", ELSEWHERE)


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Return a request's body, read no further than `max_bytes`.

    Raises
    ------
    RequestError
        The content is not declared as JSON (415), or is too large (413).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(f"content-type {kind or 'none'!r}: expected application/json", status=415)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise RequestError(f"the body is larger than {max_bytes:,} bytes (max_body_bytes)", status=413)
        parts.append(part)
    return b"".join(parts)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, every field of it.

    Raises
    ------
    RequestError
        It is not UTF-8, not JSON, no object, or holds what no provider takes: a number beyond a double, or half a surrogate pair.
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RequestError("the body holds half a surrogate pair; expected Unicode text") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: byte 0x{body[error.start]:02x} at {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(f"the body is {type(value).__name__}; expected a JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(number: str) -> float:
    """Return a number that JSON can say again: of ``1e999`` a float makes infinity."""
    if isinf(value := float(number)):
        raise ValueError(f"{number} is beyond what a double can hold")
    return value


def json_response(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `content` as JSON; what is no Unicode text in it is escaped, not sent."""
    return Response(json_bytes(content), status, dict(headers or {}), media_type="application/json")


def decision_headers(identity: str, decision: Decision) -> dict[str, str]:
    """Return the headers that say what was decided."""
    return {
        f"{PREFIX}id": identity,
        f"{PREFIX}tier": _token(decision.tier),
        f"{PREFIX}confidence": f"{decision.confidence:.4f}",
        f"{PREFIX}reason": _token(",".join(decision.reasons)),
        f"{PREFIX}artifact": _token(decision.artifact),
    }


def event_headers(event: RoutedCompletion) -> dict[str, str]:
    """Return the headers that say what was decided, and what became of it."""
    return decision_headers(event.id, event.decision) | {
        f"{PREFIX}fallbacks": str(event.fallbacks),
        f"{PREFIX}model": _token(event.model.model) if event.model else NONE,
        f"{PREFIX}cost-usd": shown_usd(event.cost_usd),
        f"{PREFIX}baseline-usd": shown_usd(event.baseline_usd),
        **adjusted_headers(event.adjusted),
    }


def stream_headers(stream: RoutedStream) -> dict[str, str]:
    """Return the headers of a streamed answer: what it costs is not known before its end, where a comment tells it."""
    return decision_headers(stream.plan.id, stream.plan.decision) | {
        f"{PREFIX}fallbacks": str(len(stream.opened.attempts) - 1),
        f"{PREFIX}model": _token(stream.opened.link.ref.model),
        f"{PREFIX}cost-usd": UNKNOWN,
        f"{PREFIX}baseline-usd": UNKNOWN,
        **adjusted_headers(stream.opened.adjusted),
    }


def shown_usd(usd: Decimal | None) -> str:
    """Return an amount as headers show it."""
    return UNKNOWN if usd is None else f"{usd:f}"


def adjusted_headers(adjusted: Adjusted) -> dict[str, str]:
    """Return the headers that say what of the request was changed for the model."""
    headers = {f"{PREFIX}clamped": _token(adjusted.clamped)} if adjusted.clamped else {}
    return headers | ({f"{PREFIX}params": _token(",".join(adjusted.parameters))} if adjusted.parameters else {})


def _token(value: str) -> str:
    """Header values are latin-1 without line breaks; names from the configuration may be anything."""
    return value.encode("latin-1", "replace").decode("latin-1").replace("\n", " ").replace("\r", " ")
