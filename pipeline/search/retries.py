"""Decides how a failed cohort is tried again, and when a study stops.

In: what an executor says about a failed cohort, and how trials ended. Out: the cohorts to try, the
cause of a trial that failed, and the reason to stop a study in which trial after trial fails alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pipeline.records import Trial, TrialOutcome
from pipeline.search.cohort_sizing import in_parts
from pipeline.search.executors.interface import MEMORY, TIMEOUT, Failed, Limits
from pipeline.training.padding import program

MAX_FAILURES = 5
_DEATH = re.compile(r"the worker process died \([^)]*\)")
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
_KIND_LENGTH = 60
"""Of a longer cause only so much says its kind: libraries go on with details of the network."""
_ADVICE = {
    MEMORY: "less memory is needed with a smaller batch_size or width, or fewer --workers",
    TIMEOUT: "give a longer --trial-timeout, or fewer --epochs",
}


class FailureCount:
    """Counts failures of one kind that no trained trial came between.

    A diverging learning rate now and then is a result of the search, not a fault: whatever the
    total, a study stops only where nothing but failures arrives any more.

    Args:
        most: So many of one kind stop the study.
    """

    def __init__(self, most: int = MAX_FAILURES) -> None:
        self.most = most
        self._counts: dict[str, int] = {}

    def reason_to_stop(self, outcomes: Sequence[TrialOutcome]) -> str | None:
        """Counts a cohort's outcomes; returns why the study stops, None while it goes on."""
        failed = [outcome for outcome in outcomes if outcome.state == "FAIL"]
        if len(failed) < len(outcomes):
            self._counts.clear()
            return None
        for outcome in failed:
            kind = kind_of(outcome.cause or "")
            self._counts[kind] = self._counts.get(kind, 0) + 1
        last = failed[-1].cause or "no cause given"
        count = self._counts[kind_of(failed[-1].cause or "")]
        if count < self.most:
            return None
        return (
            f"{count} trials failed in a row, the last one with: {last}. The search stops here "
            f"(--max-failures {self.most}); what was trained is kept. Mend the cause"
            f"{advice(last)} and run the same command again; it goes on regardless with a larger "
            "--max-failures"
        )


def kind_of(cause: str) -> str:
    """Returns what is alike in causes of one kind: the numbers masked, the details left out."""
    death = _DEATH.match(cause)
    return death.group() if death else _NUMBER.sub("#", cause)[:_KIND_LENGTH]


def advice(cause: str) -> str:
    """Returns what usually mends a cause, in brackets, or nothing."""
    if "--trial-timeout" in cause:
        return f" ({_ADVICE[TIMEOUT]})"
    memory = re.search("memory|ResourceExhausted|RESOURCE_EXHAUSTED", cause, re.IGNORECASE)
    return f" ({_ADVICE[MEMORY]})" if memory else ""


class Capacity:
    """How many trials of a structure train together, learnt from cohorts that ran out of memory."""

    def __init__(self) -> None:
        self._fitted: dict[Any, int] = {}
        self._burst: dict[Any, int] = {}

    def fitted(self, structure: Any, size: int) -> None:
        """Notes that a cohort was trained."""
        self._fitted[structure] = max(size, self._fitted.get(structure, 0))

    def ran_out(self, structure: Any, size: int) -> None:
        """Notes that a cohort ran out; where a single trial does, its company was not to blame."""
        if size == 1:
            self._burst.pop(structure, None)
        else:
            self._burst[structure] = min(size, self._burst.get(structure, size))

    def largest(self, structure: Any) -> int | None:
        """Returns the largest cohort to be tried; None where none ran out."""
        if structure not in self._burst:
            return None
        return max(half(self._burst[structure]), self._fitted.get(structure, 1))

    def split(self, group: list[Trial]) -> list[list[Trial]]:
        """Returns a waiting cohort in parts that are to fit."""
        return in_parts(group, self.largest(program_of(group)) or len(group))


def program_of(trials: Sequence[Trial]) -> tuple[Any, ...]:
    """Returns the structure of the network in which trials train together."""
    return program([trial.config for trial in trials])


def half(size: int) -> int:
    """Returns the larger half."""
    return -(-size // 2)


def groups_to_retry(group: list[Trial], fault: str) -> list[list[Trial]]:
    """Returns a failed cohort in parts to try again: halves if memory ran out, else one by one."""
    return in_parts(group, half(len(group)) if fault == MEMORY else 1)


def limits_of(num_trials: int, trial_timeout: float | None) -> Limits | None:
    """Returns a cohort's limits: as long as its trials may take in all, silent as long as one."""
    return None if trial_timeout is None else Limits(trial_timeout, trial_timeout * num_trials)


def cause_of(failed: Failed, trial_timeout: float | None) -> str:
    """Returns why a trial failed that was trained alone."""
    if failed.fault == TIMEOUT and trial_timeout is not None:
        return f"ran longer than --trial-timeout {as_option(trial_timeout)}"
    return failed.cause


def as_option(seconds: float) -> str:
    """Returns a duration as the command line takes it: ``90s`` is ``1m30s``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    units = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{value:g}{unit}" for value, unit in units if value)
