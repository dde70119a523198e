"""Messages: prompts, tool results, refusals, thinking."""

from learnedrouter.chat import Dialect
from learnedrouter.dialects import anthropic_messages, openai_chat
from learnedrouter.dialects.crossing import body_for, strip_thinking

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
USED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]}


def to_anthropic(*messages):
    return body_for(openai_chat.read_request({"messages": list(messages)}), Dialect.ANTHROPIC, default_output_tokens=7)


def to_openai(*messages):
    request = anthropic_messages.read_request({"messages": list(messages), "max_tokens": 9})
    return body_for(request, Dialect.OPENAI, default_output_tokens=7)


def test_parallel_results_reach_anthropic_in_one_message_and_keep_their_failures():
    """Both results stand before the user's text, in the message after the calls."""
    calls = [CALL, CALL | {"id": "call_2"}]
    results = [
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_2", "content": "[tool error] no such file"},
    ]
    crossed = to_anthropic(USER, {**CALLED, "tool_calls": calls}, *results, {"role": "user", "content": "And?"})

    assert crossed["messages"][2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "1"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "no such file", "is_error": True},
            {"type": "text", "text": "And?"},
        ],
    }


def test_a_failed_tool_says_so_to_an_openai_model():
    """OpenAI's dialect has no field for it, so the text says it."""
    result = {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [{"type": "text", "text": "no such file"}]}
    crossed = to_openai(USER, USED, {"role": "user", "content": [result]})
    assert crossed["messages"][-1] == {"role": "tool", "tool_call_id": "t1", "content": "[tool error] no such file"}


def test_system_prompts_go_to_the_head_whoever_sent_them_and_wherever():
    """System and developer messages are one system prompt for Anthropic, in their order."""
    crossed = to_anthropic({"role": "system", "content": "A"}, USER, {"role": "developer", "content": "B"}, USER)
    assert crossed["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]


def test_a_refusal_in_the_history_is_what_the_assistant_said():
    """Both of OpenAI's ways to write it down cross as text."""
    refusals = [{"role": "assistant", "refusal": "No."}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]}]
    assert to_anthropic(USER, *refusals, USER)["messages"][1]["content"] == [
        {"type": "text", "text": "No."},
        {"type": "text", "text": "Never."},
    ]


def test_ids_that_other_endpoints_give_their_calls_are_rewritten_alike_for_call_and_result():
    """Anthropic takes letters, digits, '_' and '-' only, OpenAI at most 40 of them."""
    odd = "functions.f:0 " + "x" * 60
    result = {"role": "tool", "tool_call_id": odd, "content": "1"}
    crossed = to_anthropic(USER, {**CALLED, "tool_calls": [CALL | {"id": odd}]}, result)

    rewritten = crossed["messages"][1]["content"][0]["id"]
    assert crossed["messages"][2]["content"][0]["tool_use_id"] == rewritten
    assert len(rewritten) == 40
    assert rewritten.replace("_", "").isalnum()


def test_thinking_of_another_model_is_stripped_and_nothing_else():
    """A message that was all thinking goes; the caller's body is left as it was."""
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    said = [thinking, {"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]
    body = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [USER, {"role": "assistant", "content": said}, USER]}
    alone = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "eA=="}]}

    stripped = strip_thinking({**body, "messages": [alone, *body["messages"]]})

    assert stripped == {**body, "messages": [USER, {"role": "assistant", "content": said[1:]}, USER]}
    assert thinking in body["messages"][1]["content"]


def test_stripped_in_the_middle_of_a_tool_loop_thinking_rests_until_its_end():
    """Manual thinking demands thinking before the last tool calls, which has just been stripped."""
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    used = {"role": "assistant", "content": [thinking, *USED["content"]]}
    answered = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]}
    stripped = strip_thinking({"thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": [USER, used, answered]})
    assert stripped == {"messages": [USER, USED, answered]}
