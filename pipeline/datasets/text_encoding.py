"""Turns texts into sparse multi-hot rows of their words; the vocabulary is that of train alone.

Words are made exactly as Keras's ``TextVectorization(standardize="lower_and_strip_punctuation",
split="whitespace")`` makes them in the exported model: the letters A to Z become small, other
letters stay as they are (``Ä`` is not ``ä``); ASCII punctuation is taken out, which joins ``it's``
to ``its``; what is left is split at ASCII blanks. As in the layer's output ``multi_hot``, column 0
is that of words outside the vocabulary; it stays empty here, and the first layer's weights for it
are zero.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import sparse

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.raw_rows import RawRows, input_names
from pipeline.errors import DatasetError

MOST_WORDS = 10_000
"""Size of the vocabulary: the most frequent words of train."""
_PUNCTUATION = string.punctuation.encode()


def words_of(text: str) -> list[bytes]:
    """Returns the words of a text, in UTF-8, as Keras's layer makes them."""
    # Of bytes, Python and TensorFlow lower and split the same ones: those of ASCII.
    return text.encode().lower().translate(None, _PUNCTUATION).split()


def texts_of(rows: RawRows, column: str) -> np.ndarray:
    """Returns a column of texts, an object array of ``str``, ``[num_rows]``."""
    return cast(np.ndarray, rows.columns[column])


@dataclass(frozen=True)
class TextEncoding:
    """The encoding of a column of texts, in plain values.

    Attributes:
        column: Name of the column.
        words: The vocabulary; the first word's column is 1.
    """

    column: str
    words: tuple[str, ...]

    @property
    def columns(self) -> tuple[RawColumn, ...]:
        """The columns that an exported model takes."""
        return (RawColumn(self.column, "text"),)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example."""
        return (1 + len(self.words),)

    def apply(self, inputs: RawRows) -> sparse.csr_array:
        """Returns the encoded texts, float32 ones ``[num_rows, 1 + num_words]``."""
        place = {word.encode(): number for number, word in enumerate(self.words, 1)}
        rows = []
        for text in texts_of(inputs, self.column):
            found = {place[word] for word in words_of(text) if word in place}
            rows.append(np.array(sorted(found), dtype=np.int32))
        starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
        indices = np.concatenate([*rows, np.empty(0, np.int32)])
        ones = np.ones(len(indices), dtype=np.float32)
        return sparse.csr_array((ones, indices, starts), shape=(len(rows), *self.input_shape))

    def as_model_inputs(self, inputs: RawRows) -> dict[str, np.ndarray]:
        """Returns texts as an exported model takes them: objects of ``str``, ``[num_rows, 1]``."""
        (name,) = input_names([self.column])
        return {name: texts_of(inputs, self.column)[:, None]}


def fit(column: str, train: RawRows) -> TextEncoding:
    """Returns the encoding of a column of texts, fitted on the rows of the training part.

    Raises:
        DatasetError: There is no word in any of them.
    """
    counts = count_words(texts_of(train, column))
    if not counts:
        raise DatasetError(f"the training texts in '{column}' hold no word; expected texts.")
    # Of equally frequent words the first in the order of their bytes.
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    return TextEncoding(column, tuple(word.decode() for word in ranked))


def count_words(texts: Iterable[str]) -> Counter[bytes]:
    """Returns how often each word occurs that a vocabulary can hold."""
    counts: Counter[bytes] = Counter()
    for text in texts:
        counts.update(words_of(text))
    # Keras holds a vocabulary in an array of numpy's, which loses a NUL at a word's end.
    for word in [word for word in counts if b"\0" in word]:
        del counts[word]
    return counts
