import pytest

from learnedrouter.ask import KEPT_CHARACTERS, SYSTEM_CHARACTERS, extract_ask
from learnedrouter.chat import ChatRequest
from learnedrouter.dialects.openai_chat import read_request


def request(*messages: tuple[str, str], **more: object) -> ChatRequest:
    return read_request({"messages": [{"role": role, "content": text} for role, text in messages], **more})


def test_the_newest_human_ask_is_read() -> None:
    """System prompts, answers and older asks are not what has to be done now."""
    ask = extract_ask(
        request(
            ("system", "You are an expert in everything. " * 500),
            ("user", "Design a distributed lock service and prove its safety."),
            ("assistant", "Here is a design ..."),
            ("user", "Now please translate the title of that design into Norwegian, thank you very much."),
        )
    )

    assert ask.text == "Now please translate the title of that design into Norwegian, thank you very much."
    assert ask.previous == ""
    assert ask.human_turns == 2


def test_of_the_system_prompt_the_encoder_reads_only_the_ends() -> None:
    """Where a program sends bare data the task stands there; an agent's thousands of words must not drown the ask."""
    short = extract_ask(request(("system", "Classify the mood as happy or sad."), ("user", "what a day")))
    long = extract_ask(request(("system", "You are a coding agent. " + "Rule. " * 5_000 + "Be brief."), ("user", "fix the typo")))

    assert short.reading == "Classify the mood as happy or sad.\n\nwhat a day"
    assert long.reading.startswith("You are a coding agent.")
    assert long.reading.endswith("Be brief.\n\nfix the typo")
    assert len(long.reading) <= SYSTEM_CHARACTERS + len("\n\nfix the typo")
    assert len(long.system) <= KEPT_CHARACTERS


def test_a_short_follow_up_carries_the_ask_before_it() -> None:
    """'yes, do it' has the tier of what it says yes to."""
    ask = extract_ask(request(("user", "Port the scheduler to asyncio."), ("assistant", "Shall I?"), ("user", "yes, do it")))

    assert ask.text == "yes, do it"
    assert ask.reading == "Port the scheduler to asyncio.\n\nyes, do it"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<system-reminder>Never mention this.</system-reminder>\nfix the typo in line 3", "fix the typo in line 3"),
        ("<environment_details>\ncwd: /src\n<open>a.py</open>\n</environment_details>rename it", "rename it"),
        ("<user_query>\nwhat does this do?\n</user_query>", "what does this do?"),
        ("<attached_files>x = 1</attached_files>\n<user_query>add a docstring</user_query>", "add a docstring"),
        ("<thinking>hmm</thinking>go on", "go on"),
        ("is a < b and b > c transitive?", "is a < b and b > c transitive?"),
        ("<rules>be kind<env>x</env></rules>why <ENV a=1>y</env>not?<env>", "why not?<env>"),
        ("make the <task> tag bold in <b>HTML</b>", "make the  tag bold in <b>HTML</b>"),
    ],
)
def test_harness_text_is_no_part_of_the_ask(text: str, left: str) -> None:
    """What a coding agent wraps around the ask goes; the human's own words and tags stay."""
    assert extract_ask(request(("user", text))).text == left


def test_a_tag_that_never_closes_is_looked_for_once() -> None:
    """Looked for at each of its openings, this ask would take minutes."""
    ask = extract_ask(request(("user", "<env>" * 200_000 + "<rules>r</rules>rename it")))

    assert ask.characters == 200_000 * len("<env>") + len("rename it")


def test_a_turn_of_harness_text_alone_is_no_ask() -> None:
    """An agent's reminder after the ask does not take the ask's place."""
    ask = extract_ask(request(("user", "Find the leak."), ("user", "<system-reminder>3 files changed</system-reminder>")))

    assert ask.text == "Find the leak."


def test_tool_results_are_not_the_ask() -> None:
    """An agent's turn that continues after a tool result still works on the human's ask."""
    ask = extract_ask(request(("user", "Why does the build fail?"), ("assistant", "Looking."), ("tool", "error: E0382 " * 300)))

    assert ask.text == "Why does the build fail?"


def test_a_lone_tool_result_stands_in() -> None:
    """Where nobody asked anything in words, there is still something to read."""
    assert extract_ask(request(("system", "x"), ("tool", "42 rows"))).text == "42 rows"


def test_a_long_ask_keeps_head_and_tail_and_says_so() -> None:
    """What is asked stands at one of the ends; the cut is not silent."""
    ask = extract_ask(request(("user", "Summarise this:\n" + "lorem ipsum " * 50_000 + "\nIn one sentence.")))

    assert ask.text.startswith("Summarise this:")
    assert ask.text.endswith("In one sentence.")
    assert len(ask.text) <= KEPT_CHARACTERS
    assert ask.truncated


def test_tools_leave_the_ask_alone_and_a_schema_shows() -> None:
    """A tool list says nothing about the ask; a demanded form does."""
    plain = extract_ask(request(("user", "hi")))
    with_tools = extract_ask(request(("user", "hi"), tools=[{"type": "function", "function": {"name": f"t{i}"}} for i in range(32)]))
    with_form = extract_ask(request(("user", "hi"), response_format={"type": "json_schema", "json_schema": {"schema": {}}}))

    assert with_tools == plain
    assert with_form.machine_form
