"""What the traffic in a ledger would have cost otherwise."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnedrouter.accounting.history import by_artifact, by_threshold, constrained, needed_parts, replay
from learnedrouter.accounting.simulate import reach, simulate
from learnedrouter.accounting.traffic import Period, read_traffic
from learnedrouter.chat import Usage
from learnedrouter.classifier.model import TierClassifier
from learnedrouter.errors import InputError
from learnedrouter.pricing import Price
from learnedrouter.tiers import DEFAULT_LADDER, choose_tier
from tests.accounting.ledgers import PRICES, RUNGS, TIERS, event, write_ledger

USAGE = Usage(2_000, output_tokens=500)
USD = {"bulk": Decimal("0.00109"), "structured": Decimal("0.012"), "standard": Decimal("0.0135"), "complex": Decimal("0.0225")}
"""What a request of `USAGE` costs in each tier: 0.002 x in + 0.0005 x out."""

DOUBTFUL = (0.85, 0.9, 0.95, 1.0)
"""At a threshold of 0.8 for the cheapest tier, at 0.9 for the next, at 0.95 for the third, and above for the top."""


def test_as_it_was_by_hand() -> None:
    """Of two requests in a day: one model for all, the ladder, and a router that needs as the probabilities say."""
    found = replay([event("bulk", USAGE, sufficiency=(0.75, 0.75, 0.75, 1.0)), event("complex", USAGE)], RUNGS, PRICES, None)
    costs = {option.name: option.usd_per_day for option in simulate(found.as_served).options}

    assert costs["claude-opus"] == 2 * USD["complex"]
    assert costs["ladder"] == USD["bulk"] + USD["complex"] == found.booked_usd
    needed = Decimal("0.85") * USD["bulk"] + Decimal("0.1") * USD["structured"] + Decimal("0.2") * USD["standard"]
    assert costs["perfect router"] == needed + Decimal("0.85") * USD["complex"]  # 0.75 + 0.1; 0.1; 0.2; 0.25 + 0.6
    assert (found.requests, found.otherwise, found.as_served.days) == (2, None, 1)


@pytest.mark.parametrize(("threshold", "tier"), [(0.8, "bulk"), (0.9, "structured"), (0.95, "standard"), (0.99, "complex")])
def test_another_threshold(threshold: float, tier: str) -> None:
    """The rule is applied anew to the stored probabilities, and the same tokens are priced where it sends them."""
    requests = [event("structured", USAGE, sufficiency=DOUBTFUL) for _ in range(3)]
    found = replay(requests, RUNGS, PRICES, by_threshold(DEFAULT_LADDER, threshold))

    assert found.otherwise is not None
    assert found.otherwise.sent_usd == 3 * USD[tier]
    assert found.as_served.sent_usd == 3 * USD["structured"]
    assert found.changed == (0 if tier == "structured" else 3)


def test_other_prices() -> None:
    """A model that gets cheaper moves the bill of the requests that it serves, and a further one can be tried for all."""
    others = PRICES | {"claude-opus": Price(Decimal("1"), Decimal("5")), "new": Price(Decimal("2"), Decimal("2"))}
    found = simulate(replay([event("complex", USAGE)], RUNGS, others, None).as_served)

    assert found.option("ladder").usd_per_day == Decimal("0.0045")
    assert found.option("new").usd_per_day == Decimal("0.005")


@pytest.mark.parametrize(
    ("reasons", "then", "now", "kept"),
    [
        (("predicted",), "bulk", 2, 2),
        (("predicted", "forced_tier"), "complex", 0, 3),
        (("predicted", "forced_model"), "standard", 0, 2),
        (("predicted", "conversation"), "standard", 0, 2),
        (("predicted", "min_tier"), "standard", 0, 2),
        (("predicted", "min_tier"), "standard", 3, 3),
        (("escalated", "max_tier"), "bulk", 3, 0),
        (("predicted", "needs_images"), "standard", 0, 2),
        (("predicted", "needs_images"), "standard", 3, 3),
        (("escalated", "needs_context_window"), "bulk", 3, 0),
        (("escalated", "empty"), "structured", 0, 0),
    ],
)
def test_constraints_hold_again(reasons: tuple[str, ...], then: str, now: int, kept: int) -> None:
    """What was forced stays; what was raised is a floor, what was lowered a cap."""
    free = DOUBTFUL if reasons[0] == "predicted" else (0.1, 0.1, 0.1, 1.0)

    assert constrained(event(then, USAGE, reasons=reasons, sufficiency=free), now, DEFAULT_LADDER) == kept


def test_a_fallback_of_then_is_not_undone_where_the_decision_stays() -> None:
    """Decided for the cheapest tier, answered by the top one: it cost what it cost, unless another tier is decided on."""
    request = event("complex", USAGE, tier="bulk", sufficiency=DOUBTFUL)
    same = replay([request], RUNGS, PRICES, by_threshold(DEFAULT_LADDER, 0.8))
    other = replay([request], RUNGS, PRICES, by_threshold(DEFAULT_LADDER, 0.9))

    assert same.otherwise is not None
    assert other.otherwise is not None
    assert (same.otherwise.sent_usd, same.changed) == (USD["complex"], 0)
    assert (other.otherwise.sent_usd, other.changed) == (USD["structured"], 1)


def test_what_cannot_be_replayed_is_counted() -> None:
    """Broken streams, requests without an answer, other ladders, asks that were not captured; and nothing at all is an error."""
    foreign = event("bulk", USAGE, sufficiency=(0.5, 0.6, 0.7, 1.0))
    object.__setattr__(foreign, "served_tier", "gone")
    left = [event(None), event("bulk", Usage(2_000)), foreign]
    found = replay([event("bulk", USAGE), *left], RUNGS, PRICES, None)

    assert found.requests == 1
    assert found.left_out == {"without an answer": 1, "of unknown tokens": 1, "of another ladder": 1}


def test_a_threshold_cannot_be_tried_on_rows_of_another_ladder() -> None:
    """They say nothing of these tiers; that their asks were not captured is no reason."""
    foreign = event("bulk", USAGE)
    object.__setattr__(foreign, "decision", replace(foreign.decision, sufficiency={"small": 0.9, "large": 1.0}))
    found = replay([event("bulk", USAGE), foreign], RUNGS, PRICES, by_threshold(DEFAULT_LADDER, 0.9))

    assert (found.requests, found.left_out) == (1, {"of another ladder": 1})


def test_another_artefact_needs_the_asks(classifier: TierClassifier) -> None:
    """An embedding is not enough, for what stands beside it is measured on the text; one sentence says so, and what would do."""
    nothing, told = event("bulk", USAGE), event("bulk", USAGE)
    embedded = replace(told, asked=replace(told.asked, embedding=np.ones(classifier.encoder.spec.dimension, dtype=np.float32)))

    with pytest.raises(InputError) as raised:
        replay([nothing, embedded], RUNGS, PRICES, by_artifact(classifier, None))

    assert str(raised.value) == (
        "no request can be replayed: 1 whose ask was not captured, 1 of whose ask only the embedding was captured; "
        'another artefact reads the asks themselves, which `[ledger] capture = "text"` alone keeps'
    )


@pytest.mark.parametrize(
    ("reasons", "then"), [(("unfamiliar",), "complex"), (("unfamiliar", "max_tier"), "standard"), (("unfamiliar", "max_tier"), "bulk")]
)
def test_what_was_unfamiliar_stays_where_it_was(reasons: tuple[str, ...], then: str) -> None:
    """Its probabilities are no evidence, whatever the threshold: it goes to the highest tier that is allowed."""
    strange = event(then, USAGE, reasons=reasons, sufficiency=(0.99, 0.99, 0.99, 1.0))
    found = replay([strange], RUNGS, PRICES, by_threshold(DEFAULT_LADDER, 0.5))

    assert found.otherwise is not None
    assert (found.changed, found.otherwise.sent_usd) == (0, USD[then])


def test_what_another_artefact_finds_unfamiliar_goes_to_the_top(classifier: TierClassifier) -> None:
    """As it would have then: to an artefact that knows less, mash on the keyboard is no easy request."""
    assert classifier.familiarity is not None
    narrow = replace(classifier, familiarity=replace(classifier.familiarity, cutoff=100.0))
    mash = "".join(random.Random(7).choices("qxzjkvw#%&{}[]0123456789ABCDEF+/=", k=400))
    found = replay([event("bulk", USAGE, ask=mash)], RUNGS, PRICES, by_artifact(narrow, 0.0))

    assert found.otherwise is not None
    assert found.otherwise.sent_usd == USD["complex"]


def test_another_artefact_reads_the_captured_asks(classifier: TierClassifier, tmp_path: Path) -> None:
    """It decides as it would have: by its own probabilities, at its own threshold; a threshold of 1 goes to its best tier."""
    asks = ["translate to French: good morning", "Prove that there are infinitely many primes congruent to 3 mod 4"]
    ledger = write_ledger(tmp_path / "ledger.db", [event("bulk", USAGE, ask=ask) for ask in asks])
    events = [event("bulk", USAGE, ask=ask) for ask in asks]
    fresh = classifier.assess([told.asked.ask for told in events if told.asked.ask]).sufficiency.tolist()
    expected = sum((USD[TIERS[choose_tier(row, classifier.threshold)]] for row in fresh), Decimal(0))

    with read_traffic(str(ledger), Period()) as read:
        found = replay(read, RUNGS, PRICES, by_artifact(classifier, None))
    sure = replay(events, RUNGS, PRICES, by_artifact(classifier, 1.0))

    assert found.otherwise is not None
    assert sure.otherwise is not None
    assert found.otherwise.sent_usd == expected
    assert sure.otherwise.sent_usd == sum((USD[TIERS[choose_tier(row, 1.0)]] for row in fresh), Decimal(0))


def test_a_month_is_thirty_of_its_days() -> None:
    """Over ten days the bill of a day is a tenth; a shorter time is taken for a whole day, so that nothing is blown up."""
    requests = [event("complex", USAGE, at=timedelta(days=day)) for day in range(11)]
    long, short = (simulate(replay(part, RUNGS, PRICES, None).as_served).option("ladder") for part in (requests, requests[:1]))

    assert long.usd_per_month == 33 * USD["complex"]
    assert short.usd_per_month == 30 * USD["complex"]


def test_a_target_on_real_traffic() -> None:
    """The long requests that go to the dear tiers move first: each of them saves most."""
    requests = [event("complex", USAGE), event("complex", Usage(200_000, output_tokens=500)), event("bulk", USAGE)]
    found = replay(requests, RUNGS, PRICES, None)
    reached = reach(found.as_served, Decimal("0.5"), "claude-opus")

    assert reached.feasible
    assert Decimal("0.5") <= reached.saved < Decimal("0.5001")


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_parts_of_a_request_are_the_whole_request(sufficiency: list[float]) -> None:
    """Whatever the probabilities: none is negative, and together they are one."""
    parts = needed_parts(sufficiency)

    assert min(parts) >= 0
    assert sum(parts) == 1_000_000


@given(st.lists(st.sampled_from(TIERS), min_size=1, max_size=8), st.integers(0, 20), st.integers(0, 20))
def test_a_higher_threshold_never_costs_less(tiers: list[str], one: int, other: int) -> None:
    """Where every tier up the ladder is dearer, as it is for requests without cached input."""
    requests = [event(tier, USAGE) for tier in tiers]
    low, high = (replay(requests, RUNGS, PRICES, by_threshold(DEFAULT_LADDER, step / 20)).otherwise for step in sorted((one, other)))

    assert low is not None
    assert high is not None
    assert low.sent_usd <= high.sent_usd
    assert abs(sum(low.shares("sent").values()) - 1) < Decimal("1e-20")
