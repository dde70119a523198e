import re
from decimal import Decimal
from pathlib import Path

import pytest

from learnedrouter.config import load_settings, unpriced, warnings
from learnedrouter.errors import ConfigError
from tests.conftest import ROOT

SHIPPED = (ROOT / "router.toml").read_text(encoding="utf-8")


def without_price(text: str) -> str:
    """The shipped configuration, in which GPT-5.5 has no price of its own."""
    left, count = re.subn(r'\[models\."gpt-5\.5"\.price\].*?\n\n', "\n", text, flags=re.DOTALL)
    assert count == 1
    return left


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped configuration, in an environment without keys."""
    for key in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    path = tmp_path / "router.toml"
    path.write_text(SHIPPED, encoding="utf-8")
    return path


def test_the_shipped_configuration_has_the_documented_ladder(config: Path) -> None:
    """Four tiers at the article's prices, bound to loopback, offline for want of keys."""
    settings = load_settings(config)

    prices = {name: settings.price(tier.models[0]) for name, tier in zip(settings.ladder.names, settings.tiers, strict=True)}
    shown = {name: (float(price.input_mtok), float(price.output_mtok)) for name, price in prices.items() if price}
    assert shown == {"bulk": (0.27, 1.10), "structured": (3, 12), "standard": (3, 15), "complex": (5, 25)}
    assert settings.host == "127.0.0.1"
    assert settings.is_offline


def test_keys_come_from_the_environment_and_from_dotenv(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins; no key is ever printed."""
    (config.parent / ".env").write_text("OPENAI_API_KEY=sk-from-file\nANTHROPIC_API_KEY=sk-file-too\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-environment")

    settings = load_settings(config)

    assert settings.provider_keys["openai"].get_secret_value() == "sk-from-environment"
    assert settings.provider_keys["anthropic"].get_secret_value() == "sk-file-too"
    assert not settings.is_offline
    assert "sk-" not in repr(settings)


def test_the_environment_wins_over_the_file_and_options_over_both(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LEARNEDROUTER_PORT is port, and nested keys are joined by two underscores."""
    monkeypatch.setenv("LEARNEDROUTER_PORT", "9001")
    monkeypatch.setenv("LEARNEDROUTER_DEADLINE_SECONDS", "7")
    monkeypatch.setenv("LEARNEDROUTER_BREAKER__FAILURES", "2")

    settings = load_settings(config, port=9002)

    assert (settings.port, settings.deadline_seconds, settings.breaker.failures) == (9002, 7, 2)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version = 1", "version = 2", "version: Input should be 1"),
        ("port = 8080", "port = 99999", "port: "),
        ("port = 8080", "prot = 8080", "prot: Extra inputs are not permitted"),
        ('models = ["gpt-5.5"]', 'models = ["gpt-9"]', "tier 'structured': model 'gpt-9' is not one of models"),
        ('models = ["gpt-5.5"]', "models = []", "tier 'structured': has no models"),
        ('name = "bulk"', 'name = "complex"', "at least two different"),
        ('provider = "deepseek"', 'provider = "depseek"', "models.deepseek-v3.provider: 'depseek' is not one of providers"),
        ('input_mtok = "0.27"', 'input_mtok = "-1"', "models.deepseek-v3.price.input_mtok"),
        ('kind = "anthropic"', 'kind = "cohere"', "providers.anthropic.kind"),
        ("version = 1", "version = ", "not TOML"),
    ],
)
def test_a_wrong_key_is_named(config: Path, old: str, new: str, problem: str) -> None:
    """One line that names the file, the key and what was expected."""
    assert old in SHIPPED
    config.write_text(SHIPPED.replace(old, new, 1), encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_settings(config)

    assert str(caught.value).startswith(f"{config}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_value_in_the_environment_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds several values is JSON there."""
    monkeypatch.setenv("LEARNEDROUTER_LEDGER", "abc")

    with pytest.raises(ConfigError, match=r'^the environment: .*"ledger"'):
        load_settings(config)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No configuration is an error, not a default."""
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(tmp_path / "router.toml")


def test_prices_that_differ_from_the_list_are_told(config: Path) -> None:
    """The article's price for GPT-5.5 is not the listed one; the others are."""
    (only,) = warnings(load_settings(config))

    listed = "5 in / 30 out; over 272,000 tokens in: 10 in / 45 out"
    assert only.startswith(f"gpt-5.5: configured at 3 in / 12 out USD per million tokens, but listed at {listed}")


def test_an_inverted_ladder_is_told(config: Path) -> None:
    """A stronger tier that costs less is allowed, and pointed out."""
    config.write_text(SHIPPED.replace('input_mtok = "5"\noutput_mtok = "25"', 'input_mtok = "1"\noutput_mtok = "2"', 1), encoding="utf-8")

    told = warnings(load_settings(config))

    assert any(warning.startswith("tier 'complex' is cheaper (1 in / 2 out) than 'standard'") for warning in told)


def test_a_model_without_a_configured_price_takes_the_listed_one(config: Path) -> None:
    """The list price bears its source."""
    config.write_text(without_price(SHIPPED), encoding="utf-8")

    price = load_settings(config).price("gpt-5.5")

    assert price is not None
    assert (price.input_mtok, price.output_mtok) == (5, 30)
    assert price.source.startswith("genai-prices")


def test_a_configured_price_has_its_source_its_date_and_its_steps(config: Path) -> None:
    """What is billed can be traced to where its price stands; long requests have their own."""
    step = '[[models."gpt-5.5".price.steps]]\nover_input_tokens = 272_000\ninput_mtok = "6"\noutput_mtok = "18"\n\n'
    config.write_text(SHIPPED.replace('[models."claude-sonnet-4.6"]', step + '[models."claude-sonnet-4.6"]', 1), encoding="utf-8")
    settings = load_settings(config)

    bulk, structured = settings.price("deepseek-v3"), settings.price("gpt-5.5")

    assert bulk is not None
    assert bulk.source == "router.toml (https://api-docs.deepseek.com/quick_start/pricing, 2025-02-09)"
    assert structured is not None
    assert [(step.over_input_tokens, step.price.input_mtok) for step in structured.steps] == [(272_000, Decimal(6))]


def test_steps_out_of_order_are_refused(config: Path) -> None:
    """Which price holds for a request must not depend on who reads the file."""
    step = '[[models."gpt-5.5".price.steps]]\nover_input_tokens = 100\ninput_mtok = "6"\noutput_mtok = "18"\n\n'
    config.write_text(SHIPPED.replace('[models."claude-sonnet-4.6"]', step * 2 + '[models."claude-sonnet-4.6"]', 1), encoding="utf-8")

    with pytest.raises(ConfigError, match=r"models\.gpt-5\.5\.price: steps: over_input_tokens \[100, 100\]: expected each above"):
        load_settings(config)


def test_a_model_without_any_price_is_told(config: Path) -> None:
    """Unknown is said, not priced at nothing."""
    text = SHIPPED.replace('upstream_model = "gpt-5.5"', 'upstream_model = "home-grown"', 1)
    config.write_text(without_price(text), encoding="utf-8")
    settings = load_settings(config)

    assert settings.price("gpt-5.5") is None
    assert unpriced(settings) == ["gpt-5.5"]
    assert any(told.startswith("no price, in router.toml or in genai-prices: gpt-5.5; ") for told in warnings(settings))
