"""The loop of a search: ask, group into cohorts, submit, receive, tell, track.

The only process that talks to Optuna (through ``study``) and MLflow (through ``tracking``); the
executor's workers train. A trial's end is written to tracking first (which keeps it on disk until
MLflow has it) and told to Optuna second, so that a trial that Optuna knows as ended is not lost,
whenever this process is killed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.records import (
    Cohort,
    EpochReport,
    StepTiming,
    StudyRecord,
    Trial,
    TrialOutcome,
)
from pipeline.search.cohort_sizing import Sizing, grouped
from pipeline.search.cost import Estimate, spoken, typical_configs
from pipeline.search.endings import as_pruned, as_record, attributes_of, shortcuts, told
from pipeline.search.executors.interface import (
    MEMORY,
    Event,
    Executor,
    Failed,
    Finished,
    Progressed,
)
from pipeline.search.leaderboard import Standing
from pipeline.search.progress import Running, Snapshot, View
from pipeline.search.retries import (
    MAX_FAILURES,
    Capacity,
    FailureCount,
    cause_of,
    limits_of,
    tried_again,
)
from pipeline.search.space.space import SearchSpace
from pipeline.search.study import Study, Suggestion
from pipeline.selection.records import Verdict
from pipeline.training.techniques import structure

if TYPE_CHECKING:
    from pipeline.tracking import StudyRun

WAIT_SECONDS = 0.5
LONG_SECONDS = 30 * 60.0
"""A study that may take longer than this is told how to cut it."""


@dataclass(frozen=True)
class Plan:
    """How a study is run; nothing in it changes what a trial gives.

    Attributes:
        space: What may be suggested.
        trials: The study's total.
        order_seed: Seed of the order of examples.
        sizing: How many trials are asked for at once and trained together.
        timeout_seconds: No cohort starts after this; None for no limit.
        trial_timeout_seconds: Longest wall time of a trial; a cohort's is this for each of its
            trials, and it may be silent as long as one. None for no limit.
        max_failures: So many failures of one kind in a row stop the study.
    """

    space: SearchSpace
    trials: int
    order_seed: int = 0
    sizing: Sizing = field(default_factory=Sizing)
    timeout_seconds: float | None = None
    trial_timeout_seconds: float | None = None
    max_failures: int = MAX_FAILURES


@dataclass
class InFlight:
    """A cohort that was submitted, and how far it came."""

    cohort: Cohort
    names: dict[int, str | None]
    epoch: int = 0
    val_ce: float | None = None

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        first = self.cohort.trials[0]
        if len(self.cohort.trials) > 1:
            return f"cohort {self.cohort.number} ({len(self.cohort.trials)} trials)"
        return f"trial {first.number} ({self.names[first.number] or 'searched'})"


class Supervisor:
    """Runs one study to its total.

    Args:
        plan: How.
        study: Optuna's side.
        executor: Where cohorts train.
        log: MLflow's side.
        view: What the user sees.
    """

    def __init__(
        self, plan: Plan, study: Study, executor: Executor, log: StudyRun, view: View
    ) -> None:
        self.plan, self.study, self.executor, self.log, self.view = plan, study, executor, log, view
        self.stopping = self.interrupted = False
        self._start = time.monotonic()
        self._waiting: deque[list[Suggestion]] = deque()
        self._flying: dict[int, InFlight] = {}
        self._suggestions: dict[int, Suggestion] = {}
        self._pruned: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._failures = FailureCount(plan.max_failures)
        self._capacity = Capacity()
        self._next_cohort = log.next_cohort
        self._typical = typical_configs(plan.space, plan.trials)
        self._left: float | None = None
        self._together = 1.0

    def run(self, earlier: StudyRecord, estimate: Estimate) -> StudyRecord:
        """Trains until the study has its total, the time is over or :attr:`stopping` is set.

        Args:
            earlier: The study as tracking holds it, with the trials of earlier commands.
            estimate: Takes the timings.

        Returns:
            The study with all its trials.

        Raises:
            PipelineError: Too many trials failed in a row, or a worker cannot start.
        """
        self._standing, self._estimate = Standing(earlier, self.study.stale), estimate
        while True:
            self._fill()
            if not self._flying:
                return self._standing.record
            self._show()
            self.executor.wait(self._handle, WAIT_SECONDS)

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """The verdict of every trial, judged by all that ended so far."""
        return dict(self._standing.selection.verdicts)

    @property
    def reference(self) -> int | None:
        """The best-validation trial of all that ended so far."""
        return self._standing.selection.reference

    def _fill(self) -> None:
        """Keeps every worker busy, up to the total; asks for a round when none is waiting.

        What was asked for and never submitted has no run yet. Optuna holds it as running: it is
        enqueued again when the study continues.
        """
        limit = self.plan.timeout_seconds
        if limit is not None and time.monotonic() - self._start > limit and not self.stopping:
            self.view.note(f"--timeout {spoken(limit)} is over: no more trials are started")
            self.stopping = True
            self._left = self._seconds_left()
        while not self.stopping and len(self._flying) < self.executor.workers:
            if not self._waiting and not self._ask():
                return
            self._submit_waiting()
        # The next are ready when the last cohort of a round ends.
        known, unknown = self.study.num_ended, self.study.num_running
        wanted = not self.stopping and not self._waiting
        if wanted and known and unknown <= self.plan.sizing.ahead:
            self._ask(unknown)

    def _submit_waiting(self) -> None:
        """Hands what was asked for to free workers."""
        while self._waiting and not self.stopping and len(self._flying) < self.executor.workers:
            first, *others = self._capacity.split(self._waiting.popleft())
            soon, later = self._in_time(first)
            self._waiting.extendleft(reversed([later, *others] if later else others))
            self._submit(soon)

    def _in_time(self, group: list[Suggestion]) -> tuple[list[Suggestion], list[Suggestion]]:
        """Returns how much of a cohort is over before ``--timeout``, one trial at least; the rest.

        What trains when the time is over is trained to its end.
        """
        if self.plan.timeout_seconds is None:
            return group, []
        left = self.plan.timeout_seconds - (time.monotonic() - self._start)
        most = self._estimate.most([suggestion.config for suggestion in group], left)
        return group[:most], group[most:]

    def _ask(self, unknown: int = 0) -> bool:
        """Asks for a round of trials and groups them; returns whether there are any.

        Args:
            unknown: Trials of the last round that are still training; the new one is smaller by
                so many.
        """
        sizing, before = self.plan.sizing, self.study.num_ended + self.study.num_running
        missing = self.plan.trials - before
        asked = [self.study.ask() for _ in range(min(missing, sizing.round(before) - unknown))]
        groups = grouped(asked, sizing.cohort(before))
        self._waiting.extend(groups)
        if groups:
            self._together = len(asked) / len(groups)
        return bool(self._waiting)

    def _submit(self, group: list[Suggestion]) -> None:
        number = self._next_cohort
        self._next_cohort += 1
        space = self.plan.space
        cohort = Cohort(
            number=number,
            trials=tuple(Trial(s.number, s.config, s.seed) for s in group),
            epochs=space.epochs,
            patience=space.patience,
            order_seed=self.plan.order_seed,
        )
        self._flying[number] = InFlight(cohort, {s.number: s.name for s in group})
        self._suggestions |= {suggestion.number: suggestion for suggestion in group}
        # Before their runs are made: the worker need not wait for MLflow.
        limits = limits_of(len(group), self.plan.trial_timeout_seconds)
        self.executor.submit(number, cohort, limits)
        for suggestion in group:
            tags = {"cohort": str(number), "seed": str(suggestion.seed)}
            self.log.trial_started(suggestion.number, suggestion.name, suggestion.config, tags)

    def _handle(self, event: Event) -> None:
        flight = self._flying[event.key]
        if isinstance(event, Progressed):
            if isinstance(event.data, EpochReport):
                self._epoch(flight, event.data)
            else:
                self._timed(flight, event.data)
        elif isinstance(event, Finished):
            del self._flying[event.key]
            trials = flight.cohort.trials
            self._capacity.fitted(structure(trials[0].config), len(trials))
            try:
                # The worker trains on while this process writes.
                self._submit_waiting()
            finally:
                # What was trained is kept, even where MLflow takes no new trial any more.
                self._end(event.result)
        else:
            del self._flying[event.key]
            self._failed(flight, event)
        if not isinstance(event, Progressed):
            self._left = self._seconds_left()
        self._show()

    def _epoch(self, flight: InFlight, report: EpochReport) -> None:
        flight.epoch = report.epoch
        for number, curves in report.curves.items():
            decided = self._pruned.get(number)
            # What comes after the decision does not count: it depends on how fast it travelled. A
            # trial that is tried again has to be told again, and its epochs are known already.
            if decided is not None and report.epoch >= decided:
                self.executor.tell(flight.cohort.number, number)
            if report.epoch <= self._epochs.get(number, 0) or decided is not None:
                continue
            self._epochs[number] = report.epoch
            flight.val_ce = curves["val_ce"]
            self.log.trial_epochs(number, report.epoch, curves)
            prune = self.study.report(number, report.epoch, curves["val_ce"])
            # After its last epoch there is nothing left to save by pruning a trial.
            if prune and report.epoch < flight.cohort.epochs:
                self._pruned[number] = report.epoch
                self.executor.tell(flight.cohort.number, number)

    def _timed(self, flight: InFlight, timing: StepTiming) -> None:
        first = not self._estimate.rates
        self._estimate.time([trial.config for trial in flight.cohort.trials], timing)
        seconds = self._left = self._seconds_left()
        if first and seconds is not None:
            self.view.note(
                f"{timing.seconds_per_step * 1e3:.3g} ms a step of {flight.label}: the study takes "
                f"at most about {spoken(seconds)} on this machine; early stopping usually "
                f"shortens it" + (shortcuts(self.plan.space) if seconds > LONG_SECONDS else "")
            )

    def _failed(self, flight: InFlight, event: Failed) -> None:
        """Marks a single trial as failed; a cohort is tried again, in halves or one by one."""
        suggestions = [self._suggestions[trial.number] for trial in flight.cohort.trials]
        if event.fault == MEMORY:
            self._capacity.ran_out(structure(suggestions[0].config), len(suggestions))
        if len(suggestions) == 1:
            cause = cause_of(event, self.plan.trial_timeout_seconds)
            self._end([TrialOutcome(suggestions[0].number, "FAIL", cause=cause)])
            return
        again = tried_again(suggestions, event.fault)
        how = "in halves" if len(again) < len(suggestions) else "one by one"
        self.view.note(f"{flight.label} failed ({event.cause}): its trials are tried {how}")
        self._waiting.extendleft(reversed(again))

    def _end(self, outcomes: Sequence[TrialOutcome]) -> None:
        """Writes the ends of a cohort's trials to tracking, each before Optuna is told of it."""
        ended = [self._as_decided(outcome) for outcome in outcomes]
        split = self._standing.split_id
        self._standing.add([as_record(self._suggestions[o.number], o, split) for o in ended])
        for kept in self.log.kept_weights():
            if not self._standing.worth_keeping(kept):
                self.log.drop_weights(kept)
        runs = self.log.run_ids([outcome.number for outcome in ended])
        for outcome in ended:
            self._keep(outcome, runs.get(outcome.number))
        if reason := self._failures.reason_to_stop(ended):
            raise PipelineError(reason)

    def _as_decided(self, outcome: TrialOutcome) -> TrialOutcome:
        """Returns the outcome as pruned at the epoch of the decision, where there was one."""
        epoch = self._pruned.pop(outcome.number, None)
        self._epochs.pop(outcome.number, None)
        if epoch is None or outcome.state == "FAIL":
            return outcome
        # Early stopping had ended it by then: there was nothing left to prune.
        measured = outcome.measurement
        ended = measured is not None and measured.epochs <= epoch
        return outcome if ended else as_pruned(outcome, epoch)

    def _keep(self, outcome: TrialOutcome, run_id: str | None) -> None:
        """Writes a trial's end to tracking, then tells Optuna."""
        number = outcome.number
        suggestion = self._suggestions.pop(number)
        verdict = self._standing.selection.verdicts[number].name
        keep = self._standing.worth_keeping(number)
        self.log.trial_finished(outcome, verdict, keep_weights=keep)
        self.study.tell(outcome, attributes_of(outcome, verdict, run_id))
        self.view.note(told(suggestion, outcome))

    def _seconds_left(self) -> float | None:
        configs = [
            trial.config for flight in self._flying.values() for trial in flight.cohort.trials
        ]
        if self.stopping:
            return self._estimate.seconds(configs, self.executor.workers, self._together)
        configs += [suggestion.config for group in self._waiting for suggestion in group]
        missing = self.plan.trials - self.study.num_ended - self.study.num_running
        known = self._standing.names
        known |= {name for flight in self._flying.values() for name in flight.names.values()}
        known |= {suggestion.name for group in self._waiting for suggestion in group}
        waiting = [r.config for r in self.plan.space.references if r.name not in known]
        configs += waiting[:missing]
        configs += self._typical[: max(missing - len(waiting), 0)]
        return self._estimate.seconds(configs, self.executor.workers, self._together)

    def _show(self) -> None:
        running = tuple(
            Running(flight.label, flight.epoch, flight.cohort.epochs, flight.val_ce)
            for flight in self._flying.values()
        )
        self.view.show(
            Snapshot(
                total=self.plan.trials,
                ended=self.study.num_ended,
                pruned=self._standing.count("PRUNED"),
                failed=self._standing.count("FAIL"),
                running=running,
                best=self._standing.best,
                seconds=time.monotonic() - self._start,
                seconds_left=self._left,
            )
        )
