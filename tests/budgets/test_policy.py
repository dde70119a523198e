"""Whom a budget holds for, and when its period ends."""

import hashlib
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from learnedrouter.budgets.opening import budgets_of
from learnedrouter.budgets.policy import Account, Budget, Past, Period, to_pico, to_usd
from learnedrouter.chat import Usage
from learnedrouter.config import Settings, load_settings
from learnedrouter.errors import ConfigError
from learnedrouter.pricing import Price
from learnedrouter.service.client_keys import ClientKeys
from learnedrouter.service.server import refuse_open_door
from tests.conftest import ROOT

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "now", "label", "ends"),
    [
        (Period.DAY, NOON, "2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        (Period.DAY, datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.DAY, datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-23", datetime(2026, 11, 24, tzinfo=UTC)),
        (Period.MONTH, NOON, "2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 31, tzinfo=UTC), "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2028, 2, 29, tzinfo=UTC), "2028-02", datetime(2028, 3, 1, tzinfo=UTC)),
    ],
)
def test_periods_are_utcs(period: Period, now: datetime, label: str, ends: datetime) -> None:
    """Days and months begin at midnight UTC, wherever the clock stands."""
    assert (period.label(now), period.ends(now)) == (label, ends)


@pytest.mark.parametrize(
    ("scope", "key", "subject"),
    [
        ("global", "", ""),
        ("global", "alice", ""),
        ("each-key", "alice", "alice"),
        ("key:alice", "alice", "alice"),
        ("key:alice", "bob", None),
    ],
)
def test_scopes(scope: str, key: str, subject: str | None) -> None:
    """A global budget is one account for all; each key has one of its own; a key's budget is nobody else's."""
    budget = Budget("b", scope, Period.DAY, Decimal(1), Past.REFUSE)

    assert budget.account(key, NOON) == (None if subject is None else Account("b", subject, "2026-11-23"))


def test_money_is_exact() -> None:
    """A token's price is a whole number of picodollars; what is finer is rounded up, so that no cost is lost."""
    cost = Price(Decimal("0.075"), Decimal("0.000001")).cost(Usage(1, output_tokens=1))

    assert cost is not None
    assert to_pico(cost) == 75_001
    assert to_usd(75_001) == Decimal("0.000000075001")
    assert to_pico(Decimal("1e-13")) == 1


SHIPPED = (ROOT / "router.toml").read_text(encoding="utf-8")
BUDGET = '[[budgets]]\nperiod = "day"\nlimit_usd = "10"\n'


def configured(folder: Path, *tables: str) -> Settings:
    config = folder / "router.toml"
    config.write_text("\n".join((SHIPPED, *tables)), encoding="utf-8")
    return load_settings(config)


def test_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget is named after its scope and period where it has no name; named keys come from the environment, beside the others."""
    monkeypatch.setenv("ALICE_KEY", "sk-alice")
    monkeypatch.setenv("LEARNEDROUTER_API_KEYS", "sk-one,sk-two")
    settings = configured(tmp_path, '[keys.alice]\nkey_env = "ALICE_KEY"', BUDGET, BUDGET + 'scope = "key:alice"\npast = "degrade"')

    assert budgets_of(settings) == (
        Budget("global-day", "global", Period.DAY, Decimal(10), Past.REFUSE),
        Budget("key:alice-day", "key:alice", Period.DAY, Decimal(10), Past.DEGRADE),
    )
    named = {name: key.get_secret_value() for name, key in settings.named_keys.items()}
    keys = ClientKeys((key.get_secret_value() for key in settings.client_keys), named)
    one = hashlib.sha256(b"sk-one").hexdigest()[:12]
    assert [keys.recognise([key]) for key in ("sk-alice", "sk-one", "sk-bob")] == ["alice", one, None]


def test_a_named_key_without_a_value_stops_the_service(tmp_path: Path) -> None:
    """Else whoever configured keys would serve anybody."""
    with pytest.raises(ConfigError, match=r"keys\.alice: NO_SUCH_VARIABLE is not set"):
        refuse_open_door(configured(tmp_path, '[keys.alice]\nkey_env = "NO_SUCH_VARIABLE"'))


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (BUDGET.replace("day", "week"), "budgets.0.period: Input should be 'day' or 'month'"),
        (BUDGET.replace("10", "0"), "budgets.0.limit_usd: Input should be greater than 0"),
        (BUDGET.replace("10", "1000001"), "budgets.0.limit_usd: Input should be less than or equal to 1000000"),
        (BUDGET + 'scope = "alice"', "budgets[0].scope: 'alice' is neither 'global', 'each-key' nor 'key:NAME'"),
        (BUDGET + 'scope = "key:alice"', "budgets[0].scope: 'alice' is not one of keys []"),
        (BUDGET + BUDGET, "budgets[1]: another budget is called 'global-day' too"),
        (BUDGET + 'past = "beg"', "budgets.0.past: Input should be 'refuse' or 'degrade'"),
        ('[keys."a b"]\nkey_env = "A"', "keys.a b"),
    ],
)
def test_a_wrong_budget_is_named(tmp_path: Path, table: str, problem: str) -> None:
    """One line that names the budget, the value and what was expected."""
    with pytest.raises(ConfigError, match=re.escape(problem)):
        configured(tmp_path, table)
