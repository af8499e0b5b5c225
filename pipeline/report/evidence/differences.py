"""Measures by how much two models differ on the same examples: cross-entropy, accuracy and gap.

The examples are those of validation or of the test part. Differences are paired by example, which
is much sharper than two intervals side by side. The training sides of two gaps are not paired:
their errors add up, which is the cautious way. Where a configuration was trained with several
seeds, their spread is part of the error: what differs should do so with other seeds, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import PerExample, TestExamples, TrialRecord
from pipeline.selection.statistics import (
    Z_95,
    paired_standard_error,
    standard_error,
    variance_over_seeds,
)


@dataclass(frozen=True)
class Difference:
    """A difference of two models with its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def proven(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Differences:
    """One model minus another.

    Attributes:
        ce: Cross-entropy, nats: below 0 the first one is better.
        accuracy: Accuracy: above 0 the first one is better.
        gap_ce: Generalization gap, nats: below 0 the first one overfits less.
    """

    ce: Difference
    accuracy: Difference
    gap_ce: Difference


@dataclass(frozen=True)
class Trained:
    """A model that is compared, and the trainings that say how much the luck of a seed changes.

    Attributes:
        record: The model: a training, or the mean of several (without a run of its own).
        seeds: Its configuration's trainings with several seeds; none where there was one.
    """

    record: TrialRecord
    seeds: tuple[TrialRecord, ...] = ()

    def over_seeds(self, measure: str) -> float:
        """Returns the variance that the seeds give a measure of this model; 0 if none is known.

        Of the mean of K trainings it is that of their single measures / K, of one training as it
        is.
        """
        values = [getattr(run.measurement, measure) for run in self.seeds if run.measurement]
        if len(values) < 2:
            return 0.0
        of_mean = variance_over_seeds(values)
        return of_mean if self.record.mlflow_run_id is None else len(values) * of_mean


def on_validation(first: Trained, second: Trained) -> Differences | None:
    """Returns how two models differ on validation; None where their examples are not known."""
    mine, its = first.record.validation, second.record.validation
    return None if mine is None or its is None else _differences(first, second, mine, its)


def on_test(first: Trained, second: Trained, test: TestExamples | None) -> Differences | None:
    """Returns how two models differ on the test part; None where one was not measured there."""
    mine, its = (_tested(model.record, test) for model in (first, second))
    return None if mine is None or its is None else _differences(first, second, mine, its)


def _tested(record: TrialRecord, test: TestExamples | None) -> PerExample | None:
    """Returns a model's results there: of a training that was measured alone its own."""
    if test is None:
        return None
    alone = test.trainings.get(str(record.mlflow_run_id))
    return alone if alone is not None else test.results.get(record.number)


def _differences(
    first: Trained, second: Trained, mine: PerExample, its: PerExample
) -> Differences | None:
    sides = _train_side(first), _train_side(second)
    if mine.nll.size != its.nll.size or sides[0] is None or sides[1] is None:
        return None
    ce, error = _paired(mine.nll, its.nll)
    accuracy, accuracy_error = _paired(mine.correct, its.correct)
    gap = ce - (sides[0][0] - sides[1][0])
    between = {
        measure: first.over_seeds(measure) + second.over_seeds(measure)
        for measure in ("val_ce", "val_accuracy", "gap_ce")
    }
    gap_variance = error**2 + sides[0][1] + sides[1][1] + between["gap_ce"]
    return Differences(
        ce=_interval(ce, float(np.sqrt(error**2 + between["val_ce"]))),
        accuracy=_interval(accuracy, float(np.sqrt(accuracy_error**2 + between["val_accuracy"]))),
        gap_ce=_interval(gap, float(np.sqrt(gap_variance))),
    )


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    mean = float(np.mean(first, dtype=float) - np.mean(second, dtype=float))
    return mean, paired_standard_error(first, second)


def _train_side(model: Trained) -> tuple[float, float] | None:
    """Returns train_ce and the part of the gap's variance that comes from it (0 if all of it)."""
    measured, validation = model.record.measurement, model.record.validation
    if measured is None or validation is None:
        return None
    rest = measured.gap_ce_se**2 - standard_error(validation.nll) ** 2
    if model.record.mlflow_run_id is None:
        # The standard error of a mean's gap contains the seeds' part already.
        rest -= model.over_seeds("gap_ce")
    # Stored single precision leaves dust of either sign.
    return measured.train_ce, rest if rest > 1e-3 * measured.gap_ce_se**2 else 0.0


def _interval(value: float, error: float) -> Difference:
    return Difference(value, value - Z_95 * error, value + Z_95 * error)
