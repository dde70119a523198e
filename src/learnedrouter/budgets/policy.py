"""What a budget is: whom it holds for, how long, and what happens past it. Pure.

Money is counted in whole picodollars (1e-12 USD), so that sums in the database are exact: a price with up to six decimals a
million tokens is a whole number of them for every token.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import NamedTuple

PICO = Decimal(10) ** 12

GLOBAL, EACH_KEY, ONE_KEY = "global", "each-key", "key:"
"""Scopes: all callers together; every key for itself; ``key:NAME``, the key of that name."""


class Period(StrEnum):
    """How long a budget lasts, by UTC's calendar."""

    DAY = "day"
    MONTH = "month"

    def label(self, now: datetime) -> str:
        """Return the name of the period that holds `now`: ``2026-11-23``, or ``2026-11``."""
        return f"{now.astimezone(UTC):{'%Y-%m-%d' if self is Period.DAY else '%Y-%m'}}"

    def ends(self, now: datetime) -> datetime:
        """Return when the period that holds `now` ends, and the next begins."""
        today = now.astimezone(UTC).date()
        following = (
            today + timedelta(days=1) if self is Period.DAY else (date(today.year, today.month, 28) + timedelta(days=4)).replace(day=1)
        )
        return datetime(following.year, following.month, following.day, tzinfo=UTC)


class Past(StrEnum):
    """What becomes of a request that a budget does not cover."""

    REFUSE = "refuse"
    DEGRADE = "degrade"


class Account(NamedTuple):
    """Where money is booked: a budget, whose part of it (empty for `GLOBAL`), and the period."""

    budget: str
    subject: str
    period: str


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit to what may be spent.

    Parameters
    ----------
    name
        What errors, metrics and tables call it.
    scope
        See `GLOBAL`.
    period
        How long it lasts.
    limit_usd
        What may be spent in a period.
    past
        What becomes of a request that it does not cover. A budget that degrades refuses nothing by itself.
    """

    name: str
    scope: str
    period: Period
    limit_usd: Decimal
    past: Past

    def account(self, key: str, now: datetime) -> Account | None:
        """Return where a request of the caller `key` (empty for a caller without one) is booked; None where it is not."""
        if self.scope in (GLOBAL, EACH_KEY) or self.scope == f"{ONE_KEY}{key}":
            return Account(self.name, "" if self.scope == GLOBAL else key, self.period.label(now))
        return None


def to_pico(usd: Decimal) -> int:
    """Return an amount in picodollars, rounded up: what is booked is never less than what was spent.

    Examples
    --------
    >>> to_pico(Decimal("0.0075"))
    7500000000
    """
    return int((usd * PICO).to_integral_value(ROUND_CEILING))


def to_usd(pico: int) -> Decimal:
    """Return an amount in USD, exactly."""
    return pico / PICO
