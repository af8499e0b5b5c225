"""Turns word sequences into sparse multi-hot rows, and those back into padded token ids.

A token id is the number of its column. Keras's convention: 0 pads, 1 starts a sequence, 2 stands
for every word outside the vocabulary, words begin at 4 (the most frequent is 1 in the file).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse

from pipeline.errors import DatasetError

PADDING = 0
START = 1
OUT_OF_VOCABULARY = 2
INDEX_FROM = 3


def keras_tokens(words: Sequence[int], num_words: int) -> np.ndarray:
    """Returns one sequence of the official file as Keras's loaders encode it.

    Args:
        words: Frequency ranks of the words, from 1.
        num_words: Size of the vocabulary, the three reserved ids included.

    Returns:
        int32 ``[1 + num_tokens]``: start, then each word's rank + 3, or 2 if that is too rare.

    Source: ``keras.datasets.reuters.load_data``, its default arguments.
    """
    tokens = np.empty(len(words) + 1, dtype=np.int32)
    tokens[0] = START
    tokens[1:] = words
    tokens[1:] += INDEX_FROM
    tokens[tokens >= num_words] = OUT_OF_VOCABULARY
    return tokens


def multi_hot(rows: Iterable[Sequence[int] | np.ndarray], num_words: int) -> sparse.csr_array:
    """Returns a 1 for each token that occurs in a row; padding gives none.

    Args:
        rows: Token ids, an iterable of sequences or a padded array ``[num_rows, longest]``.
        num_words: Number of columns.

    Returns:
        float32 csr ``[num_rows, num_words]`` with sorted indices; column 0 is empty.

    Raises:
        DatasetError: A token id is not in ``[0, num_words)``.
    """
    present = [np.unique(np.asarray(row, dtype=np.int64)) for row in rows]
    present = [tokens[tokens != PADDING] for tokens in present]
    for row, tokens in enumerate(present):
        if tokens.size and not (tokens[0] >= 0 and tokens[-1] < num_words):
            wrong = tokens[0] if tokens[0] < 0 else tokens[-1]
            raise DatasetError(
                f"Row {row} holds the token id {wrong}; ids are 0 (padding) to {num_words - 1}."
                f" Replace rarer words by {OUT_OF_VOCABULARY} (out of vocabulary)."
            )
    starts = np.cumsum([0, *(len(tokens) for tokens in present)])
    indices = np.concatenate([*present, np.empty(0, np.int64)])
    ones = np.ones(len(indices), dtype=np.float32)
    return sparse.csr_array(
        (ones, indices.astype(np.int32), starts.astype(np.int32)), shape=(len(present), num_words)
    )


def token_rows(inputs: sparse.csr_array, padding: int = PADDING) -> np.ndarray:
    """Returns the tokens of multi-hot rows as the exported model takes them.

    Args:
        inputs: csr ``[num_rows, num_words]``; what is not 0 counts as present.
        padding: What follows a row's ids.

    Returns:
        int32 ``[num_rows, longest]``, each row's ids in increasing order, then the padding; at
        least one column. ``multi_hot(token_rows(x), num_words)`` is x.
    """
    rows = sparse.csr_array(inputs, copy=True)
    rows.eliminate_zeros()
    rows.sort_indices()
    lengths = np.diff(rows.indptr)
    padded = np.full((rows.shape[0], max(1, int(lengths.max(initial=0)))), padding, dtype=np.int32)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = rows.indices
    return padded
