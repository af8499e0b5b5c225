"""Properties of constrained splits: whatever groups, orders and given parts a table has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.splits import Constraints, Sizes, split_examples
from pipeline.errors import DatasetError

seeds = st.integers(0, 2**31 - 1)


def drawn(seed, num_classes):
    rng = np.random.default_rng(seed)
    return rng, rng.integers(num_classes, size=int(rng.integers(20, 300)))


def parts_of(split):
    return (split.train, split.validation, split.test)


def is_whole(split, num_examples):
    return np.array_equal(np.sort(np.concatenate(parts_of(split))), np.arange(num_examples))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6), st.integers(5, 60))
def test_a_group_is_in_one_part_whatever_its_size(seed, num_classes, num_groups):
    rng, labels = drawn(seed, num_classes)
    # Some groups large, some of one example.
    groups = (rng.random(len(labels)) ** 2 * num_groups).astype(np.int64)
    try:
        split = split_examples(labels, seed, Sizes(), Constraints(groups=groups))
    except DatasetError as error:
        assert "group" in str(error) or "Too few" in str(error)
        return
    assert is_whole(split, len(labels))
    found = [set(groups[part].tolist()) for part in parts_of(split)]
    assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 6), st.integers(4, 400))
def test_the_test_part_is_later_than_validation_and_that_than_train(seed, num_classes, num_times):
    rng, labels = drawn(seed, num_classes)
    order = rng.integers(num_times, size=len(labels)).astype(float)
    try:
        split = split_examples(labels, seed, Sizes(), Constraints(order=order))
    except DatasetError:
        # Too many equal times for three parts.
        assert len(np.unique(order)) < 40
        return
    assert is_whole(split, len(labels))
    first, second, third = (order[part] for part in parts_of(split))
    assert first.max() < second.min() and second.max() < third.min()


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([(0, 1, 2), (0, 2), (0, 1), (0,)]))
def test_given_parts_are_kept_and_what_is_lacking_comes_from_train(seed, present):
    rng, labels = drawn(seed, 3)
    parts = rng.choice(present, size=len(labels)).astype(np.int8)
    split = split_examples(labels, seed, Sizes(), Constraints(given_parts=parts))
    assert is_whole(split, len(labels))
    for number, part in enumerate(parts_of(split)):
        assert len(part)
        if number in present and number:
            assert np.array_equal(np.sort(part), np.flatnonzero(parts == number))
    assert (parts[split.train] == 0).all()
    again = split_examples(labels, seed, Sizes(), Constraints(given_parts=parts))
    assert all(map(np.array_equal, parts_of(split), parts_of(again)))


def test_groups_and_classes_keep_their_shares_as_well_as_they_can():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 10)
    labels = (rng.random(60) < 0.4).astype(int)[groups]
    split = split_examples(labels, 0, Sizes(), Constraints(groups=groups))
    share = labels.mean()
    for part, size in zip(parts_of(split), (360, 120, 120), strict=True):
        assert len(part) == pytest.approx(size, abs=20)
        assert labels[part].mean() == pytest.approx(share, abs=0.12)
