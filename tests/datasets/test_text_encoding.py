"""The words of texts: what they are, which of them make the vocabulary, and the rows they give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.dataset import RawData
from pipeline.datasets.preprocessing import assemble
from pipeline.datasets.raw_rows import RawRows
from pipeline.datasets.text_encoding import TextEncoding, fit, texts_of, words_of
from pipeline.datasets.user.text_folders import as_objects
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec


def rows(*texts):
    return RawRows({"said": as_objects(texts)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a-b.c, said ABC!", ["its", "abc", "said", "abc"]),
        ("ÄPFEL Straße İ", ["Äpfel", "straße", "İ"]),
        (
            "a\u00a0b c\td\ne\x0bf\x0cg\r\nh\u2003i",
            ["a\u00a0b", "c", "d", "e", "f", "g", "h\u2003i"],
        ),
        ("«x» \u2013 “y” ...", ["«x»", "\u2013", "“y”"]),
        (" !?. \n", []),
        ("", []),
    ],
)
def test_words_are_small_in_ascii_and_without_its_punctuation(text, words):
    assert [word.decode() for word in words_of(text)] == words


def test_the_vocabulary_is_the_most_frequent_words_of_train(monkeypatch):
    train = rows("b b b a", "c a, C", "ä")
    assert fit("said", train).words == ("b", "a", "c", "ä")
    monkeypatch.setattr("pipeline.datasets.text_encoding.MOST_WORDS", 2)
    assert fit("said", train).words == ("b", "a")
    with pytest.raises(DatasetError, match="the training texts in 'said' hold no word; expected"):
        fit("said", rows("", "!!"))


def test_rows_have_a_one_per_word_and_the_first_column_stays_empty():
    encoded = TextEncoding("said", ("b", "a", "é")).apply(rows("A b, a", "", "unknown", "É é"))
    assert (encoded.dtype, encoded.format) == (np.float32, "csr")
    np.testing.assert_array_equal(
        encoded.toarray(), [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    )


def test_what_a_model_takes_are_the_texts_as_they_are():
    encoding = TextEncoding("what/ever", ("a",))
    raw = RawRows({"what/ever": as_objects(["a\0", "é" * 5])})
    (name,) = encoding.as_model_inputs(raw)
    assert name == "what|ever"
    assert encoding.as_model_inputs(raw)[name].tolist() == [["a\0"], ["é" * 5]]
    assert [(c.name, c.kind, c.dtype) for c in encoding.columns] == [
        ("what/ever", "text", "string")
    ]


@given(st.lists(st.text(), min_size=1))
def test_any_text_gives_a_row_of_its_own_words(texts):
    raw = rows("a word", *texts)
    encoding = fit("said", raw)
    encoded = encoding.apply(raw)
    assert encoded.shape == (len(texts) + 1, *encoding.input_shape)
    for text, row in zip(texts_of(raw, "said"), encoded.toarray(), strict=True):
        names = {encoding.words[place - 1] for place in np.flatnonzero(row)}
        assert names == {word.decode() for word in words_of(text) if b"\0" not in word}


def dataset(change=None, elsewhere=()):
    """A dataset of 100 texts; ``change`` rewrites those that are ``elsewhere``."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 5)) for _ in range(100)]
    for place in elsewhere:
        texts[place] = change(texts[place])
    raw = RawData(
        *("multi_hot", ("no", "yes"), rows(*texts), np.arange(100, dtype=np.int32) % 2),
        fit_encoding=lambda train: fit("said", train),
    )
    return assemble("texts", raw, DatasetSpec("texts"))


def test_nothing_but_train_decides_the_vocabulary():
    plain = dataset()
    elsewhere = [*plain.split.validation, *plain.split.test]
    assert len(elsewhere) == 40
    other = dataset(lambda text: f"new words {text[::-1]} zzz", elsewhere)
    assert plain.encoding == other.encoding
    assert set(plain.encoding.words) == set("abcdefgh")
    np.testing.assert_array_equal(plain.train.inputs.toarray(), other.train.inputs.toarray())
    assert plain.split_id != other.split_id
    assert plain.raw_example()["said"].shape == (2, 1)
    leaking = dataset(lambda text: "zzz", plain.split.train)
    assert leaking.encoding.words == ("zzz",)
