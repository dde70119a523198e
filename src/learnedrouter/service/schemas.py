"""The native endpoint's request and answers, as HTTP sees them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from learnedrouter.chat import ChatRequest, Completion
from learnedrouter.dialects.openai_chat import read_request
from learnedrouter.errors import RequestError
from learnedrouter.events import RoutedCompletion
from learnedrouter.planning import Plan, RouteOptions
from learnedrouter.service.options import conversation_id, fallback_option
from learnedrouter.tiers import Decision


class RouteRequest(BaseModel):
    """What `POST /route` takes; `messages` and `tools` in OpenAI's form."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    dry_run: bool = False
    stream: bool = False
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    min_tier: str | None = None
    max_tier: str | None = None
    tier: str | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    max_cost_usd: Annotated[float, Field(gt=0)] | None = None
    conversation_id: str | None = None

    def chat_request(self) -> ChatRequest:
        """Return the request as a chat completions request.

        Raises
        ------
        RequestError
            Prompt and messages are both there, or neither, or hold no text.
        """
        if (self.prompt is None) == (self.messages is None):
            found = "neither" if self.prompt is None else "both"
            raise RequestError(f"expected either prompt or messages, found {found}", field="prompt")
        if self.prompt is not None and not self.prompt.strip():
            raise RequestError("prompt: is empty; expected text", field="prompt")
        messages = self.messages if self.messages is not None else [{"role": "user", "content": self.prompt}]
        carried = {
            "tools": self.tools,
            "response_format": self.response_format,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        return read_request({"messages": messages, **{key: value for key, value in carried.items() if value is not None}})

    def options(self, headers: Mapping[str, str]) -> RouteOptions:
        """Return what the caller asks of the routing; whether other models may take over, headers say."""
        conversation = self.conversation_id if self.conversation_id is not None else conversation_id(headers)
        limit = None if self.max_cost_usd is None else Decimal(str(self.max_cost_usd))
        return RouteOptions(self.tier, self.min_tier, self.max_tier, self.threshold, limit, None, fallback_option(headers), conversation)


def parse_route_request(body: bytes) -> RouteRequest:
    """Return the request that stands in a body.

    Raises
    ------
    RequestError
        It is not JSON, or a field holds something else than it must; names the first such field.
    """
    try:
        return RouteRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or None
        raise RequestError(f"{field + ': ' if field else ''}{first['msg']}", field=field) from error


def decision_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as answers show it."""
    return {
        "tier": decision.tier,
        "predicted_tier": decision.predicted_tier,
        "sufficiency": {tier: round(value, 6) for tier, value in decision.sufficiency.items()},
        "confidence": round(decision.confidence, 6),
        "threshold": decision.threshold,
        "escalated": decision.escalated,
        "reasons": list(decision.reasons),
        "artifact": decision.artifact,
        "ask_tokens": decision.ask_tokens,
        "truncated": decision.truncated,
        "encoder": decision.encoder,
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the answer to a dry run."""
    return {
        "id": plan.id,
        "decision": decision_json(plan.decision),
        "models": [{"model": model.link.ref.model, "provider": model.link.ref.provider, "tier": model.link.tier} for model in plan.models],
        "estimated_cost": {"usd": _money(plan.estimated_cost_usd)},
        "timing_ms": {"decision": round(plan.decision_seconds * 1000, 3)},
    }


def routed_json(event: RoutedCompletion, completion: Completion) -> dict[str, Any]:
    """Return the answer to a routed request."""
    output = {
        "text": completion.text,
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in completion.tool_calls],
        "finish_reason": completion.finish_reason,
    }
    return {"id": event.id, "decision": decision_json(event.decision), "model": _model(event), "output": output, **_account_json(event)}


def event_json(event: RoutedCompletion) -> dict[str, Any]:
    """Return all that is known of a request, but for what was asked and answered."""
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "dialect": event.dialect,
        "key": event.caller.key,
        "tags": dict(event.caller.tags),
        "conversation": event.conversation,
        "outcome": event.outcome,
        "decision": {**decision_json(event.decision), "probabilities": [round(value, 6) for value in event.decision.probabilities]},
        "ask": {"characters": event.asked.characters, "sha256": event.asked.sha256},
        "model": _model(event),
        "served_tier": event.served_tier or None,
        "streamed": event.streamed,
        "clamped": event.adjusted.clamped or None,
        "params": list(event.adjusted.parameters),
        **(account := _account_json(event)),
        "cost": {**account["cost"], "known_usd": _money(event.known_usd)},
    }


def _model(event: RoutedCompletion) -> str | None:
    return event.model.model if event.model else None


def _account_json(event: RoutedCompletion) -> dict[str, Any]:
    return {
        "usage": {
            "input_tokens": event.usage.input_tokens,
            "cache_read_tokens": event.usage.cache_read_tokens,
            "cache_write_tokens": event.usage.cache_write_tokens,
            "output_tokens": event.usage.output_tokens,
            "cache_write_1h_tokens": event.usage.cache_write_1h_tokens,
            "reasoning_tokens": event.usage.reasoning_tokens,
        },
        "cost": {"usd": _money(event.cost_usd), "baseline_usd": _money(event.baseline_usd), "saved_usd": _money(event.saved_usd)},
        "attempts": attempts_json(event),
        "timing_ms": {
            "decision": round(event.decision_seconds * 1000, 3),
            "provider": round(event.provider_seconds * 1000, 3),
            "total": round(event.total_seconds * 1000, 3),
        },
    }


def attempts_json(event: RoutedCompletion) -> list[dict[str, Any]]:
    """Return what was tried, in order."""
    return [
        {
            "model": attempt.ref.model,
            "provider": attempt.ref.provider,
            "tier": attempt.tier,
            "outcome": attempt.outcome,
            "status": attempt.status,
            "message": attempt.message,
            "duration_ms": round(attempt.duration_ms, 3),
            "cost_usd": _money(attempt.cost_usd),
        }
        for attempt in event.attempts
    ]


def _money(value: Decimal | None) -> float | None:
    """JSON has no decimals; a double holds a cent to fifteen digits."""
    return None if value is None else float(value)
