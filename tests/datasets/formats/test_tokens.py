"""Tokens: Keras's encoding, multi-hot rows, and the way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pipeline.datasets.formats.tokens import keras_tokens, multi_hot, token_rows
from pipeline.errors import DatasetError


def test_keras_encoding_starts_shifts_and_cuts_the_vocabulary():
    assert keras_tokens([1, 5, 6, 7, 90], num_words=10).tolist() == [1, 4, 8, 9, 2, 2]
    assert keras_tokens([], num_words=10).tolist() == [1]


def test_multi_hot_has_a_one_per_distinct_token_and_none_for_padding():
    rows = multi_hot([[1, 4, 4, 2], [3, 0, 0]], num_words=6)
    assert rows.toarray().tolist() == [[0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]]
    assert rows.dtype == np.float32


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=8))
def test_token_rows_and_multi_hot_are_inverse(rows):
    inputs = multi_hot(rows, 31)
    padded = token_rows(inputs)
    assert padded.dtype == np.int32
    assert padded.shape[1] == max([1, *(len(set(row) - {0}) for row in rows)])
    assert (multi_hot(padded, 31) != inputs).nnz == 0
    assert [set(row) - {0} for row in padded.tolist()] == [set(row) - {0} for row in rows]


def test_token_rows_ignore_stored_zeros_and_order():
    rows = sparse.csr_array(([1.0, 0.0, 1.0], [5, 3, 2], [0, 3]), shape=(1, 6))
    assert token_rows(rows).tolist() == [[2, 5]]
    assert rows.nnz == 3


@pytest.mark.parametrize("wrong", [-1, 31])
def test_a_token_outside_the_vocabulary_names_row_and_range(wrong):
    message = rf"Row 1 holds the token id {wrong}; ids are 0 \(padding\) to 30"
    with pytest.raises(DatasetError, match=message):
        multi_hot([[1, 2], [3, wrong]], 31)
