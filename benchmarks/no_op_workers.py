"""Simulated workers and a silent surrounding for a supervisor whose trials nobody trains.

:class:`SimulatedWorkers` is an executor: any number of cohorts run at once, each takes a step in
turn, and their outcomes are made up. What that takes is counted apart (``fake``). Kept apart from
``scale.py`` because it knows nothing of what is measured.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from pipeline.records import (
    Cohort,
    EpochReport,
    Measurement,
    PerExample,
    StepTiming,
    Trial,
    TrialOutcome,
)
from pipeline.search.executors.interface import Event, Executor, Finished, Limits, Progressed
from pipeline.search.progress import Snapshot

NUM_EXAMPLES, NUM_CLASSES, NUM_UNITS = 360, 10, 64
HARDNESS = np.random.default_rng(0).exponential(1.0, NUM_EXAMPLES)
PARTS = ("Optuna asks", "Optuna else", "delivery", "fake")


class Clock:
    """Sums up CPU time by what it was spent on."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.marks: list[dict[str, float]] = [self._now()]

    def _now(self) -> dict[str, float]:
        return {"all": time.process_time()} | {name: self.spent[name] for name in PARTS}

    def mark(self) -> None:
        """Ends a window."""
        self.marks.append(self._now())

    def begin(self) -> None:
        """Forgets what was before."""
        self.marks[:] = [self._now()]

    def timed(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function whose CPU time is counted; threads do not count one another's."""

        @wraps(function)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            begun = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.spent[what] += time.thread_time() - begun

        return wrapper


class SimulatedWorkers(Executor):
    """Runs cohorts side by side in this process, an epoch of each in turn.

    Args:
        clock: Counts what the made-up outcomes take.
        workers: Cohorts that run at once.
    """

    def __init__(self, clock: Clock, workers: int) -> None:
        self.workers = workers
        self._made = clock.timed("fake", outcome)
        self._jobs: deque[tuple[int, Iterator[Event]]] = deque()
        self._stopped: dict[int, set[int]] = {}

    def submit(self, key: int, job: Any, limits: Limits | None = None) -> None:
        """Starts a cohort."""
        self._stopped[key] = set()
        self._jobs.append((key, self._events(key, job)))

    def wait(self, handle: Callable[[Event], None], timeout_seconds: float) -> None:
        """Hands events over until a cohort ended."""
        while self._jobs:
            key, events = self._jobs.popleft()
            event = next(events)
            if isinstance(event, Finished):
                del self._stopped[key]
                handle(event)
                return
            self._jobs.append((key, events))
            handle(event)

    def tell(self, key: int, message: Any) -> None:
        """Stops a trial."""
        self._stopped.get(key, set()).add(message)

    def close(self) -> None:
        """Forgets the cohorts."""
        self._jobs.clear()

    def _events(self, key: int, cohort: Cohort) -> Iterator[Event]:
        outcomes = [self._made(trial, cohort.epochs) for trial in cohort.trials]
        for epoch in range(1, cohort.epochs + 1):
            curves = {
                o.number: {name: values[epoch - 1] for name, values in o.curves.items()}
                for o in outcomes
                if o.number not in self._stopped[key] and epoch <= len(o.curves["val_ce"])
            }
            if not curves:
                break
            yield Progressed(key, EpochReport(epoch, curves, 0.1))
            if epoch == 1:
                yield Progressed(key, StepTiming(0.001, 30))
        yield Finished(key, tuple(outcomes))


def outcome(trial: Trial, epochs: int) -> TrialOutcome:
    """Returns what a trial of digits might come to: better with some dropout, never twice alike."""
    rng, config = np.random.default_rng(trial.seed), trial.config
    length = int(rng.integers(epochs // 2, epochs + 1))
    level = 0.12 + 0.1 * (config.dropout_rate - 0.3) ** 2 + 0.03 * rng.random()
    gap = 0.09 * (1.0 - config.dropout_rate) * rng.uniform(0.8, 1.2)
    val = level + 1.5 / np.arange(1, length + 1) ** 2 + 0.004 * rng.random(length)
    validation = PerExample(
        nll=(level * HARDNESS * rng.uniform(0.8, 1.2, NUM_EXAMPLES)).astype(np.float32),
        correct=rng.uniform(3.0, 4.0) > HARDNESS,
        predicted=rng.integers(0, NUM_CLASSES, NUM_EXAMPLES, dtype=np.int32),
        confidence=rng.uniform(0.5, 1.0, NUM_EXAMPLES).astype(np.float32),
    )
    val_ce, accuracy = float(validation.nll.mean()), float(validation.correct.mean())
    measurement = Measurement(
        val_ce=val_ce,
        val_accuracy=accuracy,
        train_ce=val_ce - gap,
        train_accuracy=min(accuracy + 0.02, 1.0),
        gap_ce=gap,
        gap_ce_se=0.02,
        gap_accuracy=0.02,
        penalty=0.01,
        best_epoch=int(np.argmin(val)) + 1,
        epochs=length,
        num_parameters=NUM_UNITS * (NUM_UNITS * config.depth + NUM_CLASSES),
        log10_p_guessing=-200.0,
    )
    curves = {
        "val_ce": tuple(val.tolist()),
        "train_ce": tuple((val - gap).tolist()),
        "val_accuracy": tuple((1.0 - val / 3.0).tolist()),
        "train_accuracy": tuple((1.0 - val / 4.0).tolist()),
    }
    weights = (np.zeros((NUM_UNITS, NUM_UNITS), np.float32),) * config.depth
    done = ("COMPLETE", measurement, validation, curves, weights)
    return TrialOutcome(trial.number, *done, seconds=0.1)


class NoLog:
    """Stands in MLflow's place: takes what is written and keeps the numbers of kept weights."""

    next_cohort = 0

    def __init__(self) -> None:
        self.kept: set[int] = set()

    def trial_started(self, *_: Any) -> None:
        """Nothing to write."""

    def trial_epochs(self, *_: Any) -> None:
        """Nothing to write."""

    def run_ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """There are no runs."""
        return {}

    def trial_finished(self, outcome: TrialOutcome, verdict: str, *, keep_weights: bool) -> None:
        """Remembers whose weights would be kept."""
        self.kept |= {outcome.number} if keep_weights else set()

    def drop_weights(self, number: int) -> None:
        """Forgets them."""
        self.kept.discard(number)

    def kept_weights(self) -> tuple[int, ...]:
        """Whose weights are kept."""
        return tuple(self.kept)


class SilentView:
    """Shows nothing; warnings are printed."""

    def warn(self, message: str) -> None:
        """Prints it."""
        print(message, flush=True)

    def note(self, message: str) -> None:
        """Nothing to show."""

    def detail(self, message: str) -> None:
        """Nothing to show."""

    def show(self, snapshot: Snapshot) -> None:
        """Nothing to show."""
