"""Trials to write and read back, with numbers that have no short spelling."""

from dataclasses import replace
from typing import Any

import numpy as np

import pipeline.training.techniques  # noqa: F401  (declares the hyperparameters of techniques)
from pipeline.records import ChanceLevel, Measurement, PerExample, TrialConfig, TrialOutcome

CHANCE = ChanceLevel(accuracy=1 / 7, ce=2.302585092994046)
EVERY_FIELD = TrialConfig(
    family="cnn",
    depth=3,
    width=33,
    dense_width=1024,
    regularizer="l1_l2",
    lambda_l1=1 / 3 * 1e-5,
    lambda_l2=0.1 + 0.2,
    dropout_rate=0.123456789012345678,
    max_norm=3.3,
    batch_norm=True,
    pooling=True,
    placement="all",
    standardize=False,
    first_activation="linear",
    optimizer="rmsprop",
    learning_rate=7e-4,
    learning_rate_decay=1e-6,
    batch_size=128,
    weight_decay=1 / 3,
    label_smoothing=0.1 + 0.2,
    input_noise=0.123456789012345678,
)


def measured(**changes: Any) -> Measurement:
    """A measurement whose doubles have no short spelling."""
    values = np.random.default_rng(7).random(8).tolist()
    base = Measurement(*values, best_epoch=3, epochs=5, num_parameters=4_810, history_gap=1 / 3)
    return replace(base, **changes)


def per_example(count: int = 40) -> PerExample:
    probability = np.random.default_rng(3).random(count).astype(np.float32)
    return PerExample(
        nll=-np.log(probability),
        correct=probability > 0.5,
        predicted=(probability * 10).astype(np.int32),
        confidence=probability,
    )


def complete(number: int, **changes: Any) -> TrialOutcome:
    base = TrialOutcome(
        number,
        "COMPLETE",
        measured(),
        per_example(),
        curves={"val_ce": (1.1, 0.7, 1 / 3), "train_ce": (1.0, 0.5, 0.1)},
        seconds=12.75,
        device="cpu",
    )
    return replace(base, **changes)
