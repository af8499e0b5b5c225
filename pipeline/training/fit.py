"""Trains a cohort epoch by epoch, with early stopping and pruning per trial.

A started network and a cohort go in; each trial's summary comes out, the network holds its best
weights. Early stopping watches plain ``val_ce``, never Keras's ``val_loss`` with the penalty in it.
Of a large validation part beside little training data it sees a fixed part (``scoring``); what is
measured at the end is the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.records import Cohort, EpochReport, StepTiming, Trial
from pipeline.training.backend import batches
from pipeline.training.losses import SCORES
from pipeline.training.network import StackedNetwork
from pipeline.training.random_layers import along_trials
from pipeline.training.scoring import num_train_scored

CURVES = ("val_ce", "val_accuracy", "train_ce", "train_accuracy", "running_ce")
"""Per-epoch curves, all in inference mode but ``running_ce`` (Keras's running training mean)."""

Emit = Callable[[EpochReport | StepTiming], None]
Inbox = Callable[[], Iterable[int]]
"""Returns the numbers of the trials that were pruned since it was last asked."""

FindSmaller = Callable[[StackedNetwork, int, int], StackedNetwork | None]
"""(network, trials left in it, epochs left) -> where to train on; None for where they are."""


def keep_network(network: StackedNetwork, trials: int, epochs: int) -> None:
    """Trains every trial in the network that the cohort began with."""


@dataclass
class Progress:
    """One trial on its way: its curves, its best epoch and whether it still trains.

    A pruned trial's curves end; whether early stopping would have ended it is still followed.

    Attributes:
        patience: Epochs without a smaller ``val_ce`` after which it stops.
        limit: Its last epoch, where it has one before its cohort's.
    """

    patience: int
    limit: float = inf
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})
    best_ce: float = float("inf")
    best_epoch: int = 0
    diverged: bool = False
    pruned: bool = False
    stopped: bool = False
    seen: int = 0

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
        self.seen += 1
        if not self.pruned:
            for name, value in values.items():
                self.curves[name].append(value)
        if not np.isfinite([values["val_ce"], values["running_ce"]]).all():
            # Weights that are not finite never become finite again.
            self.diverged = self.stopped = True
        self.stopped = self.stopped or self.seen >= self.limit
        if np.isfinite(values["val_ce"]) and values["val_ce"] < self.best_ce:
            self.best_ce, self.best_epoch = values["val_ce"], self.seen
            return True
        self.stopped = self.stopped or self.seen - self.best_epoch >= self.patience
        return False

    @classmethod
    def of(cls, trial: Trial, cohort: Cohort) -> Progress:
        """Returns a trial before its first epoch."""
        last = cohort.epochs_of(trial.config)
        return cls(cohort.patience_of(trial.config), last if last < cohort.epochs else inf)


class Supervision(keras.callbacks.Callback):
    """Watches the training of a cohort: scores, stops, prunes and keeps the best, per trial.

    Args:
        network: The started network.
        cohort: Its trials.
        emit: Takes an :class:`EpochReport` after each epoch, and one :class:`StepTiming`.
        inbox: Numbers of trials to prune; asked once per epoch.
        smaller: Where to train on when most trials are done.

    Attributes:
        network: What trains now; ``members`` says which trial each of its slots holds.
        following: What the rest shall be trained in; None while nothing changes.
    """

    def __init__(
        self,
        network: StackedNetwork,
        cohort: Cohort,
        emit: Emit,
        inbox: Inbox,
        smaller: FindSmaller,
    ) -> None:
        super().__init__()
        self.network, self.cohort, self.smaller = network, cohort, smaller
        self.emit, self.inbox = emit, inbox
        self.progress = [Progress.of(trial, cohort) for trial in cohort.trials]
        self.members = list(range(len(cohort.trials)))
        self.best = [ops.copy(variable.value) for variable in network.stacked]
        self.left: list[tuple[list[int], list[Any]]] = []
        self.following: StackedNetwork | None = None
        self.epochs = 0
        self.epoch_start = self.start = time.perf_counter()
        self.executions = 0
        self.first = self.second = (0, self.start)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Marks the beginning of the second execution: the first one contains the compilation."""
        if self.executions == 1:
            self.second = (batch, time.perf_counter())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Times the second execution."""
        self.executions += 1
        if self.executions > 2:
            return
        # With JAX a step is over when its result is asked for.
        for value in (logs or {}).values():
            np.asarray(value)
        now = time.perf_counter()
        if self.executions == 1:
            self.first = (batch + 1, now)
            return
        begin, since = self.second
        seconds = (now - since) / (batch + 1 - begin)
        steps, end = self.first
        setup = max(end - self.start - steps * seconds, 0.0)
        self.emit(StepTiming(seconds, self.network.steps_per_epoch, setup))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Scores the cohort, keeps what is best, and stops when no trial is left."""
        # With JAX, asking for the model is what brings its variables up to date.
        model = self.model
        self.epochs += 1
        active = [state for state in self.progress if not state.done]
        progress = [self.progress[k] for k in self.members]
        with self.network.averaged():
            improved = record_epoch(self.network, progress, self.cohort.validation_per_epoch)
            if improved.any():
                self.best = [
                    ops.where(along_trials(improved, len(v.shape), axis), v.value, b)
                    for v, b, axis in zip(
                        self.network.stacked, self.best, self.network.trial_axes, strict=True
                    )
                ]
        seconds, self.epoch_start = time.perf_counter() - self.epoch_start, time.perf_counter()
        self.emit(EpochReport(self.epochs, self.latest(active), seconds))
        pruned = set(self.inbox())
        for trial, state in zip(self.cohort.trials, self.progress, strict=True):
            state.pruned = state.pruned or (trial.number in pruned and not state.stopped)
        if all(state.done for state in self.progress):
            model.stop_training = True
        elif self.epochs < self.cohort.epochs:
            left = self.cohort.epochs - self.epochs
            self.following = self.smaller(self.network, len(self.unstopped), left)
            model.stop_training = self.following is not None

    @property
    def unstopped(self) -> list[int]:
        """The slots of trials that stay: early stopping has not ended them.

        Pruned ones count: when the word to prune arrives depends on the machine, and what the
        other trials are trained in must not. So do diverged ones: a trial that diverges must not
        change what its neighbours are trained in.
        """
        states = [self.progress[k] for k in self.members]
        return [slot for slot, state in enumerate(states) if not state.stopped or state.diverged]

    def move(self, network: StackedNetwork) -> None:
        """Goes on in another network, with the trials that early stopping left."""
        slots = self.unstopped
        network.continue_from(self.network, slots)
        best = [np.asarray(value) for value in self.best]
        self.left.append((self.members, best))
        self.members = [self.members[slot] for slot in slots]
        taken = network.filled(slots)
        self.best = [
            ops.convert_to_tensor(np.take(value, taken, axis))
            for value, axis in zip(best, network.trial_axes, strict=True)
        ]
        self.network, self.following = network, None

    def restore(self, network: StackedNetwork) -> None:
        """Puts every trial's best weights into the network that the cohort began with."""
        first, *later = [*self.left, (self.members, [np.asarray(value) for value in self.best])]
        restored = [value.copy() for value in first[1]]
        for members, values in later:
            for whole, part, axis in zip(restored, values, network.trial_axes, strict=True):
                np.moveaxis(whole, axis, 0)[members] = np.moveaxis(part, axis, 0)[: len(members)]
        for variable, value in zip(network.stacked, restored, strict=True):
            variable.assign(value)

    def latest(self, active: list[Progress]) -> dict[int, dict[str, float]]:
        """Returns the last epoch's curve values of the trials that trained in it."""
        return {
            trial.number: {name: values[-1] for name, values in state.curves.items()}
            for trial, state in zip(self.cohort.trials, self.progress, strict=True)
            if any(state is one for one in active)
        }


def train(
    network: StackedNetwork,
    cohort: Cohort,
    emit: Emit,
    inbox: Inbox,
    smaller: FindSmaller = keep_network,
) -> list[Progress]:
    """Trains the cohort and restores every trial's best weights in the network.

    Args:
        network: A network built for this structure and size; it is started here.
        cohort: The trials.
        emit: Takes an :class:`EpochReport` after each epoch, and one :class:`StepTiming`.
        inbox: Numbers of trials to prune; asked once per epoch.
        smaller: Where to train on when most trials are done.

    Returns:
        One :class:`Progress` per trial, in the cohort's order.
    """
    network.start(cohort.trials)
    supervision = Supervision(network, cohort, emit, inbox, smaller)
    seed = cohort.order_seed
    indices = np.concatenate([order(network, seed, 1 + epoch) for epoch in range(cohort.epochs)])
    fit(supervision, indices)
    while supervision.following is not None:
        supervision.move(supervision.following)
        fit(supervision, indices)
    supervision.restore(network)
    return supervision.progress


def fit(supervision: Supervision, indices: np.ndarray) -> None:
    """Trains from the epoch reached to the last, or until the supervision ends it.

    One call for all epochs: making Keras's input pipeline costs as much as a small epoch.

    Args:
        supervision: Knows the network, and how far it came.
        indices: The order of examples of all epochs.
    """
    network, cohort = supervision.network, supervision.cohort
    rest = indices[supervision.epochs * network.steps_per_epoch * network.batch_size :]
    network.model.fit(
        **batches(rest, network.data.host_labels[rest], network.batch_size),
        epochs=cohort.epochs - supervision.epochs,
        steps_per_epoch=network.steps_per_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[supervision],
    )


def order(network: StackedNetwork, seed: int, epoch: int) -> np.ndarray:
    """Returns the indices of an epoch's full batches: one order for all trials of a study."""
    train = network.data.train
    permuted = np.random.default_rng([seed, epoch]).permutation(train)
    return permuted[: network.steps_per_epoch * network.batch_size]


def record_epoch(
    network: StackedNetwork, progress: list[Progress], validation_per_epoch: int | None = None
) -> np.ndarray:
    """Scores the network and adds an epoch to every trial that early stopping has not ended.

    Args:
        network: The network.
        progress: One per slot that holds a trial.
        validation_per_epoch: Validation examples that are scored; None for all.

    Returns:
        bool [slots], which hold trials that reached their best so far.
    """
    watched = network.data.watched(validation_per_epoch)
    num_validation = len(watched)
    probe = network.data.measured[: num_train_scored(len(network.data.train), num_validation)]
    scores = network.score(np.concatenate([watched, probe]))
    columns = [SCORES.index("nll"), SCORES.index("correct")]
    validation = scores[:num_validation, :, columns].mean(axis=0, dtype=np.float64)
    train = scores[num_validation:, :, columns].mean(axis=0, dtype=np.float64)
    running = network.running.per_trial()
    improved = np.zeros(network.spec.trials, dtype=bool)
    for k, state in enumerate(progress):
        if not state.stopped:
            values = (*validation[k].tolist(), *train[k].tolist(), float(running[k]))
            improved[k] = state.record(dict(zip(CURVES, values, strict=True)))
    return improved
