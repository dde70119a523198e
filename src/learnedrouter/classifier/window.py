"""What an encoder sees of a text: all of it, or its head and its tail.

Tokenising is what a long text costs. So of a text much longer than the window only its ends are tokenised, cut where a
word ends, and its length in tokens is estimated from theirs. Where the ends turn out too short (very long words, writing
without spaces) the whole text is tokenised after all: what is read is always the same, only the length is an estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer

from learnedrouter.classifier.features import IntArray

_END_CHARACTERS = 3
"""Characters tokenised at either end, per token of the window. Either end fills half of it, so that is six a token; English needs four."""


@dataclass(frozen=True, slots=True)
class _Ends:
    """The tokens at a text's head and tail, and where they lie in the text; `length` of the whole text, in tokens."""

    head_ends: Sequence[int]
    tail_starts: Sequence[int]
    length: int


class TokenWindow:
    """What an encoder sees of a text: all of it, or its head and its tail.

    Parameters
    ----------
    tokenizer
        The encoder's own; its truncation and padding are switched off.
    max_tokens
        Size of the window, special tokens included.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self.max_tokens = tokenizer, max_tokens
        self._before, self._after = special_tokens(tokenizer)
        self._specials = len(self._before) + len(self._after)
        self._end = max_tokens * _END_CHARACTERS

    def read(self, texts: Sequence[str]) -> tuple[list[list[int]], IntArray]:
        """Return the token ids in the window for each text, and the texts' lengths in tokens before any cut, ``(n,)``."""
        windows: list[list[int]] = []
        lengths = np.empty(len(texts), dtype=np.intp)
        short = [place for place, text in enumerate(texts) if len(text) <= 2 * self._end]
        encodings = self._tokenizer.encode_batch([texts[place] for place in short], add_special_tokens=False)
        whole = dict(zip(short, encodings, strict=True))
        for place, text in enumerate(texts):
            encoding = whole.get(place)
            if encoding is not None and len(encoding) + self._specials <= self.max_tokens:
                windows.append([*self._before, *encoding.ids, *self._after])
                lengths[place] = len(windows[-1])
            else:
                ends = self._ends(text) if encoding is None else self._whole(encoding)
                windows.append(self._shortened(text, ends).ids)
                lengths[place] = ends.length
        return windows, lengths

    def shorten(self, text: str) -> str:
        """Return the part of `text` that fits into the window."""
        ends = self._ends(text)
        return text if ends.length <= self.max_tokens else self._joined(text, ends)[0]

    def _shortened(self, text: str, ends: _Ends) -> Encoding:
        return self._tokenizer.encode(text) if ends.length <= self.max_tokens else self._joined(text, ends)[1]

    def _joined(self, text: str, ends: _Ends) -> tuple[str, Encoding]:
        for kept in range(self.max_tokens - self._specials, 1, -1):  # the seam may be cut into more tokens: then one less is kept
            head, tail = kept // 2, kept - kept // 2
            shorter = f"{text[: ends.head_ends[head - 1]]}\n{text[ends.tail_starts[-tail] :]}"
            if len(encoding := self._tokenizer.encode(shorter)) <= self.max_tokens:
                return shorter, encoding
        return "", self._tokenizer.encode("")

    def _ends(self, text: str) -> _Ends:
        head, tail = text[: self._end], text[-self._end :]
        if len(text) > 2 * self._end:
            head = head[: _last_space(head)]
            tail = tail[_first_space(tail) :]
            first, last = (self._tokenizer.encode(part, add_special_tokens=False) for part in (head, tail))
            if min(len(first), len(last)) > self.max_tokens // 2:
                per_character = (len(first) + len(last)) / (len(head) + len(tail))
                starts = [len(text) - len(tail) + start for start, _ in last.offsets[-self.max_tokens :]]
                length = self._specials + round(per_character * len(text))
                return _Ends([end for _, end in first.offsets[: self.max_tokens]], starts, max(length, self.max_tokens + 1))
        return self._whole(self._tokenizer.encode(text, add_special_tokens=False))

    def _whole(self, encoding: Encoding) -> _Ends:
        ends = [end for _, end in encoding.offsets[: self.max_tokens]]
        return _Ends(ends, [start for start, _ in encoding.offsets[-self.max_tokens :]], len(encoding) + self._specials)


def special_tokens(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special tokens that `tokenizer` puts before and after a text."""
    encoding = tokenizer.encode("a")
    own = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    return (encoding.ids[: own[0]], encoding.ids[own[-1] + 1 :]) if own else (encoding.ids, [])


def _last_space(text: str) -> int:
    """Return where the last word of `text` begins to be cut: the place of its last white space, 0 without any."""
    return max(text.rfind(" "), text.rfind("\n"), 0)


def _first_space(text: str) -> int:
    """Return the place of the first white space of `text`, its length without any."""
    found = [place for place in (text.find(" "), text.find("\n")) if place >= 0]
    return min(found, default=len(text))
