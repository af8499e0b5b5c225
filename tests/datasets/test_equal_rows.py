"""Equal inputs: found by value, in whatever form, and kept together unless they are too many."""

import time

import numpy as np
import pytest
from scipy import sparse

from pipeline.datasets import SelectionLock, load
from pipeline.datasets.equal_rows import equal_inputs, kept_together
from pipeline.datasets.raw_rows import RawRows, Words
from pipeline.records import DatasetSpec

ROWS = np.array([[1.0, 2.0], [0.0, 3.0], [1.0, 2.0], [-0.0, 3.0], [2.0, 1.0]], np.float32)


WORDS = Words(np.array([0, 1, 0, 1, 2], np.int32), ("b", "", "a"))
NUMBERS = np.array([np.nan, 0.0, -np.nan, -0.0, 1.0])
TEXTS = np.array(["ä b", "", "ä b", "", "c"], object)


@pytest.mark.parametrize(
    "inputs",
    [
        ROWS,
        ROWS.astype(np.uint8).reshape(5, 1, 2, 1),
        ROWS[::-1][::-1],
        np.asfortranarray(ROWS),
        sparse.csr_array(ROWS),
        RawRows({"a": NUMBERS}),
        RawRows({"a": WORDS, "b": np.zeros(5)}),
        RawRows({"a": np.zeros(5), "b": TEXTS}),
    ],
)
def test_equal_by_value(inputs):
    first, second, third, fourth, last = equal_inputs(inputs)
    assert first == third
    assert second == fourth
    assert len({first, second, last}) == 3


def test_sparse_rows_are_equal_in_whatever_order_they_are_stored():
    rows = sparse.csr_array(
        (np.ones(4, np.float32), np.array([2, 0, 0, 2]), np.array([0, 2, 4])), shape=(2, 3)
    )
    assert len(set(equal_inputs(rows))) == 1
    assert rows.indices.tolist() == [2, 0, 0, 2]


def test_200_000_rows_of_50_columns_take_seconds():
    inputs = np.random.RandomState(0).random_sample((200_000, 50)).astype(np.float32)
    inputs[150_000:] = inputs[:50_000]
    start = time.perf_counter()
    equal = equal_inputs(inputs)
    assert kept_together(None, equal) is not None
    assert len(np.unique(equal)) == 150_000
    assert time.perf_counter() - start < 60


def test_nothing_equal_leaves_the_groups_as_they_are():
    groups = np.arange(20) // 2
    assert kept_together(None, np.arange(20)) is None
    assert kept_together(groups, np.arange(20)) is groups


def test_sets_of_more_than_a_tenth_are_not_held():
    equal = np.r_[np.zeros(11, int), np.arange(1, 90)]
    assert kept_together(None, equal) is None
    held = kept_together(None, np.r_[np.zeros(10, int), np.arange(1, 91)])
    assert len(set(held[:10])) == 1
    assert len(set(held)) == 91


def test_a_group_and_a_set_that_share_a_row_become_one():
    groups = np.repeat(np.arange(20), 5)
    equal = np.arange(100)
    equal[5] = equal[4]  # of the groups 0 and 1
    joined = kept_together(groups, equal)
    assert len(set(joined[:10])) == 1
    assert len(set(joined)) == 19


def every_part(dataset):
    return (dataset.train, dataset.validation, dataset.test.read(SelectionLock("r")))


def as_set(part):
    return {row.tobytes() for row in part.inputs}


def test_rows_given_four_times_are_on_one_side_and_counted(tmp_path):
    """A report of .94 where new data give .48: copies of training rows were in validation."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 6)), rng.integers(0, 2, 200)
    np.savez(tmp_path / "four.npz", x=np.tile(x, (4, 1)), y=np.tile(y, 4))
    dataset = load(DatasetSpec(str(tmp_path / "four.npz")))
    train, validation, test = map(as_set, every_part(dataset))
    assert not (train & validation or train & test or validation & test)
    sizes = dataset.split_sizes
    assert [sizes["train"], sizes["validation"], sizes["test"]] == pytest.approx(
        [480, 160, 160], abs=8
    )
    told = {finding.code: finding.message for finding in dataset.findings}
    assert told["duplicates"] == (
        "640 of 640 training and validation examples equal another one in every input; equal ones"
        " are kept in one part"
    )


def test_inputs_of_few_values_are_split_as_they_come_and_told(tmp_path):
    x = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), -1).reshape(-1, 3)
    np.savez(tmp_path / "few.npz", x=np.tile(x, (50, 1)), y=np.arange(400) % 2)
    dataset = load(DatasetSpec(str(tmp_path / "few.npz")))
    told = {finding.code: finding.message for finding in dataset.findings}
    assert "duplicates" not in told
    assert told["repeated"] == (
        "320 of 320 training and validation examples equal another one in every input (8 are"
        " different); too many are equal to keep them all in one part, so that 100% of validation"
        " is known from training"
    )
