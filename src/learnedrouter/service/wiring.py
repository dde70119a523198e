"""From settings to a router: the one place where parts are chosen and put together."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from learnedrouter.chat import Dialect, ModelRef
from learnedrouter.classifier import artifact
from learnedrouter.classifier.worker import ClassifierWorker
from learnedrouter.config import LedgerSettings, Settings
from learnedrouter.conversations import ConversationMode, Conversations
from learnedrouter.errors import ConfigError
from learnedrouter.planning import RoutedModel
from learnedrouter.providers.base import Provider
from learnedrouter.providers.bodies import Link
from learnedrouter.providers.fallback import FallbackChain
from learnedrouter.providers.offline import OfflineProvider
from learnedrouter.router import Limits, Router, Sink
from learnedrouter.sinks.ledger.database import engine_for
from learnedrouter.sinks.ledger.sink import Ledger, Watch
from learnedrouter.sinks.ledger.store import Store

if TYPE_CHECKING:
    from learnedrouter.budgets.gate import Gate


def _openai(key: str, base_url: str | None) -> Provider:
    from learnedrouter.providers.openai import OpenAIProvider  # on use: an SDK takes most of a second and 50 MB

    return OpenAIProvider(key, base_url)


def _anthropic(key: str, base_url: str | None) -> Provider:
    from learnedrouter.providers.anthropic import AnthropicProvider  # as above

    return AnthropicProvider(key, base_url)


_KINDS: Mapping[str, Callable[[str, str | None], Provider]] = {"openai": _openai, "anthropic": _anthropic}


def make_router(settings: Settings, sinks: Sequence[Sink]) -> Router:
    """Load the artefact, and return a router over the configured models. Takes a second or two.

    Raises
    ------
    ArtifactError
        The artefact cannot be used.
    ConfigError
        It was trained for another ladder than the configured one.
    """
    classifier = artifact.load(settings.artifact)
    if classifier.ladder != settings.ladder:
        raise ConfigError(
            f"{settings.artifact} was trained for the tiers {', '.join(classifier.ladder.names)}; "
            f"the configuration has {', '.join(settings.ladder.names)}"
        )
    chain = FallbackChain(
        make_providers(settings),
        failures=settings.breaker.failures,
        recovery_seconds=settings.breaker.recovery_seconds,
        idle_seconds=settings.stream_idle_seconds,
    )
    escalated = frozenset(problem for problem, policy in settings.answers if policy == "escalate")
    limits = Limits(settings.deadline_seconds, settings.expected_output_tokens, settings.threshold, escalated)
    kept = settings.conversations
    conversations = Conversations(
        ConversationMode(kept.mode), size=kept.size, idle_seconds=kept.idle_seconds, forget_seconds=kept.forget_seconds
    )
    gate = make_gate(settings)
    told = (*sinks, gate) if gate else sinks
    worker = ClassifierWorker(
        classifier,
        queue=settings.classifier.queue,
        remembered=settings.classifier.remembered,
        embeddings=settings.ledger.enabled and settings.ledger.capture != "off",
    )
    return Router(worker, make_models(settings), chain, told, limits, conversations, gate)


def make_gate(settings: Settings) -> "Gate | None":
    """Return what lets requests in as far as budgets go; None, and no database, where there are none."""
    if not settings.budgets:
        return None
    from learnedrouter.budgets.opening import open_gate  # imported on use: without budgets, nothing of it is loaded

    return open_gate(settings)


def make_ledger(settings: LedgerSettings, watch: Watch) -> Ledger | None:
    """Return the ledger, not yet started; None where it is switched off.

    Raises
    ------
    ConfigError
        Its database is none that can be used.
    """
    if not settings.enabled:
        return None
    engine = engine_for(settings.url, lock_seconds=settings.lock_seconds, synchronous=settings.synchronous)
    return Ledger(
        Store(engine),
        watch,
        capture=settings.capture,
        queue_rows=settings.queue_rows,
        wait_seconds=settings.wait_seconds,
        keep_days=settings.keep_days,
    )


def make_providers(settings: Settings) -> Mapping[str, Provider]:
    """Return a provider for each account that has a key; offline, the built-in one in place of all."""
    if settings.is_offline:
        return {name: OfflineProvider(Dialect(account.kind)) for name, account in settings.providers.items()}
    return {
        name: _KINDS[account.kind](settings.provider_keys[name].get_secret_value(), account.base_url)
        for name, account in settings.providers.items()
        if name in settings.provider_keys
    }


def make_models(settings: Settings) -> list[RoutedModel]:
    """Return the models that can be called, tier by tier: those of providers that have a key, offline all of them."""
    return [
        _routed_model(settings, tier.name, name)
        for tier in settings.tiers
        for name in tier.models
        if settings.is_offline or settings.models[name].provider in settings.provider_keys
    ]


def _routed_model(settings: Settings, tier: str, name: str) -> RoutedModel:
    model = settings.models[name]
    link = Link(
        ref=ModelRef(model.provider, name),
        tier=tier,
        upstream_model=name if settings.is_offline else model.upstream_model or name,
        max_output_tokens=model.max_output_tokens,
        timeout_seconds=model.timeout_seconds,
        params=tuple(model.params.items()),
        limit_name=settings.providers[model.provider].limit_name,
    )
    dialect = Dialect(settings.providers[model.provider].kind)
    return RoutedModel(link, settings.price(name), model.context_window, model.supports, dialect)
