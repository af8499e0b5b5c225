"""Finds features each of which alone predicts the label; it looks at train and validation.

A value predicts the class that most other training examples with this value have; where there are
none, those with the next smaller and the next larger one. That finds a copy of the label, an id in
the order of the classes, and what was written down after the answer was known. A feature that is
good for an honest reason is found, too: this is a question to the user, not a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.datasets.dataset import RawData
from pipeline.datasets.raw_rows import RawRows, Words
from pipeline.datasets.splits import Split

ERROR_LEFT = 0.05
"""A feature predicts the label where it leaves at most this share of guessing's errors."""
MOST_VALUES, MOST_COUNTS = 1_000_000, 5_000_000
"""So many values, and for one feature so many counts, are looked at; else fewer examples."""
FEWEST_EXAMPLES = 1_000


@dataclass(frozen=True)
class Leak:
    """A feature that alone predicts the label.

    Attributes:
        name: The feature's.
        accuracy: On validation, in [0, 1].
    """

    name: str
    accuracy: float


def leaks(raw: RawData, split: Split) -> list[Leak]:
    """Returns the features that alone predict the label, the best first; of tables and arrays."""
    if raw.kind != "features":
        return []
    train, validation = (_some(part, raw) for part in (split.train, split.validation))
    labels, others = raw.labels[train], raw.labels[validation]
    guess = int(np.bincount(labels).argmax())
    found = []
    for name, column in columns(raw):
        known, new = predict(column[train], labels, column[validation])
        # In train, too: a small validation part may be easy by chance.
        if _predicts(known, labels, guess) and _predicts(new, others, guess):
            found.append(Leak(name, float(np.mean(new == others))))
    return sorted(found, key=lambda leak: -leak.accuracy)


def _predicts(predicted: np.ndarray, labels: np.ndarray, guess: int) -> bool:
    wrong, guessed_wrong = np.sum(predicted != labels), np.sum(labels != guess)
    return bool(guessed_wrong and wrong <= ERROR_LEFT * guessed_wrong)


def columns(raw: RawData) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the features of data of the kind ``features``: name and values ``[num_examples]``."""
    if isinstance(raw.inputs, RawRows):
        for name, values in raw.inputs.columns.items():
            if isinstance(values, Words):
                yield name, values.codes
            elif values.dtype != object:  # texts are as many as examples
                yield name, np.where(np.isnan(values), np.inf, values)
        return
    names = None if raw.columns is None else raw.columns.features
    for place in range(raw.inputs.shape[1]):
        yield str(place) if names is None else names[place], raw.inputs[:, place]


def predict(
    train: np.ndarray, labels: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes that a feature predicts for training examples and for others.

    Args:
        train: ``[n_train]``, the feature in training examples.
        labels: int32 ``[n_train]``, their classes.
        values: ``[n]``, the feature in other examples.
    """
    known, place = np.unique(train, return_inverse=True)
    num_classes = int(labels.max()) + 1
    # A row of zeros at both ends, so that every value has two neighbours.
    counts = np.bincount(
        (place + 1) * num_classes + labels, minlength=(len(known) + 2) * num_classes
    )
    per_value = counts.reshape(-1, num_classes)
    others = per_value[place + 1]
    others[np.arange(len(labels)), labels] -= 1
    alone = others.sum(axis=1) == 0
    others[alone] = per_value[place[alone]] + per_value[place[alone] + 2]
    right = np.searchsorted(known, values)
    new = per_value[np.minimum(right + 1, len(known))]
    unknown = known[np.minimum(right, len(known) - 1)] != values
    new[unknown] = per_value[right[unknown]] + per_value[right[unknown] + 1]
    return others.argmax(axis=1), new.argmax(axis=1)


def _some(members: np.ndarray, raw: RawData) -> np.ndarray:
    """Returns the first of a part's examples, stratified, where there are very many values."""
    by_values = max(MOST_VALUES // raw.inputs.shape[1], FEWEST_EXAMPLES)
    return members[: min(by_values, MOST_COUNTS // len(raw.class_names))]
