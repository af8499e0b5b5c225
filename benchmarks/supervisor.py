"""The supervisor alone: CPU time per trial of a long search, whose trials nobody trains.

Workers are no-ops: a trainer without Keras returns plausible outcomes at once, in this process.
All else is the product's: plan, TPE, a journal on disk, leaderboard, and MLflow's delivery to a
SQLite store in a temporary folder, or none of it. For every window of trials the table says what
one trial cost, in milliseconds of CPU time, so that other work on the machine counts for little:

- all: this process, MLflow's sending thread included
- Optuna: asking (TPE and the journal), reporting epochs, telling
- delivery: the sending thread
- fake: making the outcomes up, which a real supervisor has not to do
- ours: the rest, the supervisor's own; it should be flat

Run: nice python benchmarks/supervisor.py --trials 2000 --tracking off on
     nice python benchmarks/supervisor.py --trials 1000 --tracking off --profile 30
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import tracking
from pipeline.records import (
    Cohort,
    EpochReport,
    Measurement,
    PerExample,
    StepTiming,
    StudyRecord,
    Trial,
    TrialOutcome,
)
from pipeline.search import executors
from pipeline.search.cost import Estimate
from pipeline.search.options import SearchOptions, data_size, prepare
from pipeline.search.plan import plan_of
from pipeline.search.progress import Snapshot
from pipeline.search.study import Study, open_study
from pipeline.search.supervisor import Supervisor
from pipeline.tracking.delivery.child_runs import ChildRuns

WINDOW = 100
NUM_EXAMPLES, NUM_CLASSES, NUM_UNITS = 360, 10, 64
HARDNESS = np.random.default_rng(0).exponential(1.0, NUM_EXAMPLES)
PARTS = ("Optuna", "delivery", "fake")


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


@dataclass(frozen=True)
class NoOp:
    """Opens a trainer that trains nothing."""

    clock: Clock
    epochs_shown: int

    def open(self) -> Callable[..., Any]:
        """Returns it."""
        made = self.clock.timed("fake", outcome)

        def run(cohort: Cohort, emit: Callable[[Any], None], inbox: Callable[[], list[int]]) -> Any:
            outcomes = [made(trial, cohort.epochs) for trial in cohort.trials]
            stopped: set[int] = set()
            for epoch in range(1, min(cohort.epochs, self.epochs_shown) + 1):
                curves = {
                    o.number: {name: values[epoch - 1] for name, values in o.curves.items()}
                    for o in outcomes
                    if o.number not in stopped and epoch <= len(o.curves["val_ce"])
                }
                emit(EpochReport(epoch, curves, 0.1))
                if epoch == 1:
                    emit(StepTiming(0.001, 30))
                stopped.update(inbox())
            return tuple(outcomes)

        return run


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


@contextmanager
def study_run(folder: Path, name: str, clock: Clock, *, tracked: bool) -> Iterator[Any]:
    """Yields MLflow's side of the study: delivered in the background, or nothing at all."""
    if not tracked:
        yield NoLog()
        return
    deliver = clock.timed("delivery", ChildRuns.deliver)
    ChildRuns.deliver = deliver  # type: ignore[method-assign]
    store = tracking.connect(f"sqlite:///{folder / 'mlflow.db'}")
    run = store.open_study(name, "digits", {"name": name}, {})
    clock.marks[:] = []  # what opening the store takes is not asked here
    clock.mark()
    with run.in_background(folder / "outbox", print):
        yield run
        run.drain(600.0)
    run.study_finished()


def searched(folder: Path, options: SearchOptions, clock: Clock, *, tracked: bool) -> StudyRecord:
    """Searches a study of no-ops; the clock has a mark per window when it ends."""
    prepared = prepare(options)
    study = open_study(str(folder / "studies.journal"), "no-op", prepared.space, {}, options.seed)
    for name in ("ask", "report", "tell"):
        setattr(study, name, clock.timed("Optuna", getattr(study, name)))
    study.resume(references=True)
    marking(study, clock)
    plan = plan_of(options, prepared, None)
    chance, split = prepared.dataset.chance, prepared.dataset.split_id
    with (
        study_run(folder, "no-op", clock, tracked=tracked) as run,
        executors.start("inline", NoOp(clock, plan.space.epochs), 1) as executor,
    ):
        if tracked:
            run.log_dataset(split, chance)
        empty = StudyRecord("no-op", "digits", split, "none", chance, {}, ())
        estimate = Estimate(data_size(prepared.dataset), plan.space.epochs)
        view: Any = SilentView()
        return Supervisor(plan, study, executor, run, view, empty, estimate).run()


def marking(study: Study, clock: Clock) -> None:
    """Has the clock marked whenever a window's last trial was told."""
    tell = study.tell

    def told(*arguments: Any) -> None:
        tell(*arguments)
        if study.num_ended % WINDOW == 0:
            clock.mark()

    study.tell = told  # type: ignore[method-assign]


def show(clock: Clock) -> None:
    """Prints a row per window: milliseconds of CPU time a trial."""
    print(f"| trials | all | {' | '.join(PARTS)} | ours |")
    print("|---" * (len(PARTS) + 3) + "|")
    for place, (before, after) in enumerate(zip(clock.marks, clock.marks[1:], strict=False)):
        took = {name: 1_000 * (after[name] - before[name]) / WINDOW for name in after}
        ours = took["all"] - sum(took[name] for name in PARTS)
        figures = " | ".join(f"{value:.1f}" for value in (*took.values(), ours))
        print(f"| {place * WINDOW} to {(place + 1) * WINDOW} | {figures} |", flush=True)


def main() -> None:
    """Reads the options, searches and prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--tracking", nargs="+", choices=("off", "on"), default=["off", "on"])
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--cohort-size", type=int)
    parser.add_argument("--profile", type=int, default=0, metavar="LINES", help="of cProfile")
    arguments = parser.parse_args()
    options = SearchOptions(
        trials=arguments.trials, sampler=arguments.sampler, cohort_size=arguments.cohort_size
    )
    for way in arguments.tracking:
        clock, profile = Clock(), cProfile.Profile()
        with tempfile.TemporaryDirectory() as folder:
            if arguments.profile:
                profile.enable()
            searched(Path(folder), options, clock, tracked=way == "on")
            profile.disable()
        print(f"\nMLflow's delivery {way}, {threading.active_count()} thread(s) left")
        show(clock)
        if arguments.profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(arguments.profile)


if __name__ == "__main__":
    main()
