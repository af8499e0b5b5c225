"""A trainer without Keras: outcomes follow from configs and seeds by a formula, at once.

Deeper nets are a little worse on validation and have a larger gap; dropout closes it. A test
scripts more: which trials fail, which learn nothing, how late a trial stops that was told to.
"""

import os
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.records import (
    EpochReport,
    Measurement,
    PerExample,
    Probabilities,
    StepTiming,
    TrialOutcome,
)

NUM_EXAMPLES = 200


@dataclass(frozen=True)
class Script:
    """An opener; what it opens follows the script.

    Attributes:
        poison: Numbers of trials whose cohorts raise.
        poison_after: Epochs that are reported before.
        room: Trials that fit into memory together; None for any number.
        fatal: Numbers of trials that take the process with them.
        hopeless: Numbers of trials that learn nothing.
        deaf_epochs: Epochs that a trial goes on after it was told to stop.
        epoch_seconds: Wall time of an epoch.
        step_seconds: What a training step is said to take.
        held_after: After so many trials the next cohort waits for ``go``.
        go: A file; beside it, ``.held`` at its end, is one that says that a cohort waits for it.
            Empty where none does.
    """

    poison: tuple[int, ...] = ()
    poison_after: int = 0
    room: int | None = None
    fatal: tuple[int, ...] = ()
    hopeless: tuple[int, ...] = ()
    deaf_epochs: int = 0
    epoch_seconds: float = 0.0
    step_seconds: float = 0.001
    held_after: int = 0
    go: str = ""

    def open(self):
        return CohortTrainer(self)


@dataclass
class CohortTrainer:
    script: Script
    cohorts: list = field(default_factory=list)
    epochs: dict = field(default_factory=dict)

    def __call__(self, cohort, emit, inbox):
        self.cohorts.append(cohort)
        if self.script.room is not None and len(cohort.trials) > self.script.room:
            raise MemoryError(f"no room for {len(cohort.trials)} trials")
        self._hold()
        hopeless = self.script.hopeless
        curves = {
            trial.number: curve(trial, cohort.epochs_of(trial.config), trial.number in hopeless)
            for trial in cohort.trials
        }
        told = {}
        lengths = {trial.number: len(curves[trial.number]) for trial in cohort.trials}
        for epoch in range(1, cohort.epochs + 1):
            self._stumble(cohort, epoch)
            time.sleep(self.script.epoch_seconds)
            active = {
                number: {"val_ce": values[epoch - 1], "train_ce": values[epoch - 1] / 2}
                for number, values in curves.items()
                if epoch <= lengths[number]
            }
            for number in active:
                self.epochs.setdefault(number, []).append(epoch)
            emit(EpochReport(epoch, active, 0.1))
            if epoch == 1:
                emit(StepTiming(self.script.step_seconds, 10))
            for number in inbox():
                told.setdefault(number, epoch)
                lengths[number] = min(lengths[number], told[number] + self.script.deaf_epochs)
        found = [outcome(t, curves[t.number], lengths[t.number]) for t in cohort.trials]
        return tuple(with_probabilities(o) if cohort.keep_probabilities else o for o in found)

    def _hold(self):
        trained = sum(len(cohort.trials) for cohort in self.cohorts[:-1])
        if self.script.go and trained >= self.script.held_after:
            Path(f"{self.script.go}.held").touch()
            while not Path(self.script.go).exists():
                time.sleep(0.02)

    def _stumble(self, cohort, epoch):
        for trial in cohort.trials:
            if trial.number in self.script.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            if trial.number in self.script.poison and epoch > self.script.poison_after:
                raise RuntimeError(f"trial {trial.number} is poison")


def curve(trial, epochs, hopeless):
    """Returns a trial's val_ce per epoch, decreasing towards its own level."""
    config = trial.config
    level = 2.5 if hopeless else 0.3 + 0.05 * config.depth + 0.2 * config.dropout_rate
    noise = np.random.default_rng(trial.seed).normal(0.0, 0.001, epochs)
    values = level + 1.0 / (1 + np.arange(epochs)) + noise
    return tuple(float(value) for value in values)


def outcome(trial, values, length):
    """Returns the outcome of a trial that trained for ``length`` of its epochs."""
    pruned, values = length < len(values), values[:length]
    curves = {"val_ce": values, "train_ce": tuple(value / 2 for value in values)}
    if pruned:
        return TrialOutcome(trial.number, "PRUNED", curves=curves, seconds=0.1)
    validation = per_example(min(values))
    val_ce = float(validation.nll.mean())
    gap = 0.3 * trial.config.depth * (1.0 - trial.config.dropout_rate)
    accuracy = float(validation.correct.mean())
    measurement = Measurement(
        val_ce=val_ce,
        val_accuracy=accuracy,
        train_ce=val_ce - gap,
        train_accuracy=min(accuracy + 0.02, 1.0),
        gap_ce=gap,
        gap_ce_se=0.01,
        gap_accuracy=min(accuracy + 0.02, 1.0) - accuracy,
        penalty=0.0,
        best_epoch=int(np.argmin(values)) + 1,
        epochs=len(values),
        num_parameters=100 * trial.config.depth,
        history_gap=0.0,
    )
    weights = (np.full((2, 2), trial.number, np.float32),)
    return TrialOutcome(
        trial.number, "COMPLETE", measurement, validation, curves, weights, seconds=0.1
    )


def with_probabilities(trained):
    """Returns an outcome that says of every class what its results per example say of one."""
    if trained.validation is None:
        return trained
    nll = trained.validation.nll.astype(np.float64)
    shift = trained.measurement.gap_ce / nll.mean()
    train, labels = nll * (1 - shift), np.arange(NUM_EXAMPLES, dtype=np.int32) % 10
    probabilities = Probabilities(
        log_probabilities(nll, labels), labels, log_probabilities(train, labels), labels, 1000
    )
    return replace(trained, probabilities=probabilities)


def log_probabilities(nll, labels):
    """Returns log p of ten classes: the true one's, and the rest evenly on the others."""
    others = np.log(np.maximum(-np.expm1(-nll), 1e-12) / 9)
    logs = np.repeat(others[:, None], 10, axis=1)
    logs[np.arange(len(labels)), labels] = -nll
    return logs.astype(np.float32)


def per_example(val_ce):
    """Returns results with this mean, the same examples being hard for all."""
    hardness = np.random.default_rng(0).exponential(1.0, NUM_EXAMPLES)
    right = 0.95 if val_ce < 2.0 else 0.1
    return PerExample(
        nll=(hardness / hardness.mean() * val_ce).astype(np.float32),
        correct=np.arange(NUM_EXAMPLES) < NUM_EXAMPLES * right,
        predicted=np.zeros(NUM_EXAMPLES, np.int32),
        confidence=np.full(NUM_EXAMPLES, 0.5, np.float32),
    )


EXECUTOR_FILE = """
from scripted_trainer import Script
from pipeline.search.executors.inline import InlineExecutor


class ScriptedExecutor(InlineExecutor):
    def __init__(self, opener, workers=1):
        super().__init__(Script(**{arguments!r}), workers)


EXECUTOR = ScriptedExecutor
"""


def write_executor(folder, name="scripted", **arguments):
    """Writes a file that makes a script an executor, once the folder is in the executors' path."""
    text = EXECUTOR_FILE.replace("{arguments!r}", repr(arguments))
    (folder / f"{name}.py").write_text(text)
