"""Errors as each dialect tells them, so that its SDK raises the exception that its users catch.

Both SDKs choose the exception by HTTP status, and show type and message. In a stream, whose status is spent, OpenAI's
raises ``APIError`` for a chunk with an ``error``, Anthropic's raises ``APIStatusError`` for an event of that name.

Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors.
"""

from collections.abc import Mapping
from typing import Any

from learnedrouter.chat import Chunk, Dialect

OPENAI_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
INSUFFICIENT_QUOTA = "insufficient_quota"
"""What OpenAI calls it, as type and code, when a budget is spent; Anthropic has no other word than for rate limits."""

STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    INSUFFICIENT_QUOTA: 429,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status that an error in a stream would have had; any other is 500."""


def error_body(dialect: Dialect, status: int, kind: str, message: str, *, field: str | None = None) -> dict[str, Any]:
    """Return an error as the body of an HTTP answer.

    Parameters
    ----------
    dialect
        The caller's.
    status
        HTTP status of the answer, which decides the type that the dialect gives the error.
    kind
        Our own code for it: ``timeout``, ``unavailable``.
    message
        For the caller to read.
    field
        The field of the request that is wrong.
    """
    if dialect is Dialect.OPENAI:
        named = (
            kind if kind == INSUFFICIENT_QUOTA else OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        )
        return {"error": {"message": message, "type": named, "param": field, "code": kind}}
    named = ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    details = {"error_code": kind} | ({"field": field} if field else {})
    return {"type": "error", "error": {"type": named, "message": message, "details": details}}


def error_chunk(dialect: Dialect, status: int, kind: str, message: str) -> Chunk:
    """Return an error as the last event of a stream; the parameters are those of `error_body`."""
    return Chunk("error" if dialect is Dialect.ANTHROPIC else None, error_body(dialect, status, kind, message))


def read_error(chunk: Chunk, dialect: Dialect) -> tuple[int, str] | None:
    """Return a provider's error in the middle of a stream: the HTTP status that it amounts to, and what was said.

    None where the chunk is no error.
    """
    if dialect is Dialect.ANTHROPIC and "error" not in (chunk.event, chunk.data.get("type")):
        return None
    error = chunk.data.get("error")
    if not error and dialect is Dialect.OPENAI:
        return None
    if not isinstance(error, Mapping):
        return 500, str(error or "the provider ended the stream with an error that says nothing")
    code = next((error[key] for key in ("status", "code") if isinstance(error.get(key), int)), None)
    named = next((STATUSES[name] for key in ("type", "code") if isinstance(name := error.get(key), str) and name in STATUSES), 500)
    return code if code is not None and 400 <= code < 600 else named, str(error.get("message") or error)
