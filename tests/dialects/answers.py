"""Answers of both dialects, made by hypothesis, and the streams that they would have come in."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from learnedrouter.chat import Chunk
from tests.dialects.conversations import arguments, names, texts

counts = st.integers(0, 999)


@st.composite
def openai_answers(draw: st.DrawFn) -> dict[str, Any]:
    """A chat completion: text, refusal, calls, whatever the reason for its end."""
    calls = draw(st.lists(st.tuples(names, names, arguments), max_size=3, unique_by=lambda call: call[0]))
    text = draw(st.none() | texts)
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": draw(st.none() | st.just("I will not."))}
    if calls:
        message["tool_calls"] = [
            {"id": identity, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for identity, name, given in calls
        ]
    finish = draw(st.sampled_from(["stop", "length", "tool_calls", "content_filter"]))
    return {
        "id": draw(names),
        "object": "chat.completion",
        "created": 5,
        "model": "upstream",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": draw(openai_usages()),
    }


@st.composite
def openai_usages(draw: st.DrawFn) -> dict[str, Any]:
    fresh, cached, written, output = (draw(counts) for _ in range(4))
    reasoning = draw(st.integers(0, output))
    prompt = fresh + cached + written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


@st.composite
def anthropic_answers(draw: st.DrawFn) -> dict[str, Any]:
    """A message: thinking, texts, calls, whatever the reason for its end."""
    thinking = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}] if draw(st.booleans()) else []
    said = [{"type": "text", "text": text} for text in draw(st.lists(texts, max_size=2))]
    used = draw(st.lists(st.tuples(names, names, arguments), max_size=3, unique_by=lambda use: use[0]))
    uses = [{"type": "tool_use", "id": identity, "name": name, "input": given} for identity, name, given in used]
    reasons = ["end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"]
    reason = draw(st.sampled_from(reasons))
    explained = reason == "refusal" and draw(st.booleans())
    usage = {key: draw(counts) for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")}
    return {
        "id": draw(names),
        "type": "message",
        "role": "assistant",
        "model": "upstream",
        "content": [*thinking, *said, *uses],
        "stop_reason": reason,
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "category": None, "explanation": "Too dangerous."} if explained else None,
        "usage": {**usage, "output_tokens_details": {"thinking_tokens": draw(st.integers(0, usage["output_tokens"]))}},
    }


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """Text in pieces of any size, an empty one now and then."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in pairwise([0, *places, len(text)])]


@st.composite
def openai_streams(draw: st.DrawFn) -> tuple[dict[str, Any], list[Chunk]]:
    """An answer, and the chunks in which it would have come."""
    answer = draw(openai_answers())
    choice = answer["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    for key in ("content", "refusal"):
        deltas += [{key: piece} for piece in cut(draw, message[key] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        begun = {"index": index, **call, "function": {"name": call["function"]["name"], "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        pieces = cut(draw, call["function"]["arguments"])
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces]
    frame = {**answer, "object": "chat.completion.chunk", "usage": None}
    chunks = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append({**frame, "choices": [], "usage": answer["usage"]})
    return answer, [Chunk(None, chunk) for chunk in chunks]


@st.composite
def anthropic_streams(draw: st.DrawFn) -> tuple[dict[str, Any], list[Chunk]]:
    """An answer, and the events in which it would have come."""
    answer = draw(anthropic_answers())
    usage = answer["usage"]
    start = {**answer, "content": [], "stop_reason": None, "stop_details": None, "usage": {**usage, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(answer["content"]):
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}[block["type"]]
        events.append({"type": "content_block_start", "index": index, "content_block": {**block, **empty}})
        if block["type"] == "text":
            deltas = [{"type": "text_delta", "text": piece} for piece in cut(draw, block["text"])]
        elif block["type"] == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "c2ln"}]
        else:
            pieces = cut(draw, json.dumps(block["input"])) if block["input"] or draw(st.booleans()) else [""]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end = {key: answer[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    counted = {"output_tokens": usage["output_tokens"], "output_tokens_details": usage["output_tokens_details"]}
    events += [{"type": "message_delta", "delta": end, "usage": counted}, {"type": "message_stop"}]
    return answer, [Chunk(event["type"], event) for event in events]
