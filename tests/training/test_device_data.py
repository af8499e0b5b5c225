"""The data on the device: rows by index, train first, never the test part."""

import numpy as np
from scipy import sparse
from training_samples import as_array, digits, newswires

from pipeline.training.device_data import PADDING, DeviceData, padded


def test_images_are_looked_up_by_index_train_first_then_validation():
    dataset = digits()
    data = DeviceData(dataset)
    num_train, num_validation = len(dataset.train), len(dataset.validation)
    assert data.train.tolist() == list(range(num_train))
    assert data.validation.tolist() == list(range(num_train, num_train + num_validation))
    chosen = np.array([3, 0, num_train, num_train + 5])
    rows = as_array(data.inputs(chosen))
    assert rows.dtype == np.float32
    expected = [*dataset.train.inputs[[3, 0]], *dataset.validation.inputs[[0, 5]]]
    np.testing.assert_array_equal(rows, np.array(expected, dtype=np.float32))
    labels = [*dataset.train.labels[[3, 0]], *dataset.validation.labels[[0, 5]]]
    assert as_array(data.labels(chosen)).tolist() == labels
    assert data.host_labels[chosen].tolist() == labels
    np.testing.assert_array_equal(data.measured, dataset.measured)


def test_sparse_rows_stay_token_lists():
    dataset = newswires()
    data = DeviceData(dataset)
    chosen = np.array([7, 0, len(dataset.train) + 2, 7])
    rows = as_array(data.inputs(chosen))
    expected = sparse.vstack([dataset.train.inputs, dataset.validation.inputs], format="csr")
    columns = [np.flatnonzero(row).tolist() for row in expected[chosen].toarray()]
    assert [row[row != PADDING].tolist() for row in rows] == columns
    kept = [tuple(variable.shape) for variable in data.inputs.variables]
    longest = int(np.diff(expected.indptr).max())
    assert kept == [(len(dataset.train) + len(dataset.validation), longest)]


def test_token_lists_are_padded_to_the_longest_and_may_be_empty():
    rows = sparse.csr_array(np.array([[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]], dtype=np.float32))
    assert padded(rows).tolist() == [[1, 3], [PADDING, PADDING], [2, PADDING]]
    assert padded(rows[1:2]).tolist() == [[PADDING]]


def test_the_test_part_is_never_touched():
    # The sealed part raises SealedTestError on any access: opening a trainer_for on it is the test.
    dataset = digits()
    assert dataset.split_sizes["test"] > 0
    data = DeviceData(dataset)
    total = dataset.split_sizes["train"] + dataset.split_sizes["validation"]
    assert len(data.host_labels) == total
