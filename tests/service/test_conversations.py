"""Conversations and checked answers, end to end."""

from typing import Any

import pytest

from tests.service.running import Running

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
HARD = (
    "Prove that our distributed lock is safe under clock skew, redesign the lease protocol across three services, and "
    "give a migration plan with a rollback for each step."
)


def turns(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user" if place % 2 == 0 else "assistant", "content": text} for place, text in enumerate(texts)]


def test_a_conversation_keeps_its_model(service: Running) -> None:
    """What a strong model began, it goes on with, by the header's id as by the opening; a new one is routed afresh."""
    options = {"x-learnedrouter-threshold": "0"}
    strong = {"x-learnedrouter-min-tier": "complex"}
    with service.http() as http:
        for named in ({}, {"x-session-id": "s-1"}):
            opening = f"hello, let us talk {named}"
            url = "/v1/chat/completions"
            first = http.post(url, json={"messages": turns(opening)}, headers={**strong, **named})
            second = http.post(url, json={"messages": turns(opening, "yes", "thanks")}, headers={**options, **named})
            fresh = http.post(url, json={"messages": turns("hi", "yes", "thanks")}, headers=options)

            assert first.headers["x-learnedrouter-tier"] == "complex"
            assert second.headers["x-learnedrouter-model"] == first.headers["x-learnedrouter-model"]
            assert second.headers["x-learnedrouter-reason"].endswith("conversation")
            assert fresh.headers["x-learnedrouter-tier"] == "bulk"


def test_it_goes_up_at_once(service: Running) -> None:
    """A turn that needs a higher tier gets it."""
    with service.http() as http:
        opening = turns("count to three")
        http.post("/v1/chat/completions", json={"messages": opening}, headers={"x-learnedrouter-max-tier": "bulk"})
        later = [*opening, *turns("", "1 2 3", HARD)[1:]]
        up = http.post("/v1/chat/completions", json={"messages": later}, headers={"x-learnedrouter-threshold": "1"})

    assert up.headers["x-learnedrouter-tier"] == "complex"
    assert "conversation" not in up.headers["x-learnedrouter-reason"]


def test_foreign_thinking_is_stripped_when_the_model_changes(service: Running) -> None:
    """Only its author takes a thinking block; the same model gets its own back untouched."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": "abc"}

    def later(opening: str) -> list[dict[str, Any]]:
        reply = {"role": "assistant", "content": [thinking, {"type": "text", "text": "4"}]}
        return [*turns(opening), reply, *turns("and then?")]

    with service.http() as http:
        for model, kept in (("ant-1", True), ("ant-2", False)):
            opening = f"2+2? {model}"
            http.post("/v1/messages", json={"model": "ant-1", "messages": turns(opening), "max_tokens": 9})
            http.post("/v1/messages", json={"model": model, "messages": later(opening), "max_tokens": 9})
            arrived = service.upstream.requests[-1]["body"]
            assert arrived["model"] == model
            assert (thinking in arrived["messages"][1]["content"]) is kept


def ask_for_structure(service: Running, dialect: str, prompt: str, **headers: str) -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    path, more = "/v1/chat/completions", {"response_format": form}
    if dialect == "anthropic":
        path, more = "/v1/messages", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}, "max_tokens": 50}
    headers = {"x-learnedrouter-threshold": "0", **headers}
    with service.http() as http:
        return http.post(path, json={"model": "auto", "messages": turns(prompt), **more}, headers=headers)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(("said", "reason"), [("say 7", "invalid_structure"), ("say seven", "invalid_structure"), ("say", "empty")])
def test_an_answer_that_falls_short_goes_to_the_next_model_up(service: Running, dialect: str, said: str, reason: str) -> None:
    """Once, with the reason on the decision, and both answers on the bill."""
    answer = ask_for_structure(service, dialect, f"[[oai-1: {said}]] [[ant-1: say 8]]")
    event = service.events[-1]

    assert answer.headers["x-learnedrouter-model"] == "ant-1"
    assert answer.headers["x-learnedrouter-reason"].endswith(reason)
    assert [attempt.outcome for attempt in event.attempts] == [reason, "ok"]
    assert event.cost_usd is not None
    assert float(event.cost_usd) == pytest.approx((10 * 1 + 3 * 2 + 10 * 1 + 3 * 4) / 1e6)


def test_an_escalated_decision_keeps_its_reason_where_the_answer_falls_short(service: Running) -> None:
    """The metric tells why the decision went up; that another model was asked after an answer is told beside it."""
    headers = {"x-learnedrouter-min-tier": "standard"}
    answer = ask_for_structure(service, "openai", "translate to French: good morning [[oai-hasty: say]] [[ant-hasty: say 8]]", **headers)
    with service.http() as http:
        metrics = http.get("/metrics").text

    assert answer.headers["x-learnedrouter-reason"].endswith("min_tier,empty")
    assert 'learnedrouter_escalations_total{from="bulk",reason="min_tier",to="standard"} 1.0' in metrics
    assert 'learnedrouter_decision_reasons_total{reason="empty"}' in metrics


def test_where_nobody_stands_above_the_answer_is_let_pass(service: Running) -> None:
    """A checked answer is no reason to give none."""
    answer = ask_for_structure(service, "openai", "[[oai-1: say seven]]", **{"x-learnedrouter-max-tier": "bulk"})
    failing = ask_for_structure(service, "openai", "[[oai-1: say seven]] [[ant-1: status 503]]")

    for one in (answer, failing):
        assert one.status_code == 200
        assert one.json()["choices"][0]["message"]["content"] == "seven"
        assert one.headers["x-learnedrouter-model"] == "oai-1"


def test_a_request_can_be_explained(service: Running) -> None:
    """By its id, with everything but what was said; an unknown id is a 404."""
    with service.http() as http:
        made = http.post("/v1/chat/completions", json={"model": "tier:bulk", "messages": turns("[[oai-1: status 503]] swordfish")})
        told = http.get(f"/route/{made.headers['x-learnedrouter-id']}")
        unknown = http.get("/route/rt_0")

    assert (told.json()["outcome"], told.json()["model"]) == ("ok", "ant-2")
    assert [attempt["outcome"] for attempt in told.json()["attempts"]] == ["unavailable", "ok"]
    assert told.headers["x-learnedrouter-tier"] == "bulk"
    assert "swordfish" not in told.text
    assert unknown.status_code == 404
