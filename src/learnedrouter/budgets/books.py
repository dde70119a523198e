"""The arithmetic of budgets: reserving, settling, and writing off what nobody settles. Pure; knows no database.

For each account, in whole picodollars, at any time: what was spent and what is reserved. A request is let in where both and
its estimate together stay within the limit; once it is over, its reservation makes room for what it cost. So no number of
requests at once spends more than the limit, but for what each cost beyond its own estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from learnedrouter.budgets.policy import Account


@dataclass(frozen=True, slots=True)
class Balance:
    """What stands on an account: two amounts in picodollars, and how many requests were refused, degraded, or of unknown cost."""

    spent: int = 0
    reserved: int = 0
    refused: int = 0
    degraded: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """An account that a request is booked on.

    Parameters
    ----------
    limit
        In picodollars; None where anything may be booked.
    soft
        Whether a request that it does not cover may be degraded, and is then let in past the limit.
    """

    account: Account
    limit: int | None
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Reserve:
    """Asks for room for a request, on all its accounts or on none.

    Parameters
    ----------
    id
        The request's. What is reserved for it adds up.
    claims
        Its accounts.
    amount
        What it is expected to cost, in picodollars.
    degraded
        What it is expected to cost in the cheapest tier; None where it cannot be degraded.
    expires_at_us
        Microseconds since 1970, from which on nobody is expected to settle it any more.
    counted
        Whether it is a request's first, so that it counts where it is refused or degraded.
    """

    id: str
    claims: tuple[Claim, ...]
    amount: int
    degraded: int | None
    expires_at_us: int
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Settle:
    """Books what a request cost in place of what is reserved for it.

    Parameters
    ----------
    id
        The request's.
    accounts
        Where it is booked.
    reserved
        What is thought to be reserved for it, in picodollars; whether or not it still is, exactly `cost` is booked in the end.
    cost
        In picodollars.
    unknown
        Whether `cost` is only an estimate.
    """

    id: str
    accounts: tuple[Account, ...]
    reserved: int
    cost: int
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a `Reserve`.

    Parameters
    ----------
    reserved
        In picodollars; None where it was refused.
    degraded
        Whether there is room for the cheapest tier only.
    short
        The claims that stood in the way, with what stood on their accounts.
    """

    reserved: int | None
    degraded: bool = False
    short: tuple[tuple[Claim, Balance], ...] = ()


@dataclass(slots=True)
class Books:
    """The accounts and reservations that some operations are about.

    Parameters
    ----------
    balances
        By account; one that is missing is empty.
    held
        By request and account, what is reserved, in picodollars.
    added
        What was reserved anew: request, account, picodollars, and when it expires.
    settled
        Requests that nothing is reserved for any more.
    """

    balances: dict[Account, Balance]
    held: dict[str, dict[Account, int]]
    added: list[tuple[str, Account, int, int]] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)

    def reserve(self, asked: Reserve) -> Verdict:
        """Make room for a request, if there is."""
        short = self._short(asked.claims, asked.amount)
        if not short:
            return self._hold(asked, asked.amount, Verdict(asked.amount))
        soft = [(claim, balance) for claim, balance in short if claim.soft]
        if soft and asked.degraded is not None:
            hard = self._short([claim for claim in asked.claims if not claim.soft], asked.degraded)
            if not hard:
                self._count(asked, soft, degraded=1)
                return self._hold(asked, asked.degraded, Verdict(asked.degraded, True, tuple(soft)))
            short = hard
        self._count(asked, short, refused=1)
        return Verdict(None, short=short)

    def settle(self, settled: Settle) -> None:
        """Book what a request cost; where its reservation was written off meanwhile, correct that."""
        held = self.held.pop(settled.id, {})
        self._forget(settled.id)
        for account in settled.accounts:
            still = held.get(account)
            self._add(
                account,
                spent=settled.cost - (settled.reserved if still is None else 0),
                reserved=-(still or 0),
                unknown=int(settled.unknown),
            )

    def write_off(self, id: str) -> None:
        """Book what is reserved for a request as spent: whoever reserved it is gone, and the provider may have billed it."""
        for account, amount in self.held.pop(id, {}).items():
            self._add(account, spent=amount, reserved=-amount, unknown=1)
        self._forget(id)

    def _short(self, claims: Sequence[Claim], amount: int) -> tuple[tuple[Claim, Balance], ...]:
        found = ((claim, self.balances.get(claim.account, Balance())) for claim in claims)
        return tuple(
            (claim, balance)
            for claim, balance in found
            if claim.limit is not None and balance.spent + balance.reserved + amount > claim.limit
        )

    def _hold(self, asked: Reserve, amount: int, verdict: Verdict) -> Verdict:
        held = self.held.setdefault(asked.id, {})
        for claim in asked.claims:
            held[claim.account] = held.get(claim.account, 0) + amount
            self.added.append((asked.id, claim.account, amount, asked.expires_at_us))
            self._add(claim.account, reserved=amount)
        return verdict

    def _count(self, asked: Reserve, short: Sequence[tuple[Claim, Balance]], *, refused: int = 0, degraded: int = 0) -> None:
        if asked.counted:
            for claim, _ in short:
                self._add(claim.account, refused=refused, degraded=degraded)

    def _forget(self, id: str) -> None:
        self.added = [row for row in self.added if row[0] != id]
        self.settled.add(id)

    def _add(self, account: Account, *, spent: int = 0, reserved: int = 0, refused: int = 0, degraded: int = 0, unknown: int = 0) -> None:
        old = self.balances.get(account, Balance())
        self.balances[account] = replace(
            old,
            spent=old.spent + spent,
            reserved=old.reserved + reserved,
            refused=old.refused + refused,
            degraded=old.degraded + degraded,
            unknown=old.unknown + unknown,
        )
