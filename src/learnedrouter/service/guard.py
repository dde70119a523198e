"""Who may call: the keys of `LEARNEDROUTER_API_KEYS`, shown as either SDK shows its own."""

from starlette.requests import Request

from learnedrouter.config import CLIENT_KEYS_ENV
from learnedrouter.errors import RequestError
from learnedrouter.service.state import service_state


async def require_key(request: Request) -> None:
    """Let a request through that shows a key, as ``Authorization: Bearer`` or as ``x-api-key``, and note which.

    Raises
    ------
    RequestError
        It shows none, or a wrong one (401).
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = [token.strip()] if scheme.lower() == "bearer" else []
    if key := request.headers.get("x-api-key"):
        shown.append(key.strip())
    keys = (await service_state(request)).keys
    request.state.key = keys.recognise(shown)
    if request.state.key is None and not keys.open:
        found = "the key shown is not among" if shown else "no key shown; expected one of"
        raise RequestError(f"{found} the service's {CLIENT_KEYS_ENV} (as Authorization: Bearer, or as x-api-key)", status=401)
