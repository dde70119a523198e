"""``data import`` of request logs."""

from pathlib import Path

from learnedrouter.rows import parse_request
from tests.data_tools.conftest import Run, Write, rows_of

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Translate: good morning"}]


def test_openai_bodies_are_found_in_whatever_holds_them(run: Run, write: Write, tmp_path: Path) -> None:
    """A bare body, a pair of request and response, and a line of a batch file are the same thing."""
    path = write(
        "log.jsonl",
        {"model": "small", "messages": ASK, "temperature": 0},
        {"request": {"model": "large", "messages": [{"role": "user", "content": "Prove it"}]}, "response": {"id": "r"}},
        {"custom_id": "batch-1", "method": "POST", "body": {"model": "other", "messages": [{"role": "user", "content": "Plan my week"}]}},
        {"request": '{"model": "small", "messages": [{"role": "user", "content": "as text"}]}'},
        {"input": "the responses API"},
    )

    status, out, _ = run("import", "openai-log", path, "--out", "rows.jsonl", "--model-tier", "small=bulk", "--model-tier", "large=complex")

    assert status == 0
    assert "4 rows, 1 of them to label; 1 records could not be converted" in out
    assert "log.jsonl:5" in out
    assert "holds no request body with a list of 'messages'; found 'input'" in out
    rows = rows_of(tmp_path / "rows.jsonl")
    assert [row.get("tier") for row in rows] == ["bulk", "complex", None, "bulk"]
    assert [row["id"] for row in rows] == ["log-1", "log-2", "batch-1", "log-4"]
    assert rows[0]["messages"] == ASK


def test_a_machine_form_and_tools_are_kept_but_no_image(run: Run, write: Write, tmp_path: Path) -> None:
    """What the classifier reads of a request goes through; megabytes of base64 do not."""
    form = {"type": "json_schema", "json_schema": {"name": "x"}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "what is this?"}, picture]
    path = write(
        "log.jsonl", {"messages": [{"role": "user", "content": content}], "tools": [{"type": "function"}], "response_format": form}
    )

    assert run("import", "openai-log", path, "--out", "rows.jsonl")[0] == 0

    (row,) = rows_of(tmp_path / "rows.jsonl")
    needs = parse_request(path, 1, row).needs
    assert (needs.images, needs.tools, needs.json_schema) == (True, True, True)
    assert "base64" not in (tmp_path / "rows.jsonl").read_text()


def test_the_turns_of_one_conversation_are_one_group(run: Run, write: Write, tmp_path: Path) -> None:
    """A client sends the whole conversation with each turn; its rows must never part into two splits."""
    longer = [*ASK, {"role": "assistant", "content": "Guten Morgen"}, {"role": "user", "content": "And in French?"}]
    path = write("log.jsonl", {"messages": ASK}, {"messages": longer}, {"messages": [{"role": "user", "content": "something else"}]})

    assert run("import", "openai-log", path, "--out", "rows.jsonl")[0] == 0

    first, second, third = (row["group"] for row in rows_of(tmp_path / "rows.jsonl"))
    assert first == second != third


def test_anthropic_bodies_become_openai_messages(run: Run, write: Write, tmp_path: Path) -> None:
    """System, text, tool calls and their results cross; thinking stays behind."""
    body = {
        "model": "claude",
        "system": [{"type": "text", "text": "You fix code.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "fix the test"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "x"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a.py"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "x = 1"}]},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
    }
    path = write("log.jsonl", {"custom_id": "a", "params": body}, {"messages": [{"role": "user", "content": [{"text": "no type"}]}]})

    status, out, _ = run("import", "anthropic-log", path, "--out", "rows.jsonl", "--model-tier", "claude=standard")

    assert status == 0
    assert "not an Anthropic messages body (KeyError: 'type')" in out
    (row,) = rows_of(tmp_path / "rows.jsonl")
    call = {"id": "t1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.py"}'}}
    assert row["tier"] == "standard"
    assert row["messages"] == [
        {"role": "system", "content": "You fix code."},
        {"role": "user", "content": "fix the test"},
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "x = 1"},
        {"role": "user", "content": "go on"},
    ]
