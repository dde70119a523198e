"""Settings: ``router.toml``, over it the environment; keys from ``.env``, too. Read once, when asked; never at import."""

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from learnedrouter.errors import ConfigError, InputError
from learnedrouter.price_settings import PriceSettings, Usd
from learnedrouter.pricing import Price, list_price
from learnedrouter.providers.bodies import LimitName, ParameterPolicy
from learnedrouter.tiers import Ladder

Capability = Literal["images", "tools", "json_schema"]
Policy = Literal["escalate", "pass"]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


CLIENT_KEYS_ENV = "LEARNEDROUTER_API_KEYS"
"""Holds the keys that callers may show, separated by commas; without it, nobody needs one."""


KEY_NAME = r"^[A-Za-z0-9_.-]{1,64}$"

_SCOPE = re.compile(r"global|each-key|key:(.+)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(_Section):
    """A model, by the name that requests, answers and bills use."""

    provider: str
    upstream_model: str = ""
    context_window: Positive = 128_000
    max_output_tokens: Positive = 4_096
    timeout_seconds: Seconds = 60.0
    supports: frozenset[Capability] = frozenset()
    params: dict[str, ParameterPolicy] = {}
    price: PriceSettings | None = None


class ProviderSettings(_Section):
    """An account at a provider; `kind` is the dialect that it speaks, `limit_name` the only name it knows for a limit on output."""

    kind: Literal["openai", "anthropic"]
    api_key_env: str
    base_url: str | None = None
    limit_name: LimitName | None = None


class TierSettings(_Section):
    """A tier and its models, in the order in which they are tried."""

    name: str
    models: tuple[str, ...]


class ClassifierSettings(_Section):
    """How much may wait for the classifier, and how many of its judgements are remembered."""

    queue: Positive = 256
    remembered: Annotated[int, Field(ge=0)] = 10_000


class BreakerSettings(_Section):
    """When a model's circuit breaker opens, and for how long."""

    failures: Positive = 5
    recovery_seconds: Seconds = 30.0


class ConversationSettings(_Section):
    """How conversations keep their models."""

    mode: Literal["off", "cache-aware", "pinned"] = "cache-aware"
    size: Positive = 10_000
    idle_seconds: Annotated[float, Field(ge=0)] = 300.0
    forget_seconds: Seconds = 3_600.0


class AnswerSettings(_Section):
    """What becomes of a whole answer that falls short: the next model up is asked once, or it is let pass."""

    invalid_structure: Policy = "escalate"
    empty: Policy = "escalate"
    truncated: Policy = "pass"


class SavingsSettings(_Section):
    """What the router itself costs, for accounts of what it saves."""

    router_usd_per_hour: Usd = Decimal(0)


class LoggingSettings(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    prompts: bool = False


class TraceSettings(_Section):
    """Whether there are traces; where they go, OpenTelemetry's own variables say."""

    enabled: bool = False


class LedgerSettings(_Section):
    """Where each request's row is kept, and what of the ask is kept with it."""

    enabled: bool = True
    url: str = "sqlite:///ledger.db"
    capture: Literal["off", "embedding", "text"] = "off"
    synchronous: Literal["normal", "full"] = "normal"
    queue_rows: Positive = 10_000
    lock_seconds: Seconds = 2.0
    wait_seconds: Seconds = 10.0
    keep_days: Positive | None = None


class KeySettings(_Section):
    """A caller's key, by the name that budgets, the ledger and reports use; `key_env` names the variable that holds it."""

    key_env: str


class BudgetSettings(_Section):
    """A limit to what is spent in a day or a month, by UTC's calendar."""

    name: Annotated[str, Field(max_length=64)] = ""
    scope: str = "global"
    period: Literal["day", "month"]
    limit_usd: Annotated[Decimal, Field(gt=0, le=1_000_000)]  # 1e18 picodollars, a ninth of what 64 bits hold: sums fit
    past: Literal["refuse", "degrade"] = "refuse"

    @property
    def title(self) -> str:
        """The name that it is known by."""
        return self.name or f"{self.scope}-{self.period}"


class Settings(BaseSettings):
    """Everything that can be configured; see ``router.toml`` for what each key does."""

    model_config = SettingsConfigDict(env_prefix="LEARNEDROUTER_", env_nested_delimiter="__", extra="forbid", frozen=True)

    version: Literal[1] = 1
    artifact: Path = Path("models/default")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    offline: bool | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    deadline_seconds: Seconds = 120.0
    stream_idle_seconds: Seconds = 60.0
    max_body_bytes: Positive = 10_485_760
    expected_output_tokens: Positive = 500
    explained_requests: Positive = 1_000
    classifier: ClassifierSettings = ClassifierSettings()
    workers: Positive = 1
    shutdown_seconds: Positive = 30
    logging: LoggingSettings = LoggingSettings()
    traces: TraceSettings = TraceSettings()
    breaker: BreakerSettings = BreakerSettings()
    conversations: ConversationSettings = ConversationSettings()
    answers: AnswerSettings = AnswerSettings()
    savings: SavingsSettings = SavingsSettings()
    ledger: LedgerSettings = LedgerSettings()
    budgets: tuple[BudgetSettings, ...] = ()
    budgets_unavailable: Literal["open", "closed"] = "open"
    keys: dict[Annotated[str, Field(pattern=KEY_NAME)], KeySettings] = {}
    tiers: tuple[TierSettings, ...]
    providers: dict[str, ProviderSettings]
    models: dict[str, ModelSettings]
    provider_keys: dict[str, SecretStr] = {}
    client_keys: tuple[SecretStr, ...] = ()
    named_keys: dict[str, SecretStr] = {}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content comes as init arguments."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _references_hold(self) -> "Settings":
        for name, model in self.models.items():
            if model.provider not in self.providers:
                raise ValueError(f"models.{name}.provider: {model.provider!r} is not one of providers {sorted(self.providers)}")
        for tier in self.tiers:
            if not tier.models:
                raise ValueError(f"tier {tier.name!r}: has no models; expected at least one")
            if unknown := [name for name in tier.models if name not in self.models]:
                raise ValueError(f"tier {tier.name!r}: model {unknown[0]!r} is not one of models {sorted(self.models)}")
        try:
            _ = self.ladder
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _budgets_hold(self) -> "Settings":
        titles = [budget.title for budget in self.budgets]
        for place, budget in enumerate(self.budgets):
            where, match = f"budgets[{place}]", _SCOPE.fullmatch(budget.scope)
            if not match:
                raise ValueError(f"{where}.scope: {budget.scope!r} is neither 'global', 'each-key' nor 'key:NAME'")
            key = match.group(1)
            if key and key not in self.keys and not re.fullmatch("[0-9a-f]{12}", key):
                raise ValueError(f"{where}.scope: {key!r} is not one of keys {sorted(self.keys)}, nor a key's id (12 hexadecimal digits)")
            if titles.index(budget.title) < place:
                raise ValueError(f"{where}: another budget is called {budget.title!r} too; give it a name of its own")
        return self

    @property
    def ladder(self) -> Ladder:
        """The tiers' names, cheapest first."""
        return Ladder(tuple(tier.name for tier in self.tiers))

    @property
    def is_offline(self) -> bool:
        """Whether the built-in provider answers in place of all others: asked for, or for want of any key."""
        return not self.provider_keys if self.offline is None else self.offline

    def price(self, model: str) -> Price | None:
        """Return a model's price: the configured one, else the list price, else None."""
        settings = self.models[model]
        if settings.price is None:
            return list_price(settings.upstream_model or model, settings.provider)
        return settings.price.price("router.toml")


def load_settings(path: Path, **overrides: Any) -> Settings:
    """Return the settings of `path`, the environment over it, and `overrides` over both.

    Keys of providers, and those that callers must show (`CLIENT_KEYS_ENV`), are taken from the environment, and from
    ``.env`` beside the file where it lacks them.

    Raises
    ------
    ConfigError
        The file is missing or no TOML, or a key is unknown or holds something else than it must; names the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist; expected a router.toml") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from error
    known: Mapping[str, str | None] = {**dotenv_values(path.parent / ".env"), **os.environ}
    try:
        settings = Settings(**content)
    except SettingsError as error:
        raise ConfigError(f"the environment: {error}; expected JSON for a key that holds several values") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}") from error
    keys = {name: SecretStr(key) for name, provider in settings.providers.items() if (key := known.get(provider.api_key_env))}
    named = {name: SecretStr(key) for name, caller in settings.keys.items() if (key := (known.get(caller.key_env) or "").strip())}
    unnamed = tuple(SecretStr(key) for part in (known.get(CLIENT_KEYS_ENV) or "").split(",") if (key := part.strip()))
    chosen = {key: value for key, value in overrides.items() if value is not None}
    return settings.model_copy(update={"provider_keys": keys, "client_keys": (*unnamed, *named.values()), "named_keys": named, **chosen})


def unpriced(settings: Settings) -> list[str]:
    """Return the models of the ladder whose price is unknown: where cost decides, they are refused."""
    return [name for name in _laddered(settings) if settings.price(name) is None]


def warnings(settings: Settings) -> list[str]:
    """Return what is odd about settings that are valid: an inverted ladder, stale or missing prices."""
    found = []
    if unknown := unpriced(settings):
        found.append(
            f"no price, in router.toml or in genai-prices: {', '.join(unknown)}; what they cost is unknown, and where cost decides they "
            "are refused"
        )
    for model in _laddered(settings):
        configured = settings.price(model)
        listed = list_price(settings.models[model].upstream_model or model, settings.models[model].provider)
        if configured and listed and _shown(configured) != _shown(listed):
            found.append(
                f"{model}: configured at {_shown(configured)} USD per million tokens, but listed at {_shown(listed)} ({listed.source})"
            )
    priced = [(tier.name, price) for tier in settings.tiers if (price := settings.price(tier.models[0]))]
    for (lower, cheap), (higher, dear) in pairwise(priced):
        if dear.input_mtok + dear.output_mtok < cheap.input_mtok + cheap.output_mtok:
            found.append(
                f"tier {higher!r} is cheaper ({_shown(dear)}) than {lower!r} under it ({_shown(cheap)}); requests will pay more for less"
            )
    return found


def _laddered(settings: Settings) -> list[str]:
    return list(dict.fromkeys(name for tier in settings.tiers for name in tier.models))


def _shown(price: Price) -> str:
    rates = f"{price.input_mtok.normalize():f} in / {price.output_mtok.normalize():f} out"
    return "; ".join((rates, *(f"over {step.over_input_tokens:,} tokens in: {_shown(step.price)}" for step in price.steps)))
