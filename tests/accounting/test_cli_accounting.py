"""The two commands, from the command line to the figures."""

import csv
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from learnedrouter.chat import Usage
from learnedrouter.cli import main
from learnedrouter.cli_options import moment
from learnedrouter.config import LedgerSettings, Settings
from learnedrouter.service.app import create_app
from tests.accounting.ledgers import TIERS, attempt, event, unpriced, write_ledger
from tests.conftest import ROOT
from tests.service.running import fail, wait_until_ready

ARTICLE = "examples/article.toml"
USAGE = Usage(2_000, output_tokens=500)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command in the project's folder; gives its exit status, and what it printed."""
    monkeypatch.chdir(ROOT)

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["learnedrouter", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out + told.err

    return run


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Five requests: one in each tier, the last after a discarded answer; and one of unknown cost."""
    discarded = attempt("bulk", "empty", USAGE)
    events = [event(tier, USAGE, before=(discarded,) if tier == "complex" else ()) for tier in TIERS]
    return write_ledger(tmp_path / "ledger.db", [*events, unpriced(event("bulk", USAGE))])


def test_the_readme_shows_the_figures_of_the_command(run) -> None:
    """Every figure of the article's table, and of the two mixes that reach 70 %, stands in the README as it is computed."""
    status, told = run("simulate", ARTICLE, "--target", "0.7", "--json")
    found, readme = json.loads(told), (ROOT / "README.md").read_text(encoding="utf-8")

    assert status == 0
    for option in found["options"]:
        assert f"{option['usd_per_month']:,.2f}" in readme
    ladder = next(option for option in found["options"] if option["kind"] == "ladder")
    assert [f"{share:.1%}" for share in ladder["saved"].values()] == ["21.5%", "52.9%"]
    for target in found["targets"]:
        assert target["feasible"]
        assert f"{target['moved']:.1%}" in readme
        assert all(f"{share:.1%}" in readme for share in target["shares"].values() if share)


def test_simulate_as_tables(run) -> None:
    """For readers: the costs, the shares with the sources of the prices, what is assumed, and the mix that is asked for."""
    status, told = run("simulate", ARTICLE, "--target", "0.99", "--against", "claude-opus")

    assert status == 0
    assert "a month is 30 days" in told
    assert "3,179.14" in told
    assert "the perfect router is the ladder" in told
    assert "To save 99.0% against claude-opus for all: infeasible; the nearest is 95.4%, at 10.28 USD a day." in told


def test_simulate_on_a_ledger(run, ledger: Path, tmp_path: Path) -> None:
    """Shares and tokens are the traffic's; prices and a threshold are tried on it without any call."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[prices.claude-opus]\ninput_mtok = "1"\noutput_mtok = "5"\n', encoding="utf-8")
    status, told = run("simulate", "--ledger", ledger, "--prices", prices, "--threshold", "1", "--target", "0.5", "--json")
    found = json.loads(told)

    assert status == 0
    assert found["requests"] == 5
    assert found["otherwise"]["shares"]["complex"]["ladder"] == 1.0
    assert found["changed"] == 4
    served = {option["name"]: option["usd_per_day"] for option in found["as_served"]["options"]}
    then = {option["name"]: option["usd_per_day"] for option in found["otherwise"]["options"]}
    assert served["claude-opus"] == then["ladder"] == 5 * 0.0045
    assert served["ladder"] == pytest.approx(2 * 0.00109 + 0.012 + 0.0135 + 0.0045)
    assert run("simulate", "--ledger", ledger, "--threshold", "1")[0] == 0


def test_savings_as_tables(run, ledger: Path) -> None:
    """Sums, what was in vain, the controls, what is unknown and what cannot be known."""
    status, told = run("savings", "--ledger", f"sqlite:///{ledger}", "--by", "tier")

    assert status == 0
    assert [line.split("│")[1].strip() for line in told.splitlines() if line.startswith("│")][:5] == [*TIERS, "total"]
    for part in ("random, same tier shares", "always cheapest", "Cost unknown: 1 requests", "empty", "What this cannot know"):
        assert part in told


def test_savings_as_json_and_csv(run, ledger: Path) -> None:
    """The same figures; CSV has them to the last digit."""
    status, told = run("savings", "--ledger", ledger, "--json")
    _, rows = run("savings", "--ledger", ledger, "--by", "model", "--csv")
    found, groups = json.loads(told), list(csv.DictReader(StringIO(rows)))

    assert status == 0
    assert found["total"]["spent_usd"] == pytest.approx(0.00109 + 0.012 + 0.0135 + 0.0225 + 0.00109)
    assert (found["total"]["unknown_costs"], found["controls"]["requests"]) == (1, 4)
    assert found["controls"]["always_strongest_usd"] == pytest.approx(0.09)
    assert found["quality"]["cannot_know"]
    assert sum(Decimal(row["spent_usd"]) for row in groups) == Decimal("0.05018")
    assert {row["model"] for row in groups} == {"deepseek-v3", "gpt-5.5", "claude-sonnet-4.6", "claude-opus"}


def test_no_traffic_is_no_error(run, tmp_path: Path) -> None:
    """A ledger of a service that nobody has asked yet."""
    empty = write_ledger(tmp_path / "empty.db", [])

    assert "No requests in that time." in run("savings", "--ledger", empty)[1]
    assert json.loads(run("savings", "--ledger", empty, "--json")[1])["total"]["saved_share"] is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:30+02:00", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
        ("90m", datetime.now(UTC) - timedelta(minutes=90)),
        ("2w", datetime.now(UTC) - timedelta(days=14)),
    ],
)
def test_moments(text: str, meant: datetime) -> None:
    """A date, a time in UTC or with its zone, or so long ago."""
    found = moment("--since", text)

    assert found is not None
    assert abs(found - meant) < timedelta(hours=1)


BAD = [
    (("simulate",), "expected either a workload file or --ledger"),
    (("simulate", "no-such.toml"), "no-such.toml: does not exist"),
    (("simulate", ARTICLE, "--target", "7"), "--target '7': expected a share"),
    (("simulate", ARTICLE, "--target", "nan"), "--target 'nan': expected a share"),
    (("simulate", ARTICLE, "--against", "gpt-9"), "--against 'gpt-9': expected one of deepseek-v3"),
    (("simulate", ARTICLE, "--threshold", "0.5"), "--threshold, --artifact, --since and --until: are about --ledger"),
    (("simulate", ARTICLE, "--ledger", "x.db"), "expected either a workload file or --ledger"),
    (("simulate", "--ledger", "{ledger}", "--threshold", "1.5"), "threshold 1.5: expected a number in [0, 1]"),
    (("simulate", "--ledger", "{ledger}", "--artifact", "no/such"), "no/such: holds no artefact"),
    (("simulate", "--ledger", "{ledger}", "--since", "2030-01-01"), "the ledger holds none in that time"),
    (("savings", "--ledger", "no-such.db"), "no-such.db: does not exist"),
    (("savings", "--ledger", "{ledger}", "--since", "yesterday"), "--since 'yesterday': expected a date"),
    (("savings", "--ledger", "{ledger}", "--since", "999999w"), "--since '999999w': expected a date"),
    (("savings", "--ledger", "nosuch://me:secret@host/db"), "nosuch://me:***@host/db: not a database"),
    (("savings", "--ledger", "{ledger}", "--by", "colour"), "--by 'colour': expected one of tier"),
    (("savings", "--ledger", "{ledger}", "--json", "--csv"), "--json and --csv: expected one of them"),
]


@pytest.mark.parametrize(("arguments", "problem"), BAD)
def test_bad_input_is_one_line_and_status_two(run, ledger: Path, arguments: tuple[str, ...], problem: str) -> None:
    """No traceback; the line says what and where."""
    status, told = run(*(argument.format(ledger=ledger) for argument in arguments))

    assert status == 2
    assert told.startswith("learnedrouter: ")
    assert problem in told
    assert told.count("\n") == 1


def by_hand(settings: Settings, model: str, usage: dict[str, int]) -> Decimal:
    price = settings.models[model].price
    assert price is not None
    return (usage["input_tokens"] * price.input_mtok + usage["output_tokens"] * price.output_mtok) / 1_000_000


def test_the_service_and_the_report_agree_to_the_last_digit(settings: Settings, tmp_path: Path, run) -> None:
    """What the answers' own token counts cost by hand is what `savings` says was spent, and what the top tier would have."""
    path = tmp_path / "service.db"
    kept = settings.model_copy(update={"ledger": LedgerSettings(url=f"sqlite:///{path}")})
    asks = ["translate to French: good morning", "Prove that the square root of 2 is irrational", "hello", "Write a parser for TOML"]
    spent = baseline = Decimal(0)
    with TestClient(create_app(kept, fail)) as client:
        wait_until_ready(client)
        for place, ask in enumerate(asks * 5):
            answer = client.post("/route", json={"prompt": f"{ask} ({place})", "threshold": place / 20}).json()
            spent += by_hand(settings, answer["model"], answer["usage"])
            baseline += by_hand(settings, "claude-opus", answer["usage"])
    rows = list(csv.DictReader(StringIO(run("savings", "--ledger", path, "--csv")[1])))

    assert len(rows) == 1
    assert (rows[0]["requests"], rows[0]["unknown_costs"]) == ("20", "0")
    assert Decimal(rows[0]["spent_usd"]) == spent
    assert Decimal(rows[0]["baseline_usd"]) == baseline
    assert Decimal(rows[0]["saved_usd"]) == baseline - spent
