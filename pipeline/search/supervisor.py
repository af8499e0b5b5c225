"""Runs the loop of a search: asks Optuna for trials, trains them in cohorts, tracks what came.

The only process that talks to Optuna (through ``study``) and MLflow (through ``tracking``); the
executor's workers train. A trial's end is written to tracking first (which keeps it on disk until
MLflow has it) and told to Optuna second, so that a trial that Optuna knows as ended is not lost,
whenever this process is killed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.formatting import duration
from pipeline.records import Cohort, EpochReport, StepTiming, StudyRecord, Trial, TrialOutcome
from pipeline.search.cohort_runner import CohortRunner, RunningCohort
from pipeline.search.cost import SAMPLED_CONFIGS, Estimate, repeated, typical_configs
from pipeline.search.dashboard import user_attributes
from pipeline.search.executors.interface import Event, Executor, Finished, Progressed
from pipeline.search.foreseen import Span, report_span, search_span
from pipeline.search.leaderboard import Leaderboard
from pipeline.search.plan import SearchPlan
from pipeline.search.progress import (
    Running,
    Snapshot,
    View,
    in_short,
    trial_line,
    ways_to_shorten,
)
from pipeline.search.retries import FailureCount
from pipeline.search.study import Study, Suggestion
from pipeline.selection.records import Verdict

if TYPE_CHECKING:
    from pipeline.tracking import StudyRun

LONG_SECONDS = 30 * 60.0
"""Where a study may take longer than this, the user reads how to shorten it."""
CROWDED, REFRESH_SECONDS = 64, 0.5
"""While more trials than this train or wait, what is shown is made anew twice a second: it goes
through all of them, and hundreds of workers bring hundreds of events a second."""


class Supervisor:
    """Runs one study to its total.

    Args:
        plan: How.
        study: Optuna's side.
        executor: Where cohorts train.
        study_run: MLflow's side.
        view: What the user sees.
        earlier: The study as tracking holds it, with the trials of earlier commands.
        estimate: Takes the timings.

    Attributes:
        interrupted: Whether the user asked to stop.
    """

    def __init__(
        self,
        plan: SearchPlan,
        study: Study,
        executor: Executor,
        study_run: StudyRun,
        view: View,
        earlier: StudyRecord,
        estimate: Estimate,
    ) -> None:
        self.plan, self.study, self.study_run, self.view = plan, study, study_run, view
        self.interrupted = False
        self._leaderboard = Leaderboard(earlier, study.stale)
        self._estimate = estimate
        self._cohorts = CohortRunner(executor, plan.cohort_settings, self, study_run.next_cohort)
        self._start = time.monotonic()
        self._suggestions: dict[int, Suggestion] = {}
        self._pruned: dict[int, int] = {}
        self._started: dict[int, float] = {}
        self._failures = FailureCount(plan.max_failures)
        self._typical = typical_configs(plan.space, min(plan.trials, SAMPLED_CONFIGS))
        self._left: Span | None = None
        self._refreshed = 0.0
        self._mean_cohort_size = 1.0
        self._waited_for = ""

    def run(self) -> StudyRecord:
        """Trains until the study has its total, the time is over or :meth:`stop` was called.

        Returns:
            The study with all its trials.

        Raises:
            PipelineError: Too many trials failed in a row, or a worker cannot start.
        """
        while True:
            self.study.beat()
            self._check_time()
            self._fill_workers()
            self._ask_ahead()
            if self.study.came_back():
                # Who took this search for dead may have ended the study's run.
                self.study_run.set_running()
            if self._cohorts.running:
                self._show()
                self._cohorts.wait()
            elif self._cohorts.stopping or not self._wait_for_others():
                return self._leaderboard.record

    def stop(self) -> None:
        """Has the search start nothing more; what trains is finished."""
        self._cohorts.stopping = True

    def stop_by_user(self) -> None:
        """The same, because the user asked for it."""
        self.interrupted = True
        self.stop()

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """The verdict of every trial, judged by all that ended so far."""
        return self._leaderboard.verdicts()

    def _check_time(self) -> None:
        limit = self.plan.timeout_seconds
        if limit is None or self._cohorts.stopping or time.monotonic() - self._start <= limit:
            return
        self.view.warn(f"--timeout {duration(limit)} is over: no more trials are started")
        self.stop()
        self._left = self._time_left()

    def _wait_for_others(self) -> bool:
        """Waits a moment for what other searches of the study train; returns whether there is any.

        Whatever of it comes to no end is asked for here.
        """
        waited_for = self.study.wait_for_others(self.plan.trials)
        if waited_for and not self._waited_for:
            self.view.note(waited_for)
        if waited_for:
            self._show()
        self._waited_for = waited_for
        return bool(waited_for)

    def _fill_workers(self) -> None:
        """Gives every free worker a cohort; asks for trials where none waits, up to the total."""
        while self._cohorts.has_room:
            if not self._cohorts.waiting and not self._ask():
                return
            self._cohorts.start_waiting()

    def _ask_ahead(self) -> None:
        """Asks for the next batch while the last cohort of this one trains: no worker waits.

        What is asked for and never submitted has no run yet. Optuna holds it as running: it is
        enqueued again when the study continues.
        """
        known, unknown = self.study.num_ended, self.study.num_own
        idle = not self._cohorts.stopping and not self._cohorts.waiting
        if idle and known and unknown <= self.plan.sizing.ahead:
            self._ask(unknown)

    def _ask(self, unknown: int = 0) -> bool:
        """Asks for a batch of suggestions and groups it; returns whether any trials wait.

        Args:
            unknown: Trials of the last batch that still train; the new one is smaller by as many.
        """
        if not self.study.may_ask:
            return False
        sizing = self.plan.sizing
        with self.study.asking():
            before = self.study.num_ended + self.study.num_running
            missing = self.plan.trials - before
            count = min(missing, sizing.batch(before) - unknown)
            least = max(sizing.least, self._cohorts.workers)
            count = self.study.share(count, missing, least)
            suggestions = [self.study.ask() for _ in range(count)]
        self._close_taken_over()
        self._suggestions |= {suggestion.number: suggestion for suggestion in suggestions}
        trials = [Trial(s.number, s.config, s.seed) for s in suggestions]
        groups = sizing.cohorts(trials, before)
        self._cohorts.add(groups)
        if groups:
            self._mean_cohort_size = len(trials) / len(groups)
        return bool(self._cohorts.waiting)

    def _close_taken_over(self) -> None:
        """Closes in MLflow what a search trained that is dead; its trials are asked for again."""
        numbers, searches = self.study.taken_over()
        if numbers:
            self.study_run.close_of_others(numbers)
        for search in searches:
            self.view.warn(f"{search} is dead: trials of it that did not end are trained again")

    def label(self, cohort: Cohort) -> str:
        """Returns what the user calls a cohort."""
        first = cohort.trials[0].number
        if len(cohort.trials) > 1:
            return f"cohort {cohort.number} ({len(cohort.trials)} trials)"
        suggestion = self._suggestions[first]
        words = suggestion.name or in_short(suggestion.config, self.plan.space) or "searched"
        return f"trial {first} ({words})"

    def note(self, message: str) -> None:
        """Shows the user a line: that a cohort failed and is tried again."""
        self.view.warn(message)

    def num_to_start(self, group: Sequence[Trial]) -> int:
        """Returns how many of these trials are over before ``--timeout``, at least one.

        What trains when the time is over is trained to its end.
        """
        if self.plan.timeout_seconds is None:
            return len(group)
        left = self.plan.timeout_seconds - (time.monotonic() - self._start)
        return self._estimate.num_in_time([trial.config for trial in group], left)

    def cohort_started(self, cohort: Cohort) -> None:
        """Opens the runs of a cohort's trials in MLflow."""
        self._started[cohort.number] = time.monotonic()
        numbers = ", ".join(str(trial.number) for trial in cohort.trials)
        first = in_short(cohort.trials[0].config, self.plan.space) or "plain"
        self.view.detail(f"cohort {cohort.number} starts: trials {numbers}; the first is {first}")
        for trial in cohort.trials:
            tags = {"cohort": str(cohort.number), "seed": str(trial.seed)}
            tags |= {"search": self.study.token} if self.study.shared else {}
            name = self._suggestions[trial.number].name
            self.study_run.trial_started(trial.number, name, trial.config, tags)

    def step_timed(self, running: RunningCohort, timing: StepTiming) -> None:
        """Takes a timing; the first one gives the user an estimate of the whole study."""
        self.view.detail(
            f"cohort {running.cohort.number}: {timing.setup_seconds:.1f} s to its first step, its "
            f"program included, then {timing.seconds_per_step * 1e3:.3g} ms a step, "
            f"{timing.steps_per_epoch} steps an epoch"
        )
        first = not self._estimate.rates
        self._estimate.add([trial.config for trial in running.cohort.trials], timing)
        if first or len(self._suggestions) <= CROWDED:
            self._left = self._time_left()
        if first and (span := self._left) is not None:
            after = report_span(self._estimate, self._typical, self.plan.finalist_trainings)
            shorten = ways_to_shorten(self.plan.space) if span.high > LONG_SECONDS else ""
            self.view.note(
                f"{timing.seconds_per_step * 1e3:.3g} ms a step of {self.label(running.cohort)}: "
                f"the search takes {span} on this machine, by how early trials stop; its report "
                f"with finalists {after}{shorten}"
            )

    def epoch_ended(
        self, running: RunningCohort, report: EpochReport, new: Collection[int]
    ) -> None:
        """Tracks an epoch of every trial, and has those stopped that Optuna prunes."""
        cohort = running.cohort
        last_epochs = {trial.number: cohort.epochs_of(trial.config) for trial in cohort.trials}
        for number, curves in report.curves.items():
            decided = self._pruned.get(number)
            # What comes after the decision does not count: it depends on how fast it travelled. A
            # trial that is tried again has to be stopped again.
            if decided is not None and report.epoch >= decided:
                self._cohorts.prune(cohort, number)
            if number not in new or decided is not None:
                continue
            running.val_ce = curves["val_ce"]
            self.study_run.trial_epochs(number, report.epoch, curves)
            prune = self.study.report(number, report.epoch, curves["val_ce"])
            # After its last epoch there is nothing left to save by pruning a trial.
            if prune and report.epoch < last_epochs[number]:
                self._pruned[number] = report.epoch
                self._cohorts.prune(cohort, number)

    def trials_ended(self, outcomes: Sequence[TrialOutcome]) -> None:
        """Writes the ends of trials to tracking, each before Optuna hears of it.

        Raises:
            PipelineError: Too many trials failed in a row.
        """
        self.study.check_own([outcome.number for outcome in outcomes])
        ended = [self._as_pruned_when_decided(outcome) for outcome in outcomes]
        self._leaderboard.add((self._suggestions[o.number], o) for o in ended)
        for kept in self.study_run.kept_weights():
            if not self._leaderboard.needs_weights(kept):
                self.study_run.drop_weights(kept)
        runs = self.study_run.run_ids([outcome.number for outcome in ended])
        for outcome in ended:
            self._track_and_tell(outcome, runs.get(outcome.number))
        if reason := self._failures.reason_to_stop(ended):
            raise PipelineError(reason)

    def event_handled(self, event: Event) -> None:
        """Shows the study as it is after an event."""
        self.study.beat()
        if isinstance(event, Finished):
            seconds = time.monotonic() - self._started.pop(event.key)
            self.view.detail(f"cohort {event.key} ended after {seconds:.1f} s")
        if len(self._suggestions) > CROWDED:
            if time.monotonic() - self._refreshed < REFRESH_SECONDS:
                return
            self._refreshed = time.monotonic()
        if not isinstance(event, Progressed):
            self._left = self._time_left()
        self._show()

    def _as_pruned_when_decided(self, outcome: TrialOutcome) -> TrialOutcome:
        """Returns the outcome as pruned at the epoch of the decision, where there was one."""
        epoch = self._pruned.pop(outcome.number, None)
        if epoch is None or outcome.state == "FAIL":
            return outcome
        # Early stopping had ended it by then: there was nothing left to prune.
        measured = outcome.measurement
        ended = measured is not None and measured.epochs <= epoch
        return outcome if ended else outcome.pruned_after(epoch)

    def _track_and_tell(self, outcome: TrialOutcome, run_id: str | None) -> None:
        suggestion = self._suggestions.pop(outcome.number)
        judged = self._leaderboard.verdict(outcome.number)
        verdict = judged.name
        keep = self._leaderboard.needs_weights(outcome.number)
        self.study_run.trial_finished(outcome, verdict, keep_weights=keep)
        self.study.tell(outcome, user_attributes(outcome, verdict, run_id))
        words = in_short(suggestion.config, self.plan.space)
        say = self.view.warn if outcome.state == "FAIL" else self.view.note
        say(trial_line(suggestion.number, suggestion.name, words, outcome, verdict))
        self.view.detail(f"trial {suggestion.number}: {verdict} - {judged.because}")

    def _time_left(self) -> Span | None:
        """Returns how long what runs, waits and is still missing takes; None before any timing."""
        cohorts, estimate, workers = self._cohorts, self._estimate, self._cohorts.workers
        if not estimate.rates:
            return None
        configs = [t.config for running in cohorts.running.values() for t in running.cohort.trials]
        if cohorts.stopping:
            return search_span(estimate, configs, workers, self._mean_cohort_size)
        configs += [trial.config for group in cohorts.waiting for trial in group]
        missing = self.plan.trials - self.study.num_ended - self.study.num_running
        asked = {s.name for s in self._suggestions.values()}
        known = self._leaderboard.names
        every = self.plan.space.references
        references = [r.config for r in every if r.name not in known and r.name not in asked]
        configs += references[:missing]
        times = Counter(configs)
        times.update(repeated(self._typical, missing - len(references)))
        return search_span(estimate, times, workers, self._mean_cohort_size)

    def _show(self) -> None:
        counts = self.study.ended_as
        running = tuple(
            Running(self.label(one.cohort), one.epoch, one.cohort.epochs, one.val_ce)
            for one in self._cohorts.running.values()
        )
        self.view.show(
            Snapshot(
                total=self.plan.trials,
                ended=self.study.num_ended,
                pruned=self._leaderboard.count("PRUNED") if counts is None else counts["PRUNED"],
                failed=self._leaderboard.count("FAIL") if counts is None else counts["FAIL"],
                running=running,
                best=self._leaderboard.best,
                seconds=time.monotonic() - self._start,
                seconds_left=self._left.high if self._left else None,
            )
        )
