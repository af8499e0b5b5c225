"""Features in, those of which each alone predicts the label out; looks at train and validation.

A feature is cut into bins by its values in train (one per value, where there are few); each bin
predicts the class that most of its training examples have. That finds a copy of the label and what
was written down after it. A feature that is good for an honest reason is found, too: this is a
question to the user, not a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.datasets.dataset import RawData
from pipeline.datasets.splits import Split

MOST_BINS = 64
ERROR_LEFT = 0.05
"""A feature predicts the label where it leaves at most this share of guessing's errors."""
MOST_VALUES = 50_000_000
"""So many values are looked at; of larger data fewer examples."""
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
    train, validation = (
        _some(part, raw.inputs.shape[1]) for part in (split.train, split.validation)
    )
    labels, others = raw.labels[train], raw.labels[validation]
    guess = np.bincount(labels).argmax()
    guessed_wrong = float(np.mean(others != guess))
    if guessed_wrong == 0.0:
        return []
    found = []
    for name, column in columns(raw):
        predicted = predict(column[train], labels, column[validation])
        wrong = float(np.mean(predicted != others))
        if wrong <= ERROR_LEFT * guessed_wrong:
            found.append(Leak(name, 1 - wrong))
    return sorted(found, key=lambda leak: -leak.accuracy)


def columns(raw: RawData) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the features of data of the kind ``features``: name and values ``[num_examples]``."""
    names = None if raw.columns is None else raw.columns.features
    for place in range(raw.inputs.shape[1]):
        name = str(place) if names is None else names[place]
        yield name, raw.inputs[:, place]


def predict(train: np.ndarray, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the class that each value predicts.

    Args:
        train: ``[n_train]``, the feature in training examples.
        labels: int32 ``[n_train]``, their classes.
        values: ``[n]``, the feature in other examples.
    """
    num_classes = int(labels.max()) + 1
    edges, num_bins = np.unique(train), max(MOST_BINS, 2 * num_classes)
    if len(edges) > num_bins:
        ranks = np.linspace(0, len(train) - 1, num_bins).round().astype(int)
        edges = np.unique(np.sort(train)[ranks])
    in_bin = np.searchsorted(edges, train, side="right")
    counts = np.bincount(in_bin * num_classes + labels, minlength=(len(edges) + 1) * num_classes)
    per_bin = counts.reshape(-1, num_classes)
    per_bin[per_bin.sum(axis=1) == 0] = per_bin.sum(axis=0)
    best = per_bin.argmax(axis=1)
    predicted: np.ndarray = best[np.searchsorted(edges, values, side="right")]
    return predicted


def _some(members: np.ndarray, num_features: int) -> np.ndarray:
    """Returns the first of a part's examples, stratified, where there are very many values."""
    return members[: max(MOST_VALUES // num_features, FEWEST_EXAMPLES)]
