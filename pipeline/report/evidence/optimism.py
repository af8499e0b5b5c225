"""Measures how much better the delivered model looked on validation than it is on the test part.

This is meta-overfitting: validation took part in the choice. (Overtuning is something else, what
the search lost by going on. The words are not mixed here.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import TestExamples, TrialRecord
from pipeline.selection.statistics import standard_error


@dataclass(frozen=True)
class Optimism:
    """Validation minus test of one model, two independent samples.

    Attributes:
        ce: Difference of cross-entropies, nats; below 0 where validation looked better than test.
        ce_se: Its standard error.
        accuracy: Difference of accuracies; above 0 where validation looked better than test.
        accuracy_se: Its standard error.
    """

    ce: float
    ce_se: float
    accuracy: float
    accuracy_se: float


def optimism(delivered: TrialRecord | None, test: TestExamples | None) -> Optimism | None:
    """Returns the optimism of the delivered model; None where one of the two sides is missing.

    SE^2 = s^2_val / n_val + s^2_test / n_test: the parts share no example.
    """
    if delivered is None or delivered.validation is None or test is None:
        return None
    result = test.results.get(delivered.number)
    if result is None:
        return None
    ce, ce_se = _difference(delivered.validation.nll, result.nll)
    accuracy, accuracy_se = _difference(delivered.validation.correct, result.correct)
    return Optimism(ce, ce_se, accuracy, accuracy_se)


def _difference(validation: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    first, second = np.asarray(validation, dtype=float), np.asarray(test, dtype=float)
    error = np.hypot(standard_error(first), standard_error(second))
    return float(first.mean() - second.mean()), float(error)
