"""What an encoder sees of a text: all of it, or its head and its tail.

Tokenising is what a long text costs. So of a text much longer than the window only its ends are tokenised, cut where a
word ends, and its length in tokens is estimated from theirs. Where the ends turn out too short (very long words, writing
without spaces) the whole text is tokenised after all: what is read is always the same, only the length is an estimate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece

from learnedrouter.classifier.features import IntArray

_END_CHARACTERS = 3
"""Characters tokenised at either end, per token of the window. Either end fills half of it, so that is six a token; English needs four."""

_Tokenize = Callable[[Sequence[str]], list[Encoding]]
"""Tokenises texts, without special tokens."""


@dataclass(frozen=True, slots=True)
class _Ends:
    """The tokens at a text's head and tail, without special ones; of a short text both are all of it.

    Parameters
    ----------
    tail_offset
        Where in the text the tokenised tail begins.
    length
        Of the whole text, in tokens, special ones included.
    """

    head: Encoding
    tail: Encoding
    tail_offset: int
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
        self._splices = _takes_words(tokenizer)

    def read(self, texts: Sequence[str]) -> tuple[list[list[int]], IntArray]:
        """Return the token ids in the window for each text, and the texts' lengths in tokens before any cut, ``(n,)``."""
        tokenize = self._ids_only if self._splices else self._with_places
        windows: list[list[int]] = []
        lengths = np.empty(len(texts), dtype=np.intp)
        short = [place for place, text in enumerate(texts) if len(text) <= 2 * self._end]
        whole = dict(zip(short, tokenize([texts[place] for place in short]), strict=True))
        for place, text in enumerate(texts):
            ends = self._whole(whole[place]) if place in whole else self._ends(text, tokenize)
            windows.append(self._window(text, ends))
            lengths[place] = ends.length
        return windows, lengths

    def shorten(self, text: str) -> str:
        """Return the part of `text` that fits into the window."""
        ends = self._ends(text, self._with_places)
        return text if ends.length <= self.max_tokens else self._joined(text, ends)[0]

    def _ids_only(self, texts: Sequence[str]) -> list[Encoding]:
        found: list[Encoding] = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return found

    def _with_places(self, texts: Sequence[str]) -> list[Encoding]:
        found: list[Encoding] = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return found

    def _window(self, text: str, ends: _Ends) -> list[int]:
        if ends.length <= self.max_tokens:
            return [*self._before, *ends.head.ids, *self._after]
        if not self._splices:
            return self._joined(text, ends)[1].ids
        head, tail = self._halves(ends, self.max_tokens - self._specials)
        first, last = ends.head.ids, ends.tail.ids
        if self._may_part_a_letter(first[head]):
            return self._joined(text, self._ends(text, self._with_places))[1].ids
        # what tokenising the two parts anew would give, in a third of the time
        return [*self._before, *first[:head], *last[len(last) - tail :], *self._after]

    def _joined(self, text: str, ends: _Ends) -> tuple[str, Encoding]:
        for kept in range(self.max_tokens - self._specials, 1, -1):  # the seam may be cut into more tokens: then one less is kept
            head, tail = self._halves(ends, kept)
            tail_begins = ends.tail_offset + ends.tail.offsets[-tail][0] if tail else len(text)
            shorter = f"{text[: ends.head.offsets[head - 1][1]]}\n{text[tail_begins:]}"
            if len(encoding := self._tokenizer.encode(shorter)) <= self.max_tokens:
                return shorter, encoding
        return "", self._tokenizer.encode("")

    def _halves(self, ends: _Ends, kept: int) -> tuple[int, int]:
        """Return how many tokens of head and tail make `kept`; of words that are taken one by one, the tail begins with a whole one."""
        head = kept // 2
        tail = kept - head
        if self._splices:
            ids = ends.tail.ids
            while tail and self._continues(ids[-tail]):
                tail -= 1
        return head, tail

    def _continues(self, token: int) -> bool:
        """Return whether a token of WordPiece stands within a word."""
        return str(self._tokenizer.id_to_token(token)).startswith(self._tokenizer.model.continuing_subword_prefix)

    def _may_part_a_letter(self, token: int) -> bool:
        """Return whether a token of WordPiece may stand within a letter, as one of several that a Korean syllable is taken apart into."""
        return self._continues(token) and not str(self._tokenizer.id_to_token(token)).isascii()

    def _ends(self, text: str, tokenize: _Tokenize) -> _Ends:
        head, tail = text[: self._end], text[-self._end :]
        if len(text) > 2 * self._end:
            head = head[: _last_space(head)]
            tail = tail[_first_space(tail) :]
            first, last = tokenize([head, tail])
            if min(len(first), len(last)) > self.max_tokens // 2:
                per_character = (len(first) + len(last)) / (len(head) + len(tail))
                length = self._specials + round(per_character * len(text))
                return _Ends(first, last, len(text) - len(tail), max(length, self.max_tokens + 1))
        return self._whole(*tokenize([text]))

    def _whole(self, encoding: Encoding) -> _Ends:
        return _Ends(encoding, encoding, 0, len(encoding) + self._specials)


def _takes_words(tokenizer: Tokenizer) -> bool:
    """Return whether the tokens of a text are those of its words, one after the other, and white space leaves none.

    So does WordPiece, which looks for the longest known beginning of what is left of a word: a word whose end is cut off keeps
    the tokens that it had before the cut.
    """
    one, other, both = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a", "b", "a\nb"))
    return isinstance(tokenizer.model, WordPiece) and bool(tokenizer.model.continuing_subword_prefix) and both == one + other


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
