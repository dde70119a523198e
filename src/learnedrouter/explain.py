"""What became of a request: as a running service tells it, or as a ledger does."""

from typing import Any

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from learnedrouter.errors import InputError
from learnedrouter.service.schemas import event_json
from learnedrouter.sinks.ledger.database import existing, without_password
from learnedrouter.sinks.ledger.reading import find


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
    try:
        told: dict[str, Any] = answer.json()
    except ValueError as error:
        raise InputError(f"{url}: answers, but not as learnedrouter does ({error})") from error
    return told


def explain_from(ledger: str, identity: str) -> dict[str, Any]:
    """Return the whole decision of the request `identity`, as the ledger at the address `ledger` has it.

    Raises
    ------
    InputError
        The ledger cannot be read, or does not know the request.
    """
    try:
        event = find(existing(ledger), identity)
    except SQLAlchemyError as error:
        raise InputError(f"{without_password(ledger)}: no ledger that can be read ({str(error).splitlines()[0]})") from error
    if event is None:
        raise InputError(f"{without_password(ledger)}: does not know the request {identity!r}")
    return event_json(event)
