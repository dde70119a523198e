"""The keys that callers may show."""

import hashlib
import hmac
from collections.abc import Iterable

ID_CHARACTERS = 12
"""Of a key's SHA-256 in hexadecimal: what ledger, logs and budgets know it by."""


class ClientKeys:
    """The keys that callers may show; where there are none, nobody needs one.

    Only digests are kept, and each is compared, in constant time, so that neither memory nor timing tells a key.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    @property
    def open(self) -> bool:
        """Whether nobody needs a key."""
        return not self._digests

    def recognise(self, shown: Iterable[str]) -> str | None:
        """Return what the first of the keys `shown` that will do is known by; None where none will."""
        matches = [known for key in shown for known in self._digests if hmac.compare_digest(known, _digest(key))]
        return matches[0].hex()[:ID_CHARACTERS] if matches else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
