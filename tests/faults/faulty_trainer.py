"""A trainer without Keras in which chosen trials go wrong as training does, in their process.

Kept apart from the tests because worker processes import it.
"""

import ctypes
import math
import os
import signal
import time
from dataclasses import dataclass

from scripted_trainer import CohortTrainer, Script

from pipeline.records import EpochReport, TrialOutcome
from pipeline.search.executors.processes import ProcessesExecutor

EPOCH = 2
"""The epoch after whose report a trial goes wrong."""
HANG_SECONDS = 600.0


class ResourceExhaustedError(Exception):
    """What TensorFlow raises when a device's memory is used up, by name."""


def raise_(trial):
    raise RuntimeError(f"trial {trial.number} is poison")


def run_out(trial):
    raise MemoryError(f"unable to allocate 9 GiB for trial {trial.number}")


def kill(trial):
    os.kill(os.getpid(), signal.SIGKILL)


def crash(trial):
    ctypes.string_at(0)  # a real segmentation fault, not a signal sent


def hang(trial):
    time.sleep(HANG_SECONDS)


FAULTS = {"exception": raise_, "memory": run_out, "kill": kill, "crash": crash, "hang": hang}


@dataclass(frozen=True)
class Faulty:
    """An opener.

    Attributes:
        faults: Trial number -> a key of :data:`FAULTS`, or ``nan``.
        room: Trials that fit into memory together; None for any number.
        epoch_seconds: Wall time of an epoch.
    """

    faults: tuple[tuple[int, str], ...] = ()
    room: int | None = None
    epoch_seconds: float = 0.0

    def open(self):
        return FaultyTrainer(self)


@dataclass
class FaultyTrainer:
    faulty: Faulty

    def __call__(self, cohort, emit, inbox):
        faults = dict(self.faulty.faults)
        if self.faulty.room is not None and len(cohort.trials) > self.faulty.room:
            raise ResourceExhaustedError(f"OOM when allocating tensor of {len(cohort.trials)}")
        diverged = [t.number for t in cohort.trials if faults.get(t.number) == "nan"]

        def report(data):
            if isinstance(data, EpochReport):
                data = as_diverged(data, diverged)
            emit(data)
            if isinstance(data, EpochReport) and data.epoch == EPOCH:
                for trial in cohort.trials:
                    FAULTS.get(faults.get(trial.number), lambda trial: None)(trial)

        outcomes = CohortTrainer(Script(epoch_seconds=self.faulty.epoch_seconds))(
            cohort, report, inbox
        )
        return tuple(
            TrialOutcome(
                outcome.number, "FAIL", curves=outcome.curves, cause="diverged: no finite epoch"
            )
            if outcome.number in diverged
            else outcome
            for outcome in outcomes
        )


def as_diverged(report, numbers):
    """Returns an epoch's report with NaN for these trials."""
    curves = {
        number: dict.fromkeys(values, math.nan) if number in numbers else values
        for number, values in report.curves.items()
    }
    return EpochReport(report.epoch, curves, report.seconds)


class FaultyExecutor(ProcessesExecutor):
    """Real worker processes that open up a :class:`Faulty` in place of what they are given."""

    faulty = Faulty()

    def __init__(self, opener, workers=1):
        super().__init__(self.faulty, workers)


EXECUTOR_FILE = """\
from faulty_trainer import Faulty, FaultyExecutor


class EXECUTOR(FaultyExecutor):
    faulty = {faulty!r}
"""
