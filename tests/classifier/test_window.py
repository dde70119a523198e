"""What an encoder reads of a text, whichever way it is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from learnedrouter.classifier.window import TokenWindow
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training import dataset
from tests.conftest import ROOT

TOKENIZER = ROOT / "models/default/encoder/tokenizer.json"
WORDS = st.sampled_from(["route", "the", "cheapest", "Wörter", "x" * 40, "1,234.5", "{}", "тест", "你好", "한국어를", "\n", "\t", "ok?"])


def tokenizer() -> Tokenizer:
    found = Tokenizer.from_file(str(TOKENIZER))
    found.no_truncation()
    found.no_padding()
    return found


def expected(text: str, size: int) -> list[int]:
    """The window by its definition: tokenise everything, keep as much of either end as fits, the tail from where a word begins."""
    whole = tokenizer().encode(text)
    if len(whole) <= size:
        return whole.ids
    found = tokenizer().encode(text, add_special_tokens=False)
    for kept in range(size - 2, 1, -1):
        head, begins = kept // 2, len(found) - (kept - kept // 2)
        while begins < len(found) and found.word_ids[begins] == found.word_ids[begins - 1]:
            begins += 1
        tail = text[found.offsets[begins][0] :] if begins < len(found) else ""
        cut = tokenizer().encode(f"{text[: found.offsets[head - 1][1]]}\n{tail}")
        if len(cut) <= size:
            return cut.ids
    return []


@given(st.lists(WORDS, min_size=1, max_size=400).map(" ".join), st.sampled_from([16, 32]))
def test_a_long_text_is_read_as_if_all_of_it_had_been_tokenised(text: str, size: int) -> None:
    """Only the ends of a long text are tokenised; what is read is the same."""
    ((ids,), (length,)) = TokenWindow(tokenizer(), size).read([text])

    assert ids == expected(text, size)
    assert ids == tokenizer().encode(TokenWindow(tokenizer(), size).shorten(text)).ids
    assert (length > size) == (len(tokenizer().encode(text)) > size)


def test_serving_reads_of_every_validation_request_what_training_read() -> None:
    """Training shortens the text, serving puts tokens together: in whatever language, that is the same."""
    texts = [row.ask.reading for row in dataset.load([ROOT / "data/validation.jsonl"], DEFAULT_LADDER)]
    window, whole = TokenWindow(tokenizer(), 128), tokenizer()

    found, _ = window.read(texts)

    assert found == [encoding.ids for encoding in whole.encode_batch([window.shorten(text) for text in texts])]


@pytest.fixture(scope="module")
def byte_pairs() -> Tokenizer:
    """A tokenizer that cuts a word by all of it, and that white space is tokens to."""
    found = Tokenizer(BPE())
    found.pre_tokenizer = ByteLevel()
    found.train([str(ROOT / "README.md")], BpeTrainer(vocab_size=900, show_progress=False, initial_alphabet=ByteLevel.alphabet()))
    return found


@pytest.mark.parametrize("begin", range(0, 4_000, 397))
def test_a_tokenizer_that_sees_more_than_a_word_reads_the_shortened_text_anew(begin: int, byte_pairs: Tokenizer) -> None:
    """At the seam it may find other tokens than those that stood there: what is read is what training shortened."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")[begin : begin + 3_000]
    window = TokenWindow(byte_pairs, 64)

    ((ids,), (length,)) = window.read([text])

    shorter = window.shorten(text)
    head, tail = shorter.split("\n")[0], shorter.rsplit("\n", 1)[1]
    assert ids == byte_pairs.encode(shorter).ids
    assert text.startswith(head)
    assert text.endswith(tail)
    assert 60 <= len(ids) <= 64 < length


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
