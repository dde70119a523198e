"""What a streamed answer consists of, in no dialect: each dialect's parser yields these, each writer writes them."""

from dataclasses import dataclass

from learnedrouter.chat import FinishReason, Usage


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer begins."""

    id: str


@dataclass(frozen=True, slots=True)
class Text:
    """More text for the reader."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """More of the text with which the model refuses."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A tool call begins; `call` counts the calls of the answer from 0."""

    call: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of a tool call's arguments, as JSON text cut anywhere."""

    call: int
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Why the answer ends; its usage may still follow."""

    finish: FinishReason


@dataclass(frozen=True, slots=True)
class Counted:
    """What the answer has used so far: all of it, not more of it."""

    usage: Usage


Piece = Opened | Text | Refusal | CallBegun | CallArguments | Finished | Counted
