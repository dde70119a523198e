"""What of a request the classifier reads: the newest human ask, and little of what a harness put around it.

Tool lists, tool results, reasoning and the tags that coding agents add say nothing about how hard the ask is, and they
drown it. A short follow-up ("yes, do it") says too little by itself and carries the ask before it. Of the system prompt
the encoder reads only the first and the last words: where a program sends bare data, the task stands there; read as a
whole, an agent's 6,000 tokens make every request look alike. Whether it demands a machine form, features say.
"""

import re
from dataclasses import dataclass

from learnedrouter.chat import ChatRequest, Turn

HARNESS_TAGS = (
    "system-reminder|system_reminder|environment_details|environment_context|env|user_info|user_instructions|additional_data|"
    "attached_files|open_files|open_and_recently_viewed_files|recently_viewed_files|project_layout|git_status|ide_selection|"
    "ide_opened_file|editor_context|cursor_rules|rules|workspace_info|reminderInstructions|local-command-stdout|"
    "local-command-caveat|command-name|command-message|command-args|function_results|tool_result|tool_results|thinking|reasoning"
)
"""Tags whose content a harness wrote: dropped, content and all."""

WRAPPER_TAGS = "user_query|user_message|user_request|userRequest|user-prompt|task|feedback|human"
"""Tags that a harness puts around what the human wrote: the tags go, the content stays."""

_OPENING = re.compile(rf"<({HARNESS_TAGS})\b[^<>]*>", re.IGNORECASE | re.ASCII)
_CLOSING = {tag.lower(): re.compile(f"</{tag}>", re.IGNORECASE | re.ASCII) for tag in HARNESS_TAGS.split("|")}
_WRAPPER = re.compile(rf"</?(?:{WRAPPER_TAGS})>", re.IGNORECASE)

SHORT_WORDS = 8
"""An ask of at most so many words may be a mere follow-up, and carries the ask before it."""

KEPT_CHARACTERS = 4_000
"""A longer text is cut to its head and its tail, half of this each, before anything counts tokens: what is asked stands
at one of the ends, and the encoders read a few hundred tokens anyway."""

SYSTEM_CHARACTERS = 240
"""What the encoder reads of the system prompt, half of this from either end."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The part of a request that the classifier judges.

    Parameters
    ----------
    text
        The newest human ask, cut to head and tail where it was long.
    previous
        The ask before it, where the newest is a short follow-up; else empty.
    characters
        Length of the newest ask before the cut.
    human_turns
        How many asks the conversation holds.
    machine_form
        Whether the request demands an answer in a JSON schema.
    system
        The system prompt, cut to head and tail where it was long; empty where there is none.
    """

    text: str
    previous: str
    characters: int
    human_turns: int
    machine_form: bool
    system: str = ""

    @property
    def truncated(self) -> bool:
        """Whether the text was cut."""
        return self.characters > len(self.text)

    @property
    def reading(self) -> str:
        """What the encoder reads: the ask, after the first and last words of what sets it, and after what it follows up."""
        return "\n\n".join(part for part in (_head_and_tail(self.system, SYSTEM_CHARACTERS), self.previous, self.text) if part)


def extract_ask(request: ChatRequest) -> Ask:
    """Return what of `request` the classifier reads.

    Where no human turn holds text (an image alone, a lone tool result), the newest text of any turn stands in.
    """
    asks = [text for turn in request.turns if turn.role == "user" and (text := strip_harness(turn.text))]
    if not asks:
        asks = [_newest_text(request.turns)]
    newest = asks[-1]
    follows_up = len(asks) > 1 and len(newest.split(maxsplit=SHORT_WORDS)) <= SHORT_WORDS and len(newest) < KEPT_CHARACTERS
    return Ask(
        text=_head_and_tail(newest, KEPT_CHARACTERS),
        previous=_head_and_tail(asks[-2], KEPT_CHARACTERS) if follows_up else "",
        characters=len(newest),
        human_turns=len(asks),
        machine_form=request.needs.json_schema,
        system=_head_and_tail("\n".join(turn.text.strip() for turn in request.turns if turn.role == "system"), KEPT_CHARACTERS),
    )


def strip_harness(text: str) -> str:
    """Return a human turn without what its harness added."""
    return _WRAPPER.sub("", _without_harness_tags(text)).strip() if "<" in text else text.strip()


def _without_harness_tags(text: str) -> str:
    """Drop harness tags with their content, in one pass: a closing tag that is missing is looked for once, not at each opening."""
    kept: list[str] = []
    place, unclosed = 0, set[str]()
    for opening in _OPENING.finditer(text):
        tag = opening[1].lower()
        if opening.start() < place or tag in unclosed:
            continue
        if closing := _CLOSING[tag].search(text, opening.end()):
            kept.append(text[place : opening.start()])
            place = closing.end()
        else:
            unclosed.add(tag)
    return "".join([*kept, text[place:]])


def _newest_text(turns: tuple[Turn, ...]) -> str:
    return next((turn.text for turn in reversed(turns) if turn.text.strip()), "")


def _head_and_tail(text: str, kept: int) -> str:
    if len(text) <= kept:
        return text
    half = kept // 2 - 1
    return f"{text[:half]}\n\n{text[-half:]}"
