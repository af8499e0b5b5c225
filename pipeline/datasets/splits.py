"""Splits examples by labels and a seed: disjoint train, validation and test indices.

Every split here is a cut of one *stratified order*: a seeded shuffle of which each prefix holds
each class in its share. So the parts are stratified, a smaller training part is a subset of a
larger one, and a class with a single example is never a special case (it falls to train).

A user's data may say more (:class:`Constraints`): which examples stay together, which come later,
which part each is in. Then ``split_cuts`` cuts; within a part the order is stratified as before.

Source: systematic sampling; the i-th of a class's n examples gets the key (i + u) / n, u uniform
in [0, 1), and the order is by key, so a prefix holds within one of its share (up to ties).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pipeline.datasets.split_cuts import later_ones, whole_groups
from pipeline.errors import DatasetError

VALIDATION_SHARE = 0.2
TEST_SHARE = 0.2
MEASURED_AT_LEAST = 10_000

# One stream of random numbers per purpose, so that changing one leaves the others alone.
_TEST_STREAM, _VALIDATION_STREAM, _MEASURED_STREAM, _SCORED_STREAM = 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class Split:
    """Which examples are in which part.

    Attributes:
        train: int64 ``[n_train]``, positions in the examples open to the search.
        validation: int64 ``[n_validation]``, positions in the same.
        test: int64 ``[n_test]``, positions in the same, or in the official test part.
        official_test: Whether ``test`` counts within an official test part of its own.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    official_test: bool


@dataclass(frozen=True)
class Sizes:
    """How large the parts shall be.

    Attributes:
        validation: Number of validation examples; None for 20% of all there are to split.
        official_test: Number of examples of the official test part; None where there is none:
            then 20% is split off.
        train_examples: Use only so many training examples; None for all.
    """

    validation: int | None = None
    official_test: int | None = None
    train_examples: int | None = None


@dataclass(frozen=True, eq=False)
class Constraints:
    """What the data say about their split; nothing by default.

    Attributes:
        groups: int64 ``[num_examples]``; examples of one number come into one part.
        order: Sortable ``[num_examples]``; the largest values are the test part, the next largest
            validation, and equal ones stay together.
        given_parts: int8 ``[num_examples]``, a place in :data:`PARTS`: the part of each example.
            A part that no example is in is cut from train.
    """

    groups: np.ndarray | None = None
    order: np.ndarray | None = None
    given_parts: np.ndarray | None = None


PARTS = ("train", "validation", "test")


def stratified_order(labels: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Returns a shuffle of which every prefix holds each class in its share.

    Args:
        labels: Integer ``[num_examples]``, from 0.
        rng: Source of the shuffle.

    Returns:
        int64 ``[num_examples]``, a permutation of the positions; a class of n examples has within
        one of ``share * n`` in it up to any key, and its first example stands at the front.
    """
    num_examples = len(labels)
    shuffled = np.lexsort((rng.random_sample(num_examples), labels))
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.empty(num_examples, dtype=np.int64)
    rank[shuffled] = np.arange(num_examples) - starts[labels[shuffled]]
    offset = rng.random_sample(num_examples)
    # At the front, no part that is a prefix lacks a class, however rare.
    offset[rank == 0] = 0.0
    keys = (rank + offset) / counts[labels]
    return np.lexsort((rng.random_sample(num_examples), keys)).astype(np.int64)


def split_examples(
    labels: np.ndarray, seed: int, sizes: Sizes, constraints: Constraints | None = None
) -> Split:
    """Returns the stratified, seeded split; the same seed gives the same split.

    Args:
        labels: int32 ``[num_examples]`` of all examples but those of an official test part.
        seed: Seed of the split, at least 0.
        sizes: How large the parts shall be.
        constraints: What the data say about it; None for nothing.

    Raises:
        DatasetError: A part would be empty, or ``train_examples`` is out of range.
    """
    says = constraints or Constraints()
    rest, validation, test = _given(says.given_parts, len(labels))
    if sizes.official_test is not None:
        test = np.arange(sizes.official_test, dtype=np.int64)
    elif test is None:
        num_test = round(TEST_SHARE * len(labels))
        rest, test = _cut(rest, labels, num_test, _stream(seed, _TEST_STREAM), says)
    else:
        test = _shuffled(test, labels, _stream(seed, _TEST_STREAM))
    if validation is None:
        num_validation = sizes.validation
        if num_validation is None:
            num_validation = round(VALIDATION_SHARE * len(labels))
        stream = _stream(seed, _VALIDATION_STREAM)
        train, validation = _cut(rest, labels, num_validation, stream, says)
    else:
        stream = _stream(seed, _VALIDATION_STREAM)
        train, validation = (_shuffled(part, labels, stream) for part in (rest, validation))
    if min(len(train), len(validation), len(test)) == 0:
        raise DatasetError(
            f"Too few examples to split: train {len(train)}, validation {len(validation)}, test"
            f" {len(test)} of {len(labels)}. Each part needs at least one; give 5 or more examples."
        )
    train = _shorten(train, sizes.train_examples)
    return Split(train, validation, test, sizes.official_test is not None)


def measured_examples(train_labels: np.ndarray, num_validation: int, seed: int) -> np.ndarray:
    """Returns where in train the train side is measured, the same for all trials of a study.

    Returns:
        int64 ``[m]``, m = min(n_train, max(n_validation, 10000)), stratified, and so is every
        prefix.
    """
    count = num_measured(len(train_labels), num_validation)
    return stratified_order(train_labels, _stream(seed, _MEASURED_STREAM))[:count]


def num_measured(num_train: int, num_validation: int) -> int:
    """Returns on how many training examples every trial is measured."""
    return min(num_train, max(num_validation, MEASURED_AT_LEAST))


def validation_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns an order of the validation part, the same for all trials of a study.

    Args:
        labels: int32 ``[n_validation]``.
        seed: Seed of the split.

    Returns:
        int64 ``[n_validation]``; every prefix is stratified.
    """
    return stratified_order(labels, _stream(seed, _SCORED_STREAM))


def split_id(split: Split, seed: int, fingerprint: str) -> str:
    """Returns 16 hexadecimal digits that name the split: its indices, the seed and the data."""
    digest = hashlib.sha256(f"seed {seed} data {fingerprint}".encode())
    for name in ("train", "validation", "test"):
        indices = getattr(split, name)
        digest.update(f" {name} {len(indices)} ".encode())
        digest.update(indices.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def _stream(seed: int, purpose: int) -> np.random.RandomState:
    if seed < 0:
        raise DatasetError(f"The seed is {seed}; a split's seed is a whole number from 0 up.")
    # RandomState's numbers are frozen across numpy versions; Generator's are not.
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence([purpose, seed])))


def _given(
    parts: np.ndarray | None, num_examples: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Returns where train, validation and test are; None for a part that is still to be cut."""
    if parts is None:
        return np.arange(num_examples, dtype=np.int64), None, None
    train, validation, test = (np.flatnonzero(parts == part) for part in range(len(PARTS)))
    return train, validation if len(validation) else None, test if len(test) else None


def _cut(
    members: np.ndarray,
    labels: np.ndarray,
    num_last: int,
    rng: np.random.RandomState,
    says: Constraints,
) -> tuple[np.ndarray, np.ndarray]:
    if says.order is not None:
        last = later_ones(says.order[members], num_last)
    elif says.groups is not None and _any_equal(says.groups[members]):
        last = whole_groups(says.groups[members], labels[members], num_last, rng)
    else:
        order = members[stratified_order(labels[members], rng)]
        num_first = max(len(order) - num_last, 0)
        return order[:num_first], order[num_first:]
    return _shuffled(members[~last], labels, rng), _shuffled(members[last], labels, rng)


def _shuffled(members: np.ndarray, labels: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Returns a part in stratified order."""
    return members[stratified_order(labels[members], rng)]


def _any_equal(groups: np.ndarray) -> bool:
    return len(np.unique(groups)) < len(groups)


def _shorten(train: np.ndarray, train_examples: int | None) -> np.ndarray:
    if train_examples is None:
        return train
    if not 1 <= train_examples <= len(train):
        raise DatasetError(
            f"--train-examples is {train_examples}, but the training part has {len(train)}"
            f" examples: give a number from 1 to {len(train)}, or leave the option out."
        )
    return train[:train_examples]
