"""Conversations of both dialects, made by hypothesis, and what they say whatever the dialect."""

import json
from typing import Any

from hypothesis import strategies as st

JPEG = "/9j/4AAQ"
texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", " ", "\n", "Why?\nBecause.", "日本語", "[tool error]", "{}"]
)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
values = st.recursive(st.none() | st.booleans() | st.integers(-99, 99) | texts, lambda inner: st.lists(inner, max_size=2), max_leaves=4)
arguments = st.dictionaries(texts, values, max_size=3)
urls = st.sampled_from(["https://example.com/a.png", "http://example.com/b?c=d"])
probabilities = st.floats(0, 1, allow_nan=False)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@st.composite
def openai_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A body that can cross: any number of turns, tool calls always with their results, the user or a tool last."""
    part = st.builds(lambda text: {"type": "text", "text": text}, texts) | st.builds(
        lambda url: {"type": "image_url", "image_url": {"url": url}}, urls | st.just(f"data:image/jpeg;base64,{JPEG}")
    )
    text_parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), max_size=2)
    user = st.builds(lambda content: [{"role": "user", "content": content}], texts | st.lists(part, max_size=3))
    system = st.builds(
        lambda role, content: [{"role": role, "content": content}], st.sampled_from(["system", "developer"]), texts | text_parts
    )
    said = st.builds(lambda content: [{"role": "assistant", "content": content}], texts | text_parts)
    turns = draw(st.lists(st.one_of(user, system, said, called_and_answered()), max_size=6))
    messages = [message for turn in turns for message in turn]
    if not messages or messages[-1]["role"] not in ("user", "tool") or draw(st.booleans()):
        messages.append({"role": "user", "content": draw(texts) + "!"})
    return {"messages": [*messages, {"role": "user", "content": "Go on"}], **draw(openai_fields())}


@st.composite
def called_and_answered(draw: st.DrawFn) -> list[dict[str, Any]]:
    called = draw(
        st.lists(st.tuples(names, names, arguments, texts, st.booleans()), min_size=1, max_size=3, unique_by=lambda call: call[0])
    )
    calls = [
        {"id": identity, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for identity, name, given, _, _ in called
    ]
    results = [
        {"role": "tool", "tool_call_id": identity, "content": f"[tool error] {text}" if failed else text}
        for identity, _, _, text, failed in called
    ]
    return [{"role": "assistant", "content": draw(st.none() | texts), "tool_calls": calls}, *results]


@st.composite
def openai_fields(draw: st.DrawFn) -> dict[str, Any]:
    fields = {
        "max_completion_tokens": st.integers(1, 99),
        "temperature": probabilities,
        "top_p": probabilities,
        "stop": st.lists(names, min_size=1, max_size=4),
        "user": names,
        "response_format": st.just({"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}),
    }
    chosen = {key: draw(strategy) for key, strategy in fields.items() if draw(st.booleans())}
    if draw(st.booleans()):
        function = {"name": draw(names), "description": draw(names), "parameters": SCHEMA}
        chosen["tools"] = [{"type": "function", "function": function | draw(st.sampled_from([{}, {"strict": True}]))}]
        by_name = {"type": "function", "function": {"name": function["name"]}}
        choice = draw(st.sampled_from(["auto", "required", "none", by_name, None]))
        if choice is not None:
            chosen["tool_choice"] = choice
            if choice != "none" and draw(st.booleans()):
                chosen["parallel_tool_calls"] = False
    return chosen


@st.composite
def anthropic_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A body that can cross, thinking included."""
    text = st.builds(lambda text: {"type": "text", "text": text}, texts)
    image = st.sampled_from(
        [
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": JPEG}},
        ]
    )
    thinking = st.sampled_from(
        [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "eA=="}]
    )
    user = st.builds(lambda content: [{"role": "user", "content": content}], texts | st.lists(text | image, max_size=3))
    said = st.builds(lambda content: [{"role": "assistant", "content": content}], texts | st.lists(text | thinking, max_size=3))
    turns = draw(st.lists(st.one_of(user, said, used_and_answered()), max_size=5))
    system = draw(st.none() | texts | st.lists(text, max_size=2))
    body = {"max_tokens": 9, "messages": [*(message for turn in turns for message in turn), {"role": "user", "content": "Go on"}]}
    return {**body, "system": system} if system is not None else body


@st.composite
def used_and_answered(draw: st.DrawFn) -> list[dict[str, Any]]:
    used = draw(st.lists(st.tuples(names, names, arguments, texts, st.booleans()), min_size=1, max_size=3, unique_by=lambda use: use[0]))
    uses = [{"type": "tool_use", "id": identity, "name": name, "input": given} for identity, name, given, _, _ in used]
    results = [
        {"type": "tool_result", "tool_use_id": identity, "content": text, **({"is_error": True} if failed else {})}
        for identity, _, _, text, failed in used
    ]
    after = draw(st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), max_size=1))
    return [{"role": "assistant", "content": uses}, {"role": "user", "content": [*results, *after]}]


def said_in_openai(body: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is said in a body, atom by atom; system prompts first."""
    atoms: list[tuple[Any, ...]] = []
    for message in body["messages"]:
        role = "system" if message["role"] in ("system", "developer") else message["role"]
        if role == "tool":
            failed = message["content"].startswith("[tool error] ")
            atoms.append(("result", message["tool_call_id"], message["content"].removeprefix("[tool error] "), failed))
            continue
        content = message["content"] or []
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            atoms += [(role, "text", part["text"]) if part["type"] == "text" else (role, "image", part["image_url"]["url"])]
        for call in message.get("tool_calls", ()):
            atoms += [("call", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))]
    return _merged(atoms)


def said_in_anthropic(body: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is said in a body, atom by atom; thinking is not said."""
    atoms: list[tuple[Any, ...]] = []
    for role, content in [("system", body.get("system", [])), *((m["role"], m["content"]) for m in body["messages"])]:
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"]:
                case "text":
                    atoms.append((role, "text", block["text"]))
                case "image":
                    source = block["source"]
                    url = source["url"] if source["type"] == "url" else f"data:{source['media_type']};base64,{source['data']}"
                    atoms.append((role, "image", url))
                case "tool_use":
                    atoms.append(("call", block["id"], block["name"], block["input"]))
                case "tool_result":
                    atoms.append(("result", block["tool_use_id"], block["content"], block.get("is_error", False)))
    return _merged(atoms)


def _merged(atoms: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Blank texts say nothing, and adjacent texts of one side are one, line by line."""
    merged: list[tuple[Any, ...]] = []
    for atom in sorted(atoms, key=lambda atom: atom[0] != "system"):
        if atom[1] == "text" and not atom[2].strip():
            continue
        if merged and atom[1] == merged[-1][1] == "text" and atom[0] == merged[-1][0]:
            merged[-1] = (atom[0], "text", f"{merged[-1][2]}\n{atom[2]}")
        else:
            merged.append(atom)
    return merged
