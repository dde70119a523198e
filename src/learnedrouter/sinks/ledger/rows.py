"""An event as the ledger's rows."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np

from learnedrouter.chat import Usage
from learnedrouter.events import RoutedCompletion
from learnedrouter.providers.trying import Attempt
from learnedrouter.sinks.ledger.tables import EPOCH, MICROSECOND, USAGE, pico

Capture = Literal["off", "embedding", "text"]
Row = dict[str, Any]

MESSAGE_CHARACTERS = 500
"""Of what a provider said about a failure."""


class Rows(NamedTuple):
    """What one event leaves in each table."""

    request: Row
    attempts: list[Row]
    capture: Row | None


def rows_of(event: RoutedCompletion, capture: Capture) -> Rows:
    """Return an event's rows; JSON is written out, and booleans are as Python has them."""
    attempts = [_attempt_row(event, place, attempt, capture) for place, attempt in enumerate(event.attempts)]
    return Rows(_request_row(event), attempts, _capture_row(event, capture))


def _request_row(event: RoutedCompletion) -> Row:
    decision, asked, model = event.decision, event.asked, event.model
    return {
        "id": event.id,
        "at_us": microseconds(event.at),
        "dialect": event.dialect.value,
        "streamed": event.streamed,
        "key": event.caller.key,
        "conversation": event.conversation,
        "tags": json.dumps(dict(event.caller.tags)),
        "outcome": event.outcome,
        "artifact": decision.artifact,
        "tier": decision.tier,
        "predicted_tier": decision.predicted_tier,
        "confidence": decision.confidence,
        "threshold": decision.threshold,
        "escalated": decision.escalated,
        "sufficiency": json.dumps(dict(decision.sufficiency)),
        "probabilities": json.dumps(decision.probabilities),
        "reasons": json.dumps(decision.reasons),
        "ask_characters": asked.characters,
        "ask_tokens": decision.ask_tokens,
        "ask_truncated": decision.truncated,
        "ask_sha256": asked.sha256,
        "provider": model.provider if model else None,
        "model": model.model if model else None,
        "served_tier": event.served_tier or None,
        "clamped": event.adjusted.clamped or None,
        "params": json.dumps(event.adjusted.parameters),
        **_usage(event.usage),
        "cost_pico_usd": pico(event.cost_usd),
        "baseline_pico_usd": pico(event.baseline_usd),
        "baseline_model": event.baseline_model,
        "attempts": len(event.attempts),
        "unaccounted_attempts": event.unaccounted_attempts,
        "decision_us": round(event.decision_seconds * 1e6),
        "provider_us": round(event.provider_seconds * 1e6),
        "total_us": round(event.total_seconds * 1e6),
        "first_token_us": None if event.first_token_seconds is None else round(event.first_token_seconds * 1e6),
        "encoder": decision.encoder,
    }


def _attempt_row(event: RoutedCompletion, place: int, attempt: Attempt, capture: Capture) -> Row:
    return {
        "request_id": event.id,
        "place": place,
        "provider": attempt.ref.provider,
        "model": attempt.ref.model,
        "tier": attempt.tier,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "message": _text(attempt.message) if capture == "text" and attempt.message else None,
        "duration_us": round(attempt.duration_ms * 1e3),
        **_usage(attempt.usage),
        "cost_pico_usd": pico(attempt.cost_usd),
        "price_source": attempt.price_source or None,
        "unaccounted": attempt.unaccounted,
    }


def _capture_row(event: RoutedCompletion, capture: Capture) -> Row | None:
    if capture == "off":
        return None
    ask, embedding = event.asked.ask, event.asked.embedding
    return {
        "request_id": event.id,
        "ask": json.dumps(asdict(ask)) if capture == "text" and ask else None,
        "embedding": None if embedding is None else embedding.astype(np.dtype("<f4")).tobytes(),
    }


def _usage(usage: Usage | None) -> Row:
    """Where nothing was told, the zeros of `Usage` are unknown too."""
    if usage is None or not usage.told:
        return dict.fromkeys(USAGE)
    return {name: getattr(usage, name) for name in USAGE}


def microseconds(moment: datetime) -> int:
    """Return a moment in whole microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def _text(message: str) -> str:
    """Return what any database takes as text."""
    return message[:MESSAGE_CHARACTERS].encode("utf-8", "replace").decode().replace("\0", "")
