"""The keys that callers may show."""

import hashlib
import hmac
from collections.abc import Iterable


class ClientKeys:
    """The keys that callers may show; where there are none, nobody needs one.

    Only digests are kept, and each is compared, in constant time, so that neither memory nor timing tells a key.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def accept(self, shown: Iterable[str]) -> bool:
        """Return whether one of the keys `shown` will do."""
        if not self._digests:
            return True
        matches = [hmac.compare_digest(known, _digest(key)) for key in shown for known in self._digests]
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
