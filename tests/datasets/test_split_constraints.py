"""Splits that the data constrain by groups, an order or given parts; and those they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets import load
from pipeline.datasets.splits import Constraints, Sizes, split_examples
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec


def parts_of(split):
    return split.train, split.validation, split.test


def is_partition(split, num_examples):
    return np.array_equal(np.sort(np.concatenate(parts_of(split))), np.arange(num_examples))


@pytest.mark.parametrize(
    ("seed", "train_examples", "pooled", "parted"),
    [
        (0, None, "6075b453f0f14bf6", "c61facae2f895ada"),
        (7, 50, "9e095eecc952ce00", "92acfe71fc211384"),
    ],
)
def test_what_has_no_equal_rows_keeps_the_split_of_earlier_studies(
    tmp_path, seed, train_examples, pooled, parted
):
    """The hashes were taken before splits knew groups and duplicates."""
    x = np.random.RandomState(0).random_sample((300, 3)).astype("float32")
    y = np.arange(300) % 3
    test = {"x_test": np.ones((9, 3)), "y_test": np.arange(9) % 3}
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.savez(tmp_path / "b.npz", x_train=x, y_train=y, **test)
    for name, expected in (("a", pooled), ("b", parted)):
        spec = DatasetSpec(str(tmp_path / f"{name}.npz"), None, seed, train_examples)
        assert load(spec).split_id == expected


@pytest.mark.parametrize(("seed", "expected"), [(0, "0bb31127b59683e7"), (3, None)])
def test_an_official_dataset_keeps_its_split_whatever_is_equal_in_it(seed, expected):
    found = load(DatasetSpec("digits", seed=seed))
    assert found.findings == ()
    if expected:
        assert found.split_id == expected


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=25, max_size=300),
    seed=st.integers(0, 2**31),
)
def test_a_group_is_in_one_part(pairs, seed):
    groups, labels = (np.array(column) for column in zip(*pairs, strict=True))
    if len(set(groups)) < 5:
        return
    try:
        split = split_examples(labels.astype(np.int32), seed, Sizes(), Constraints(groups=groups))
    except DatasetError as error:
        assert "Too few examples to split" in str(error)
        return
    assert is_partition(split, len(labels))
    seen = [set(groups[part]) for part in parts_of(split)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_groups_are_stratified_as_well_as_they_allow():
    groups = np.repeat(np.arange(60), 10)
    labels = (groups % 3).astype(np.int32)  # every group has one class
    for seed in range(5):
        split = split_examples(labels, seed, Sizes(), Constraints(groups=groups))
        for part, share in zip(parts_of(split), (0.6, 0.2, 0.2), strict=True):
            np.testing.assert_allclose(np.bincount(labels[part]), 200 * share, atol=10)


def test_one_large_group_goes_to_train_and_single_rows_fill_the_other_parts():
    groups = np.r_[np.zeros(500, int), np.arange(1, 501)]
    labels = (np.arange(1000) % 4).astype(np.int32)
    split = split_examples(labels, 0, Sizes(), Constraints(groups=groups))
    assert [len(part) for part in parts_of(split)] == [600, 200, 200]
    assert 0 in groups[split.train]
    assert np.ptp(np.bincount(labels[split.test])) <= 2


def test_groups_of_one_row_each_change_nothing():
    labels = (np.arange(200) % 3).astype(np.int32)
    plain = split_examples(labels, 5, Sizes())
    grouped = split_examples(labels, 5, Sizes(), Constraints(groups=np.arange(200)[::-1]))
    for one, other in zip(parts_of(plain), parts_of(grouped), strict=True):
        np.testing.assert_array_equal(one, other)


def test_fewer_training_examples_of_groups_are_stratified_rows():
    groups = np.repeat(np.arange(50), 8)
    labels = (np.arange(400) % 4).astype(np.int32)
    everything = split_examples(labels, 1, Sizes(), Constraints(groups=groups))
    fewer = split_examples(labels, 1, Sizes(train_examples=40), Constraints(groups=groups))
    np.testing.assert_array_equal(fewer.train, everything.train[:40])
    np.testing.assert_array_equal(fewer.validation, everything.validation)
    assert np.bincount(labels[fewer.train]).tolist() == pytest.approx([10] * 4, abs=1)


def test_an_order_cuts_the_largest_values_off_and_ties_stay_together():
    order = np.random.RandomState(0).permutation(np.repeat(np.arange(100), 7))
    labels = (np.arange(700) % 2).astype(np.int32)
    split = split_examples(labels, 0, Sizes(), Constraints(order=order))
    assert is_partition(split, 700)
    assert order[split.train].max() < order[split.validation].min()
    assert order[split.validation].max() < order[split.test].min()
    assert [len(part) for part in parts_of(split)] == [420, 140, 140]
    assert np.bincount(labels[split.train[:50]]).tolist() == pytest.approx([25, 25], abs=2)


def test_a_tie_as_large_as_several_parts_is_not_cut():
    order = np.r_[np.zeros(50), np.ones(45), np.arange(2, 7)]
    split = split_examples(np.arange(100) % 2, 0, Sizes(), Constraints(order=order))
    assert [len(part) for part in parts_of(split)] == [50, 45, 5]


def test_an_order_of_one_value_is_refused():
    with pytest.raises(DatasetError, match="too few different values to cut 20 examples in two"):
        split_examples(np.arange(20) % 2, 0, Sizes(), Constraints(order=np.zeros(20)))


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ([0] * 60 + [1] * 25 + [2] * 15, [60, 25, 15]),
        ([0] * 85 + [2] * 15, [65, 20, 15]),
        ([0] * 75 + [1] * 25, [55, 25, 20]),
        ([0] * 100, [60, 20, 20]),
    ],
)
def test_given_parts_stay_and_missing_ones_are_cut_from_train(given, sizes):
    given = np.array(given, np.int8)
    labels = (np.arange(100) % 5).astype(np.int32)
    split = split_examples(labels, 0, Sizes(), Constraints(given_parts=given))
    assert is_partition(split, 100)
    assert [len(part) for part in parts_of(split)] == sizes
    for number, part in enumerate(parts_of(split)):
        if number and (given == number).any():
            assert set(given[part]) == {number}
    assert np.bincount(labels[split.train[:20]], minlength=5).min() >= 2


def test_equal_rows_stay_together_where_validation_is_cut_from_a_given_train_part():
    given = np.array([0] * 80 + [2] * 20, np.int8)
    groups = np.r_[np.repeat(np.arange(40), 2), np.arange(40, 60)]
    labels = (groups % 2).astype(np.int32)
    split = split_examples(labels, 0, Sizes(), Constraints(groups, None, given))
    assert len(split.validation) == 20
    assert not set(groups[split.train]) & set(groups[split.validation])


def test_given_parts_beside_an_official_test_part():
    given = np.array([0] * 70 + [1] * 30, np.int8)
    says = Constraints(given_parts=given)
    split = split_examples(np.arange(100) % 2, 0, Sizes(official_test=9), says)
    assert [len(part) for part in parts_of(split)] == [70, 30, 9]
    assert split.official_test
