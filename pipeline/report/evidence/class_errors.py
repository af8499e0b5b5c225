"""Counts which classes the delivered model gets wrong on the test part, and what for.

The result has an entry per class and the macro-F1 with a bootstrap interval. Both are described and
never selected on: rare classes have too few examples for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import TestExamples
from pipeline.selection.statistics import Interval, wilson_interval

_RESAMPLES = 1000


@dataclass(frozen=True)
class ClassError:
    """The errors of one class.

    Attributes:
        name: The class.
        num_examples: Test examples of it.
        errors: How many of them were taken for another class.
        interval: 95% of the error rate (Wilson).
        taken_for: The class they were most often taken for; None without errors.
        times: How often.
    """

    name: str
    num_examples: int
    errors: int
    interval: Interval
    taken_for: str | None
    times: int

    @property
    def rate(self) -> float:
        """Share of the class's examples that are wrong."""
        return self.errors / self.num_examples


@dataclass(frozen=True)
class ClassErrors:
    """The errors of every class that the test part has.

    Attributes:
        classes: Highest error rate first.
        macro_f1: Mean F1 over these classes, each with the same weight.
        macro_f1_interval: Its 95% percentile bootstrap interval over examples.
        num_absent: Classes without a test example.
    """

    classes: tuple[ClassError, ...]
    macro_f1: float
    macro_f1_interval: Interval
    num_absent: int


def class_errors(test: TestExamples, number: int, seed: int = 0) -> ClassErrors | None:
    """Returns the errors of trial ``number`` per class; None where it was not measured there."""
    result = test.results.get(number)
    if result is None or not test.labels.size:
        return None
    confusion = _confusion(test.labels, result.predicted, len(test.class_names))
    totals = confusion.sum(axis=1)
    rows = [
        _class_error(confusion, label, test.class_names)
        for label in np.flatnonzero(totals).tolist()
    ]
    rng = np.random.default_rng(seed)
    cells = confusion.ravel()
    drawn = rng.multinomial(cells.sum(), cells / cells.sum(), size=_RESAMPLES)
    scores = [_macro_f1(resample.reshape(confusion.shape)) for resample in drawn]
    low, high = np.quantile(scores, (0.025, 0.975))
    return ClassErrors(
        classes=tuple(sorted(rows, key=lambda row: (-row.rate, -row.num_examples, row.name))),
        macro_f1=_macro_f1(confusion),
        macro_f1_interval=Interval(float(low), float(high)),
        num_absent=int((totals == 0).sum()),
    )


def _confusion(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns counts int [true class, predicted class]."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(counts, (labels.astype(int), predicted.astype(int)), 1)
    return counts


def _class_error(confusion: np.ndarray, label: int, names: tuple[str, ...]) -> ClassError:
    row = confusion[label]
    total, errors = int(row.sum()), int(row.sum() - row[label])
    others = row.copy()
    others[label] = -1
    other = int(others.argmax())
    return ClassError(
        name=names[label],
        num_examples=total,
        errors=errors,
        interval=wilson_interval(errors, total),
        taken_for=names[other] if errors else None,
        times=int(others[other]) if errors else 0,
    )


def _macro_f1(confusion: np.ndarray) -> float:
    """Returns the mean of 2 TP / (2 TP + FP + FN) over the classes that have examples."""
    right, real = confusion.diagonal(), confusion.sum(axis=1)
    present = real > 0
    scores = 2 * right[present] / (real + confusion.sum(axis=0))[present]
    return float(scores.mean())
