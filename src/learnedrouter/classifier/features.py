"""A small vector of structural features that stands beside the embedding.

An encoder of a few hundred tokens does not see how long a text is, how it is laid out, or which signs it is made of.
Each feature has its reason beside it. Adding one changes the artefact's format: raise ``artifact.FORMAT``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import log1p

import numpy as np
import numpy.typing as npt

from learnedrouter.ask import Ask

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.intp]

_OPTIONS = re.compile(r"^\s*\(?[A-Ea-e1-5][.):]\s", re.MULTILINE)
_MATHS = re.compile(r"[=+^∑∫√≤≥∞π]|\\[a-z]+|\$[^$]+\$")
_CODE = re.compile(r"[{};]\s*$|^\s*(?:def|class|import|from|#include|function|const|let|var|public|SELECT)\b|=>|::|\(\)", re.MULTILINE)
_FORM = re.compile(r"\b(?:json|csv|yaml|xml|toml|sql|regex|table|schema|columns?|fields?|tsv|markdown)\b")  # on lower case: twice as fast
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_PLACEHOLDER = re.compile(r"[{<\[][a-z_ ]{2,30}[}>\]]|\"[a-z_]+\"\s*:", re.IGNORECASE)


def _digit_share(text: str) -> float:
    return sum(text.count(sign) for sign in set(text) if sign.isdigit()) / len(text) if text else 0.0


def _longest_number(text: str) -> int:
    return min(max((len(number) for number in _NUMBER.findall(text)), default=0), 12)


def _non_ascii_share(text: str) -> float:
    return (len(text) - len(text.encode("ascii", "ignore"))) / len(text) if text else 0.0


FEATURES: Mapping[str, Callable[[Ask], float]] = {
    # Length by itself says little, but the encoder cannot know it, and it moderates everything else.
    "log_characters": lambda ask: log1p(ask.characters),
    # Pasted material has many short lines; a question is one.
    "log_lines": lambda ask: log1p(ask.text.count("\n")),
    # The last line is where the ask stands under pasted material.
    "log_last_line": lambda ask: log1p(len(ask.text.rstrip().rsplit("\n", 1)[-1])),
    # Several questions in one ask need several steps.
    "question_marks": lambda ask: log1p(ask.text.count("?") + ask.text.count("？") + ask.text.count("؟")),
    # Reasoning over numbers: sums, tables, logs.
    "digit_share": lambda ask: _digit_share(ask.text),
    # Each quantity of a word problem is a step of its solution.
    "numbers": lambda ask: log1p(len(_NUMBER.findall(ask.text))),
    # Small models slip in the arithmetic of large numbers; beyond a dozen digits it is no quantity but a key.
    "longest_number": lambda ask: log1p(_longest_number(ask.text)),
    # Formulas: maths is judged by its depth, and the encoder reads symbols badly.
    "maths_signs": lambda ask: log1p(len(_MATHS.findall(ask.text))),
    # Code, fenced or bare.
    "code_signs": lambda ask: log1p(len(_CODE.findall(ask.text)) + 3 * ask.text.count("```")),
    # The words that name a machine-readable form.
    "form_words": lambda ask: log1p(len(_FORM.findall(ask.text.lower()))),
    # Fields to be filled, keys of a demanded object.
    "placeholders": lambda ask: log1p(len(_PLACEHOLDER.findall(ask.text))),
    # Lettered or numbered options and constraints.
    "options": lambda ask: log1p(len(_OPTIONS.findall(ask.text))),
    # Other alphabets, which an English encoder reads by fragments.
    "non_ascii_share": lambda ask: _non_ascii_share(ask.text),
    # A demanded JSON schema is a machine form, whatever the words say.
    "machine_form": lambda ask: float(ask.machine_form),
    # A program's prompt sets the form of every answer; a person's "You are a helpful assistant." sets nothing.
    "log_system": lambda ask: log1p(len(ask.system)),
    # The words for a machine-readable form, where a program asks for it.
    "system_form_words": lambda ask: log1p(len(_FORM.findall(ask.system.lower()))),
    # Keys of a demanded object, or of the arguments of a function that is to be called.
    "system_placeholders": lambda ask: log1p(len(_PLACEHOLDER.findall(ask.system))),
    # A follow-up is often smaller than what it follows.
    "follows_up": lambda ask: float(ask.human_turns > 1),
}


def structural(asks: Sequence[Ask]) -> FloatArray:
    """Return the structural features of asks.

    Returns
    -------
    (n, len(FEATURES))
        Columns in the order of `FEATURES`, unscaled; the head's pipeline scales them.
    """
    rows = [[feature(ask) for feature in FEATURES.values()] for ask in asks]
    return np.asarray(rows, dtype=np.float32).reshape(len(asks), len(FEATURES))
