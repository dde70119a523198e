"""Asking a running service what became of a request."""

from typing import Any

import httpx2

from learnedrouter.errors import InputError


def explain(url: str, identity: str, key: str | None) -> dict[str, Any]:
    """Return the whole decision of the request `identity`, as the service at `url` remembers it.

    Parameters
    ----------
    key
        Shown to the service, where it asks for one.

    Raises
    ------
    InputError
        There is no service at `url`, or it does not know the request.
    """
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx2.get(f"{url.rstrip('/')}/route/{identity}", headers=headers, timeout=30)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise InputError(f"{url}: no service answers there ({error})") from error
    if answer.status_code != 200:
        raise InputError(f"{url}: answered {answer.status_code}: {answer.text[:200]}")
    told: dict[str, Any] = answer.json()
    return told
