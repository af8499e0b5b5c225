"""Splits: stratified, seeded, disjoint, and named by a hash."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.splits import (
    Sizes,
    measured_examples,
    split_examples,
    split_id,
    stratified_order,
)
from pipeline.errors import DatasetError

label_lists = st.lists(st.integers(0, 6), min_size=8, max_size=300).map(
    lambda values: np.unique(np.array(values), return_inverse=True)[1].astype(np.int32)
)
seeds = st.integers(0, 2**40)


def imbalanced(counts=(700, 250, 45, 4, 1)):
    return np.repeat(np.arange(len(counts)), counts).astype(np.int32)


@settings(deadline=None, max_examples=60)
@given(labels=label_lists, seed=seeds)
def test_parts_are_disjoint_and_cover_everything(labels, seed):
    split = split_examples(labels, seed, Sizes())
    together = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))


@settings(deadline=None, max_examples=60)
@given(labels=label_lists, seed=seeds)
def test_every_class_is_in_train_and_every_part_near_its_share(labels, seed):
    split = split_examples(labels, seed, Sizes())
    num_classes = labels.max() + 1
    total = np.bincount(labels)
    if len(split.train) >= num_classes:
        assert (np.bincount(labels[split.train], minlength=num_classes) > 0).all()
    for part in (split.train, split.validation, split.test):
        counts = np.bincount(labels[part], minlength=num_classes)
        assert np.abs(counts - total * len(part) / len(labels)).max() <= 1 + num_classes


@settings(deadline=None, max_examples=60)
@given(labels=label_lists, seed=seeds)
def test_every_prefix_of_the_order_is_stratified(labels, seed):
    order = stratified_order(labels, np.random.RandomState(seed % 2**32))
    one_hot = labels[order][:, None] == np.arange(labels.max() + 1)
    position = np.arange(1, len(labels) + 1)[:, None]
    expected = np.bincount(labels)[None, :] * position / len(labels)
    assert np.abs(np.cumsum(one_hot, axis=0) - expected).max() <= 1 + labels.max() + 1


def test_shares_are_60_20_20_and_exact_where_classes_divide_evenly():
    labels = np.repeat(np.arange(10), 100).astype(np.int32)
    split = split_examples(labels, 0, Sizes())
    assert [len(part) for part in (split.train, split.validation, split.test)] == [600, 200, 200]
    assert set(np.bincount(labels[split.train])) == {60}
    assert set(np.bincount(labels[split.validation])) == {20}


def test_a_class_with_one_example_falls_to_train():
    labels = imbalanced()
    for seed in range(20):
        split = split_examples(labels, seed, Sizes())
        assert 4 in labels[split.train]


def test_an_official_test_part_leaves_all_labels_for_train_and_validation():
    labels = imbalanced()
    split = split_examples(labels, 0, Sizes(validation=100, official_test=77))
    assert split.official_test
    assert (len(split.train), len(split.validation), len(split.test)) == (900, 100, 77)
    assert not set(split.train) & set(split.validation)


def test_same_seed_same_split_another_seed_another():
    first, again, other = (split_examples(imbalanced(), seed, Sizes()) for seed in (3, 3, 4))
    assert np.array_equal(first.train, again.train)
    assert split_id(first, 3, "f") == split_id(again, 3, "f")
    assert not np.array_equal(np.sort(first.validation), np.sort(other.validation))
    assert not np.array_equal(np.sort(first.test), np.sort(other.test))


def test_split_id_depends_on_indices_seed_and_data():
    split = split_examples(imbalanced(), 0, Sizes())
    fewer = split_examples(imbalanced(), 0, Sizes(train_examples=50))
    ids = {split_id(split, 0, "a"), split_id(split, 1, "a"), split_id(split, 0, "b")}
    ids.add(split_id(fewer, 0, "a"))
    assert len(ids) == 4
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


def test_the_split_is_the_same_on_every_machine_and_numpy():
    labels = np.repeat(np.arange(2), 10).astype(np.int32)
    split = split_examples(labels, 0, Sizes())
    assert np.sort(split.test).tolist() == [1, 5, 14, 19]
    assert np.sort(split.validation).tolist() == [6, 8, 13, 16]


def test_train_examples_takes_from_train_only_and_stays_stratified():
    labels = np.repeat(np.arange(5), 100).astype(np.int32)
    everything = split_examples(labels, 0, Sizes())
    fewer = split_examples(labels, 0, Sizes(train_examples=50))
    assert len(fewer.train) == 50
    assert set(fewer.train) <= set(everything.train)
    assert np.array_equal(fewer.validation, everything.validation)
    assert np.array_equal(fewer.test, everything.test)
    assert set(np.bincount(labels[fewer.train])) <= {9, 10, 11}


@pytest.mark.parametrize("number", [0, -1, 601])
def test_train_examples_out_of_range_says_the_range(number):
    labels = np.repeat(np.arange(10), 100).astype(np.int32)
    message = f"--train-examples is {number}, but the training part has 600 examples"
    with pytest.raises(DatasetError, match=f"{message}.*from 1 to 600"):
        split_examples(labels, 0, Sizes(train_examples=number))


def test_too_few_examples_say_so():
    with pytest.raises(DatasetError, match="Too few examples to split: train 2, validation 0"):
        split_examples(np.array([0, 1], np.int32), 0, Sizes())


def test_a_validation_part_larger_than_the_data_says_so():
    with pytest.raises(DatasetError, match="Too few examples to split: train 0, validation 20"):
        split_examples(imbalanced((10, 10)), 0, Sizes(validation=50, official_test=5))


def test_a_negative_seed_is_refused():
    with pytest.raises(DatasetError, match="The seed is -1"):
        split_examples(imbalanced(), -1, Sizes())


@pytest.mark.parametrize(
    ("num_train", "num_validation", "expected"),
    [(600, 200, 600), (50_000, 10_000, 10_000), (50_000, 20_000, 20_000), (8_000, 20, 8_000)],
)
def test_measured_is_min_of_train_and_max_of_validation_and_10000(
    num_train, num_validation, expected
):
    labels = (np.arange(num_train) % 7).astype(np.int32)
    measured = measured_examples(labels, num_validation, 0)
    assert len(measured) == len(set(measured)) == expected
    shares = np.bincount(labels[measured[: expected // 3]]) / (expected // 3)
    assert np.allclose(shares, 1 / 7, atol=0.01)
