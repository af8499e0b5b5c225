"""Trains a cohort epoch by epoch, with early stopping and pruning per trial.

A started network and a cohort go in; the course of each trial comes out, the network holding every
trial's best weights. Early stopping watches plain ``val_ce``, never Keras's ``val_loss``, which
contains the penalty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.records import Cohort, EpochReport, StepTiming
from pipeline.training.layers import along_trials
from pipeline.training.losses import SCORES
from pipeline.training.network import StackedNetwork

CURVES = ("val_ce", "val_accuracy", "train_ce", "train_accuracy", "running_ce")
"""Per-epoch curves, all in inference mode but ``running_ce`` (Keras's running training mean)."""

Emit = Callable[[EpochReport | StepTiming], None]
Inbox = Callable[[], Iterable[int]]
"""Returns the numbers of the trials that were pruned since it was last asked."""


@dataclass
class Progress:
    """One trial on its way: its curves, its best epoch and whether it still trains."""

    patience: int
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})
    best_ce: float = float("inf")
    best_epoch: int = 0
    diverged: bool = False
    pruned: bool = False
    stopped: bool = False

    @property
    def done(self) -> bool:
        """Whether it needs no more epochs."""
        return self.pruned or self.stopped

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.curves["val_ce"])

    def record(self, values: dict[str, float]) -> bool:
        """Adds one epoch; returns whether it is the best so far."""
        for name, value in values.items():
            self.curves[name].append(value)
        if not np.isfinite([values["val_ce"], values["running_ce"]]).all():
            # Weights that are not finite never become finite again.
            self.diverged = self.stopped = True
        if np.isfinite(values["val_ce"]) and values["val_ce"] < self.best_ce:
            self.best_ce, self.best_epoch = values["val_ce"], self.epochs
            return True
        self.stopped = self.stopped or self.epochs - self.best_epoch >= self.patience
        return False


class Clock(keras.callbacks.Callback):
    """Times training steps and tells once, as soon as two executions are comparable."""

    def __init__(self, steps_per_epoch: int, emit: Emit) -> None:
        super().__init__()
        self.steps_per_epoch, self.emit = steps_per_epoch, emit
        self.marks: list[tuple[int, float]] = []
        self.steps_before = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Counts the steps of finished epochs."""
        self.steps_before += self.steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Marks the end of one execution; the first contains the compilation."""
        if len(self.marks) == 2:
            return
        step = min(batch + 1, self.steps_per_epoch) + self.steps_before
        self.marks.append((step, time.perf_counter()))
        if len(self.marks) == 2:
            (first, start), (last, end) = self.marks
            self.emit(StepTiming((end - start) / max(last - first, 1), self.steps_per_epoch))


def train(network: StackedNetwork, cohort: Cohort, emit: Emit, inbox: Inbox) -> list[Progress]:
    """Trains the cohort and restores every trial's best weights in the network.

    Args:
        network: A network built for this structure and size; it is started here.
        cohort: The trials.
        emit: Takes an :class:`EpochReport` after each epoch, and one :class:`StepTiming`.
        inbox: Numbers of trials to prune; asked once per epoch.

    Returns:
        One :class:`Progress` per trial, in the cohort's order.
    """
    network.start(cohort.trials)
    progress = [Progress(cohort.patience) for _ in cohort.trials]
    best = [ops.copy(variable.value) for variable in network.stacked]
    clock = Clock(network.steps_per_epoch, emit)
    for epoch in range(1, cohort.epochs + 1):
        start = time.perf_counter()
        fit_epoch(network, order(network, cohort.order_seed, epoch), clock)
        active = [p for p in progress if not p.done]
        improved = record_epoch(network, progress)
        if improved.any():
            best = [
                ops.where(along_trials(improved, len(v.shape)), v.value, b)
                for v, b in zip(network.stacked, best, strict=True)
            ]
        emit(EpochReport(epoch, latest(cohort, progress, active), time.perf_counter() - start))
        pruned = set(inbox())
        for trial, state in zip(cohort.trials, progress, strict=True):
            state.pruned = state.pruned or (trial.number in pruned and not state.stopped)
        if all(state.done for state in progress):
            break
    for variable, value in zip(network.stacked, best, strict=True):
        variable.assign(value)
    return progress


def order(network: StackedNetwork, seed: int, epoch: int) -> np.ndarray:
    """Returns the indices of an epoch's full batches: one order for all trials of a study."""
    train = network.resident.train
    permuted = np.random.default_rng([seed, epoch]).permutation(train)
    return permuted[: network.steps_per_epoch * network.batch_size]


def fit_epoch(network: StackedNetwork, indices: np.ndarray, clock: Clock) -> None:
    """Trains one epoch on these examples, in this order."""
    network.model.fit(
        indices,
        network.resident.known_labels[indices],
        batch_size=network.batch_size,
        shuffle=False,
        verbose=0,
        callbacks=[clock],
    )


def record_epoch(network: StackedNetwork, progress: list[Progress]) -> np.ndarray:
    """Scores the network and adds an epoch to every trial still training.

    The train curve stands on as many examples as the validation curve, a prefix of the measured.

    Returns:
        bool [K], which trials reached their best so far.
    """
    resident = network.resident
    num_validation = len(resident.validation)
    probe = resident.measured[:num_validation]
    scores = network.score(np.concatenate([resident.validation, probe]))
    columns = [SCORES.index("nll"), SCORES.index("correct")]
    validation = scores[:num_validation, :, columns].mean(axis=0, dtype=np.float64)
    train = scores[num_validation:, :, columns].mean(axis=0, dtype=np.float64)
    running = network.running.per_trial()
    improved = np.zeros(len(progress), dtype=bool)
    for k, state in enumerate(progress):
        if not state.done:
            values = (*validation[k].tolist(), *train[k].tolist(), float(running[k]))
            improved[k] = state.record(dict(zip(CURVES, values, strict=True)))
    return improved


def latest(
    cohort: Cohort, progress: list[Progress], active: list[Progress]
) -> dict[int, dict[str, float]]:
    """Returns the last epoch's curve values of the trials that trained in it."""
    return {
        trial.number: {name: values[-1] for name, values in state.curves.items()}
        for trial, state in zip(cohort.trials, progress, strict=True)
        if any(state is one for one in active)
    }
