"""Measures trained trials: inference mode, plain cross-entropy, hard labels, per example.

Scores of a cohort (``StackedNetwork.score``) come in, a :class:`Measurement` and the per-example
results per trial go out. Source: the definitions in docs/measurement.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.records import Measurement, PerExample, TrialConfig
from pipeline.selection.guessing import log10_p_guessing
from pipeline.selection.statistics import expected_calibration_error, gap_standard_error
from pipeline.training.losses import SCORES
from pipeline.training.technique_forms import KernelPenalty
from pipeline.training.techniques import acting


@dataclass(frozen=True)
class TrainingSummary:
    """How a trial's training went.

    Attributes:
        best_epoch: Epoch of the smallest finite ``val_ce``, from 1; 0 if there was none.
        epochs: Epochs trained.
        diverged: Whether any epoch's numbers were not finite.
        history_gap: ``val_ce`` minus the running training cross-entropy at the best epoch.
    """

    best_epoch: int
    epochs: int
    diverged: bool
    history_gap: float


def per_example(scores: np.ndarray) -> PerExample:
    """Returns one trial's results from its columns of :data:`SCORES`, [num_examples, 4]."""
    nll, correct, predicted, confidence = (scores[:, SCORES.index(name)] for name in SCORES)
    return PerExample(
        nll=nll.astype(np.float32),
        correct=correct > 0.5,
        predicted=predicted.astype(np.int32),
        confidence=confidence.astype(np.float32),
    )


def measure(
    validation: PerExample,
    train: PerExample,
    num_train: int,
    shares: np.ndarray,
    summary: TrainingSummary,
    size: ModelSize,
) -> Measurement:
    """Returns the measurement of one trial.

    Args:
        validation: Results on the validation part.
        train: Results on the measured training examples.
        num_train: Size of the whole training part, for the finite population correction.
        shares: ``[num_classes]``, the classes' shares among the labels of the validation part.
        summary: How its training went.
        size: Parameters and penalty of the restored model.
    """
    val_ce = float(validation.nll.mean(dtype=np.float64))
    train_ce = float(train.nll.mean(dtype=np.float64))
    val_accuracy, train_accuracy = float(validation.correct.mean()), float(train.correct.mean())
    return Measurement(
        val_ce=val_ce,
        val_accuracy=val_accuracy,
        train_ce=train_ce,
        train_accuracy=train_accuracy,
        gap_ce=val_ce - train_ce,
        gap_ce_se=gap_standard_error(validation.nll, train.nll, num_train),
        gap_accuracy=train_accuracy - val_accuracy,
        penalty=size.penalty,
        best_epoch=summary.best_epoch,
        epochs=summary.epochs,
        num_parameters=size.num_parameters,
        diverged=summary.diverged,
        history_gap=summary.history_gap,
        ece=expected_calibration_error(validation.confidence, validation.correct),
        log10_p_guessing=log10_p_guessing(
            validation.correct, validation.predicted, validation.confidence, shares
        ),
    )


@dataclass(frozen=True)
class ModelSize:
    """Trainable parameters and the sum of the weight penalties of one restored model."""

    num_parameters: int
    penalty: float


def penalty(kernels: Sequence[np.ndarray], config: TrialConfig) -> float:
    """Returns the sum of the config's penalties over the penalized kernels (Keras's convention)."""
    entries = [(entry, entry.number(config)) for entry in acting(KernelPenalty).values()]
    used = [(entry.form, number) for entry, number in entries if number != entry.off]
    return sum((form.total(kernel, number) for kernel in kernels for form, number in used), 0.0)
