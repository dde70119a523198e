"""What the traffic in a ledger cost and saved, by hand and by property."""

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.accounting.savings import Controls, Savings, account
from learnedrouter.accounting.traffic import Period, read_traffic
from learnedrouter.chat import Usage
from learnedrouter.errors import InputError
from tests.accounting.ledgers import NOON, PRICES, RUNGS, TIERS, attempt, event, unpriced, write_ledger

SMALL, LARGE = Usage(2_000, output_tokens=500), Usage(100_000, output_tokens=4_000)
NOTHING = Decimal(0)


def accounted(events, by=None) -> Savings:
    return account(events, Controls(RUNGS, PRICES), by)


def test_a_day_by_hand() -> None:
    """Spent, baseline and saved of four requests, each sum done on paper."""
    total = accounted(
        [
            event("bulk", SMALL),  # 0.002 x 0.27 + 0.0005 x 1.10 = 0.00109; at Opus 0.002 x 5 + 0.0005 x 25 = 0.0225
            event("standard", LARGE),  # 0.1 x 3 + 0.004 x 15 = 0.36; at Opus 0.1 x 5 + 0.004 x 25 = 0.6
            event("complex", LARGE),  # 0.6; the baseline itself
            event("standard", Usage(0, 90_000, 10_000, 1_000, 0, 4_000)),  # 0.027 + 0.006 x 3.75 + 0.004 x 6 + 0.015 = 0.0885
        ]
    ).total

    assert total.spent_usd == Decimal("1.04959")
    assert total.baseline_usd == Decimal("1.37")  # 0.0225 + 0.6 + 0.6 + (0.045 + 0.006 x 6.25 + 0.004 x 10 + 0.025 = 0.1475)
    assert total.saved_usd(NOTHING) == Decimal("0.32041")
    assert (total.requests, total.unknown_costs, total.in_vain_usd) == (4, 0, 0)


def test_the_routers_own_time_is_taken_off() -> None:
    """Four milliseconds at 0.90 USD an hour are a millionth of a dollar."""
    total = accounted([event("bulk", SMALL, decision_seconds=0.004)]).total

    assert total.router_usd(Decimal("0.90")) == Decimal("0.000001")
    assert total.saved_usd(Decimal("0.90")) == total.saved_usd(NOTHING) - Decimal("0.000001")


def test_what_was_spent_in_vain_counts_against_the_router() -> None:
    """A discarded answer and a failure that told its usage are spent, and bought nothing; each is told by what went wrong."""
    discarded = attempt("bulk", "invalid_structure", SMALL)  # 0.00109
    broken = attempt("structured", "unavailable", Usage(2_000, output_tokens=0))  # 0.006
    lost = attempt("standard", "timeout", status=None)
    found = accounted([event("complex", SMALL, before=(discarded, broken, lost)), event(None, before=(broken,))])

    assert found.total.spent_usd == Decimal("0.03559")  # 0.00109 + 0.006 + 0.0225, and 0.006
    assert found.total.in_vain_usd == Decimal("0.01309")
    assert found.total.saved_usd(NOTHING) == Decimal("-0.01309")
    assert (found.total.unanswered, found.total.unaccounted_attempts) == (1, 1)
    assert {outcome: (entry.attempts, entry.usd, entry.unaccounted) for outcome, entry in found.in_vain.items()} == {
        "invalid_structure": (1, Decimal("0.00109"), 0),
        "unavailable": (2, Decimal("0.012"), 0),
        "timeout": (1, NOTHING, 1),
    }


def test_unknown_costs_are_counted_and_never_nothing() -> None:
    """Of a broken stream and of a model without a price only what is certain is spent, and none of it is compared."""
    discarded = attempt("bulk", "empty", SMALL)  # 0.00109
    *_, cut = event("bulk", Usage(2_000)).attempts
    broken = replace(event("bulk", Usage(2_000)), attempts=(replace(cut, part_usd=Decimal("0.00054")),))
    found = accounted([broken, unpriced(event("standard", SMALL, before=(discarded,))), event("bulk", SMALL)])

    assert (found.total.requests, found.total.unknown_costs) == (3, 2)
    assert found.total.spent_usd == Decimal("0.00272")  # 0.00054, 0.00109 and 0.00109
    assert found.total.partial_usd == Decimal("0.00163")
    assert (found.total.compared_usd, found.total.baseline_usd) == (Decimal("0.00109"), Decimal("0.0225"))
    assert found.in_vain["empty"].usd == found.total.in_vain_usd == Decimal("0.00109")
    assert (found.controls.requests, found.controls.left_out) == (1, 2)


def test_controls_by_hand() -> None:
    """Half of the requests at each of two tiers: the random router pays half of what each would cost for all."""
    controls = accounted([event("bulk", SMALL), event("complex", LARGE)]).controls

    assert controls.router_usd == controls.booked_usd == Decimal("0.60109")
    assert controls.cheapest_usd == Decimal("0.03249")  # 0.00109 + 0.1 x 0.27 + 0.004 x 1.10
    assert controls.strongest_usd == Decimal("0.6225")
    assert controls.random_usd == Decimal("0.327495")  # (0.03249 + 0.6225) / 2
    assert controls.repriced == 0


def test_answers_booked_at_other_prices_are_told() -> None:
    """Today's price is not that of the day: the controls say so, and what was spent stays what it was."""
    cheaper = PRICES | {"deepseek-v3": PRICES["gpt-5.5"]}
    found = account([event("bulk", SMALL)], Controls(RUNGS, cheaper))

    assert found.controls.repriced == 1
    assert (found.controls.booked_usd, found.controls.router_usd) == (Decimal("0.00109"), Decimal("0.012"))
    assert found.total.spent_usd == Decimal("0.00109")


def test_doubt_is_what_the_probabilities_leave() -> None:
    """Of ten sent to a tier that will do with 0.9, one is expected to fall short."""
    found = accounted([event("bulk", SMALL, sufficiency=(0.9, 0.95, 1.0, 1.0)) for _ in range(10)])

    assert found.doubt.expected_below == pytest.approx(1.0)
    assert found.doubt.by_artifact == {"small@1": 10}


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("tier", {"bulk": 2, "complex": 1, "(none)": 1}),
        ("model", {"deepseek-v3": 2, "claude-opus": 1, "(none)": 1}),
        ("day", {"2026-11-23": 3, "2026-11-24": 1}),
        ("key", {"alice": 2, "(none)": 2}),
        ("tag", {"team=a": 2, "app=x": 1, "(none)": 2}),
    ],
)
def test_groups(by: str, groups: dict[str, int]) -> None:
    """Each request is in the group of its tier, model, day (UTC) and key, and in one for each of its tags."""
    events = [
        event("bulk", SMALL, key="alice", tags={"team": "a", "app": "x"}),
        event("bulk", SMALL, key="alice", tags={"team": "a"}),
        event("complex", SMALL),
        event(None, at=timedelta(hours=13)),
    ]

    assert {name: tally.requests for name, tally in accounted(events, by).groups.items()} == groups


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    """From the file the account is the same to the last digit, and of a period only what came in it."""
    events = [event(tier, SMALL, at=timedelta(minutes=place), tags={"n": str(place)}) for place, tier in enumerate(TIERS)]
    ledger = write_ledger(tmp_path / "ledger.db", events)

    with read_traffic(str(ledger), Period()) as read:
        whole = accounted(read)
    with read_traffic(f"sqlite:///{ledger}", Period(NOON + timedelta(minutes=1), NOON + timedelta(minutes=3))) as read:
        part = accounted(read, "tag")

    assert whole.total == accounted(events).total
    assert whole.controls == accounted(events).controls
    assert list(part.groups) == ["n=1", "n=2"]


def test_reading_keeps_no_writer_waiting(tmp_path: Path) -> None:
    """While a report reads, the service goes on writing; whatever the file is called."""
    path = tmp_path / "a ledger? 100%.db"
    write_ledger(path, [event("bulk", SMALL) for _ in range(3)])

    with read_traffic(str(path), Period()) as read:
        next(read)
        write_ledger(path, [event("complex", SMALL)])

    with read_traffic(str(path), Period()) as read:
        assert accounted(read).total.requests == 4


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    """A missing file is not created; another file, and an unknown database, are named."""
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    for address, problem in (
        (str(tmp_path / "none.db"), "does not exist"),
        (str(tmp_path / "notes.txt"), "no ledger can be read there"),
        ("nosuch://host/db", "not a database that can be used"),
    ):
        with pytest.raises(InputError, match=problem), read_traffic(address, Period()):
            pass
    assert not (tmp_path / "none.db").exists()


usages = st.builds(lambda read, cached, out: Usage(read, cached, 0, out), *(st.integers(0, 300_000),) * 3)
answered = st.builds(event, st.sampled_from(TIERS), usages)
events = st.lists(st.one_of(answered, answered.map(unpriced), st.builds(event, st.none())), max_size=12)


@given(events)
def test_no_sum_is_negative_and_controls_stay_in_bounds(told) -> None:
    """The random router costs something between the cheapest tier for all and the dearest; groups add up to the whole."""
    found = accounted(told, "tier")
    total, controls = found.total, found.controls

    assert min(total.spent_usd, total.in_vain_usd, total.baseline_usd, total.compared_usd) >= 0
    assert total.in_vain_usd <= total.spent_usd
    assert total.unknown_costs + total.unanswered <= total.requests
    if controls.requests:
        assert min(controls.all_usd) <= controls.random_usd <= max(controls.all_usd)
    assert sum((tally.spent_usd for tally in found.groups.values()), NOTHING) == total.spent_usd
    assert sum(tally.requests for tally in found.groups.values()) == total.requests


@given(st.lists(answered, min_size=1, max_size=8), st.permutations(range(8)))
def test_the_order_of_the_requests_makes_no_difference(told, order) -> None:
    """Sums of decimals, not of doubles."""
    shuffled = [told[place] for place in order if place < len(told)]

    assert accounted(shuffled).total == accounted(told).total


def test_a_longer_ledger_takes_no_more_memory(tmp_path: Path) -> None:
    """Requests are read a few hundred at a time, and what is summed does not grow with them."""

    def peak_bytes(count: int) -> int:
        path = write_ledger(tmp_path / f"{count}.db", (event("bulk", SMALL, ask="x" * 500) for _ in range(count)))
        tracemalloc.start()
        with read_traffic(str(path), Period()) as read:
            assert accounted(read).total.requests == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(1)  # what the first reading loads and compiles is no concern
    assert peak_bytes(4_000) < 1.3 * peak_bytes(1_000)
