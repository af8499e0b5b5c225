"""Runs cohorts on an executor and tries those again that failed; the search and finalists use it.

In: groups of trials that share a program. Out: calls of a :class:`CohortOwner`, which says what the
epochs and the ends of its trials mean. A cohort that fails is tried again one by one, or in halves
where memory ran out, so that a single bad trial is found and the others survive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.records import Cohort, EpochReport, StepTiming, Trial, TrialOutcome
from pipeline.search.executors.interface import (
    MEMORY,
    Event,
    Executor,
    Failed,
    Finished,
    Progressed,
)
from pipeline.search.interrupts import was_broken_off
from pipeline.search.retries import Capacity, cause_of, groups_to_retry, limits_of, program_of

WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class CohortSettings:
    """What all cohorts of a search, or of its finalists, have in common.

    Attributes:
        epochs: Largest number of epochs of a trial.
        patience: Epochs without a smaller ``val_ce`` after which a trial stops.
        order_seed: Seed of the order of examples.
        trial_timeout_seconds: Longest wall time of a trial; a cohort's is this for each of its
            trials, and it may be silent as long as one. None for no limit.
        validation_per_epoch: Validation examples that are scored after each epoch; None for all.
        keep_probabilities: Whether outcomes carry the probabilities of every class.
    """

    epochs: int
    patience: int
    order_seed: int = 0
    trial_timeout_seconds: float | None = None
    validation_per_epoch: int | None = None
    keep_probabilities: bool = False


@dataclass
class RunningCohort:
    """A cohort that was submitted, and how far it has come."""

    cohort: Cohort
    epoch: int = 0
    val_ce: float | None = None


class CohortOwner(Protocol):
    """Whose trials these are; called as they start, train and end."""

    def label(self, cohort: Cohort) -> str:
        """Returns what the user calls a cohort."""

    def note(self, message: str) -> None:
        """Shows the user a line."""

    def num_to_start(self, group: Sequence[Trial]) -> int:
        """Returns how many of these trials start together now, at least one; the rest waits."""

    def cohort_started(self, cohort: Cohort) -> None:
        """A cohort was submitted."""

    def step_timed(self, running: RunningCohort, timing: StepTiming) -> None:
        """A cohort's training step was timed."""

    def epoch_ended(
        self, running: RunningCohort, report: EpochReport, new: Collection[int]
    ) -> None:
        """A cohort trained an epoch; ``new`` are the trials that had not come so far before."""

    def trials_ended(self, outcomes: Sequence[TrialOutcome]) -> None:
        """Trials ended."""

    def event_handled(self, event: Event) -> None:
        """The consequences of an event are drawn."""


class CohortRunner:
    """Keeps an executor's workers busy with the groups that wait.

    Args:
        executor: Where cohorts train, ready.
        settings: What all cohorts have in common.
        owner: Whose trials they are.
        first_number: Number of the first cohort.

    Attributes:
        waiting: Groups of trials that were not started yet.
        running: Cohorts that train now, by their numbers.
        stopping: Set to start nothing more; what trains goes on.
    """

    def __init__(
        self,
        executor: Executor,
        settings: CohortSettings,
        owner: CohortOwner,
        first_number: int = 0,
    ) -> None:
        self.waiting: deque[list[Trial]] = deque()
        self.running: dict[int, RunningCohort] = {}
        self.stopping = False
        self._executor, self._settings, self._owner = executor, settings, owner
        self._next_number = first_number
        self._capacity = Capacity()
        self._epochs: dict[int, int] = {}

    @property
    def workers(self) -> int:
        """Cohorts that train at once."""
        return self._executor.workers

    @property
    def has_room(self) -> bool:
        """Whether a worker is free and may be given a cohort."""
        return not self.stopping and len(self.running) < self.workers

    def add(self, groups: Iterable[list[Trial]]) -> None:
        """Appends groups to those that wait."""
        self.waiting.extend(groups)

    def start_waiting(self) -> None:
        """Hands waiting groups to free workers, in parts where a whole one would not fit."""
        while self.waiting and self.has_room:
            first, *others = self._capacity.split(self.waiting.popleft())
            count = self._owner.num_to_start(first)
            rest = [first[count:], *others] if first[count:] else others
            self.waiting.extendleft(reversed(rest))
            self._submit(first[:count])

    def wait(self) -> None:
        """Handles events until a cohort ended or half a second is over.

        Raises:
            KeyboardInterrupt: The command was broken off, and whatever ran then lost it.
        """
        if was_broken_off():
            raise KeyboardInterrupt
        self._executor.wait(self._handle, WAIT_SECONDS)

    def prune(self, cohort: Cohort, trial: int) -> None:
        """Has a worker stop a trial of a running cohort."""
        self._executor.tell(cohort.number, trial)

    def _submit(self, group: list[Trial]) -> None:
        settings = self._settings
        cohort = Cohort(
            number=self._next_number,
            trials=tuple(group),
            # Trials may have fewer of their own: the cohort ends with the last of them.
            epochs=max(trial.config.limit("epochs", settings.epochs) for trial in group),
            patience=settings.patience,
            order_seed=settings.order_seed,
            validation_per_epoch=settings.validation_per_epoch,
            keep_probabilities=settings.keep_probabilities,
        )
        self._next_number += 1
        self.running[cohort.number] = RunningCohort(cohort)
        # Before the owner writes to MLflow: the worker need not wait for it.
        limits = limits_of(len(group), settings.trial_timeout_seconds)
        self._executor.submit(cohort.number, cohort, limits)
        self._owner.cohort_started(cohort)

    def _handle(self, event: Event) -> None:
        running = self.running[event.key]
        if isinstance(event, Progressed):
            self._progressed(running, event.data)
        elif isinstance(event, Finished):
            self._finished(running.cohort, event.result)
        else:
            self._failed(running.cohort, event)
        self._owner.event_handled(event)

    def _progressed(self, running: RunningCohort, data: EpochReport | StepTiming) -> None:
        if isinstance(data, StepTiming):
            self._owner.step_timed(running, data)
            return
        running.epoch = data.epoch
        # The epochs of a trial that is tried again are known already.
        new = {number for number in data.curves if data.epoch > self._epochs.get(number, 0)}
        self._epochs |= dict.fromkeys(new, data.epoch)
        self._owner.epoch_ended(running, data, new)

    def _finished(self, cohort: Cohort, outcomes: Sequence[TrialOutcome]) -> None:
        del self.running[cohort.number]
        self._capacity.fitted(program_of(cohort.trials), len(cohort.trials))
        try:
            # The worker trains on while this process writes.
            self.start_waiting()
        finally:
            # What was trained is kept, even where MLflow takes no new trial any more.
            self._end(outcomes)

    def _failed(self, cohort: Cohort, event: Failed) -> None:
        """Ends a trial that failed alone; several are tried again, in halves or one by one."""
        del self.running[cohort.number]
        trials = list(cohort.trials)
        if event.fault == MEMORY:
            self._capacity.ran_out(program_of(trials), len(trials))
        if len(trials) == 1:
            cause = cause_of(event, self._settings.trial_timeout_seconds)
            self._end([TrialOutcome(trials[0].number, "FAIL", cause=cause)])
            return
        groups = groups_to_retry(trials, event.fault)
        how = "in halves" if len(groups) < len(trials) else "one by one"
        label = self._owner.label(cohort)
        self._owner.note(f"{label} failed ({event.cause}): its trials are tried {how}")
        self.waiting.extendleft(reversed(groups))

    def _end(self, outcomes: Sequence[TrialOutcome]) -> None:
        for outcome in outcomes:
            self._epochs.pop(outcome.number, None)
        self._owner.trials_ended(outcomes)
