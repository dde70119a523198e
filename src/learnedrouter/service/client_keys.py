"""The keys that callers may show."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from types import MappingProxyType

ID_CHARACTERS = 12
"""Of a key's SHA-256 in hexadecimal: what ledger, logs and budgets know it by."""


class ClientKeys:
    """The keys that callers may show; where there are none, nobody needs one.

    Only digests are kept, and each is compared, in constant time, so that neither memory nor timing tells a key.

    Parameters
    ----------
    keys
        All of them.
    named
        Those that have a name, by it.
    """

    def __init__(self, keys: Iterable[str], named: Mapping[str, str] = MappingProxyType({})) -> None:
        self._digests = tuple(_digest(key) for key in keys)
        self._names = {_digest(key): name for name, key in named.items()}

    @property
    def open(self) -> bool:
        """Whether nobody needs a key."""
        return not self._digests

    def recognise(self, shown: Iterable[str]) -> str | None:
        """Return what the first of the keys `shown` that will do is known by, its name or its id; None where none will."""
        matches = [known for key in shown for known in self._digests if hmac.compare_digest(known, _digest(key))]
        return self._names.get(matches[0], matches[0].hex()[:ID_CHARACTERS]) if matches else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
