"""What an encoder reads of a text, whichever way it is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from learnedrouter.classifier.window import TokenWindow
from tests.conftest import ROOT

TOKENIZER = ROOT / "models/default/encoder/tokenizer.json"
WORDS = st.sampled_from(["route", "the", "cheapest", "Wörter", "x" * 40, "1,234.5", "{}", "тест", "你好", "\n", "\t", "ok?"])


def tokenizer() -> Tokenizer:
    found = Tokenizer.from_file(str(TOKENIZER))
    found.no_truncation()
    found.no_padding()
    return found


def expected(text: str, size: int) -> list[int]:
    """The window by its definition: tokenise everything, keep as much of either end as fits."""
    whole = tokenizer().encode(text)
    if len(whole) <= size:
        return whole.ids
    spans = tokenizer().encode(text, add_special_tokens=False).offsets
    for kept in range(size - 2, 1, -1):
        head, tail = kept // 2, kept - kept // 2
        cut = tokenizer().encode(f"{text[: spans[head - 1][1]]}\n{text[spans[-tail][0] :]}")
        if len(cut) <= size:
            return cut.ids
    return []


@given(st.lists(WORDS, min_size=1, max_size=400).map(" ".join), st.sampled_from([16, 32]))
def test_a_long_text_is_read_as_if_all_of_it_had_been_tokenised(text: str, size: int) -> None:
    """Only the ends of a long text are tokenised; what is read is the same."""
    ((ids,), (length,)) = TokenWindow(tokenizer(), size).read([text])

    assert ids == expected(text, size)
    assert (length > size) == (len(tokenizer().encode(text)) > size)


@pytest.mark.parametrize("text", ["", " ", "word " * 3_000, "x" * 9_000, "你好" * 2_000, "\n" * 5_000, " " * 5_000 + "end"])
def test_odd_texts_fit_the_window(text: str) -> None:
    """Empty, endless, without spaces, of spaces alone: never more tokens than the encoder takes, and the same alone or in company."""
    window = TokenWindow(tokenizer(), 64)

    (ids, *_), lengths = window.read([text, "beside it"])

    assert len(ids) <= 64
    assert ids == expected(text, 64)
    assert lengths[0] == window.read([text])[1][0]


def test_the_length_of_a_long_text_is_estimated_well() -> None:
    """Within a fifth of what counting would give, for a text whose parts differ."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    (_, (length,)) = TokenWindow(tokenizer(), 128).read([text])

    np.testing.assert_allclose(length, len(tokenizer().encode(text)), rtol=0.2)
