"""The arithmetic of budgets, against a plain account of what every request reserved and cost."""

from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from learnedrouter.budgets.books import Balance, Claim, Reserve, Settle
from learnedrouter.budgets.policy import Account
from learnedrouter.budgets.store import Store
from learnedrouter.sinks.ledger.database import engine_for

DAY, MONTH = Account("day", "", "2026-11-23"), Account("month", "alice", "2026-11")
LIMITS = {DAY: 1_000, MONTH: 2_500}
REQUESTS = Bundle[str]("requests")
AMOUNTS = st.integers(0, 400)


class Ledger(RuleBasedStateMachine):
    """Requests come and go; each may be settled before or after its reservation was written off, or never.

    The books are kept in a database, so that this is about what is stored, too.
    """

    requests = REQUESTS

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = Store(engine_for(f"sqlite:///{self.folder.name}/ledger.db"))
        self.reserved: dict[str, int] = {}
        self.written_off: dict[str, int] = {}
        self.spent = 0
        self.beyond = 0
        self.degraded = self.refused = 0

    @rule(target=requests, amount=AMOUNTS, cheap=st.none() | AMOUNTS, soft=st.booleans(), name=st.uuids(version=4).map(str))
    def ask(self, amount: int, cheap: int | None, soft: bool, name: str) -> Any:
        """A request is let in whole where it fits, cheaply where only a soft budget is in the way, else not at all."""
        claims = (Claim(DAY, LIMITS[DAY], soft), Claim(MONTH, LIMITS[MONTH]))
        taken = self.taken()
        (verdict,) = self.store.apply([Reserve(name, claims, amount, cheap, expires_at_us=10)])
        assert verdict is not None
        fits = {account: taken + amount <= limit for account, limit in LIMITS.items()}
        if all(fits.values()):
            assert (verdict.reserved, verdict.degraded) == (amount, False)
        elif soft and cheap is not None and not fits[DAY] and taken + cheap <= LIMITS[MONTH]:
            assert (verdict.reserved, verdict.degraded) == (cheap, True)
            self.degraded += 1
            self.beyond = max(self.beyond, taken + cheap - LIMITS[DAY])
        else:
            assert verdict.reserved is None
            assert verdict.short
            self.refused += 1
            return multiple()
        self.reserved[name] = verdict.reserved
        return name

    @rule(name=REQUESTS, amount=AMOUNTS)
    def ask_for_more(self, name: str, amount: int) -> None:
        """A further call reserves on top, within the limits; it counts neither as refused nor as degraded."""
        if name not in self.reserved:
            return
        claims = tuple(Claim(account, limit) for account, limit in LIMITS.items())
        fits = self.taken() + amount <= min(LIMITS.values())
        (verdict,) = self.store.apply([Reserve(name, claims, amount, None, expires_at_us=10, counted=False)])
        assert verdict is not None
        assert verdict.reserved == (amount if fits else None)
        if fits:
            self.reserved[name] += amount

    @rule(names=st.lists(consumes(REQUESTS), max_size=3), share=st.integers(0, 150), unknown=st.booleans())
    def settle(self, names: list[str], share: int, unknown: bool) -> None:
        """However late, exactly what a request cost is booked in the end; several at once are settled as well as one."""
        operations = []
        for name in names:
            estimate = self.reserved.get(name, self.written_off.get(name, 0))
            cost = estimate * share // 100
            operations.append(Settle(name, (DAY, MONTH), estimate, cost, unknown))
            self.spent += cost
            self.beyond += max(cost - estimate, 0)
            self.reserved.pop(name, None)
            self.written_off.pop(name, None)
        self.store.apply(operations)

    @rule()
    def sweep(self) -> None:
        """What nobody settled in time counts as spent, at its estimate."""
        assert self.store.sweep(now_us=11) == len(self.reserved)
        self.written_off |= self.reserved
        self.reserved = {}

    @rule()
    def sweep_too_early(self) -> None:
        """What may still be settled is left alone."""
        assert self.store.sweep(now_us=9) == 0

    def taken(self) -> int:
        return self.spent + sum(self.reserved.values()) + sum(self.written_off.values())

    @invariant()
    def the_balances_are_the_sums(self) -> None:
        """Both accounts show what was spent and what is reserved, to the last picodollar."""
        balances = self.store.balances([DAY.period, MONTH.period])
        expected = self.spent + sum(self.written_off.values()), sum(self.reserved.values())
        for account in (DAY, MONTH):
            balance = balances.get(account, Balance())
            assert (balance.spent, balance.reserved) == expected
        assert balances.get(DAY, Balance()).degraded == self.degraded

    @invariant()
    def no_limit_is_passed(self) -> None:
        """Beyond a limit goes only what requests cost beyond their estimates, and what soft budgets let pass."""
        assert self.taken() <= LIMITS[DAY] + self.beyond

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


Ledger.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestLedger: Callable[..., Any] = Ledger.TestCase
