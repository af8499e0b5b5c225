"""Trains finalists: configurations of a study once more, with other seeds, on the same split.

In: which trial with which seed. Out: runs in MLflow beside the trials (``tracking.finalist_runs``),
written as each training ends, so that a report that is killed goes on where it was. They train
through the study's own executor, and together where their structures agree; there is no pruning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.datasets import Dataset, DatasetSummary
from pipeline.errors import StoppedError
from pipeline.formatting import decimal, duration
from pipeline.records import (
    Cohort,
    DatasetSpec,
    EpochReport,
    StepTiming,
    StudyRecord,
    Trial,
    TrialConfig,
    TrialOutcome,
)
from pipeline.search import executors
from pipeline.search.cohort_runner import CohortRunner, CohortSettings, RunningCohort
from pipeline.search.cohort_sizing import Load, automatic, in_parts, memory_per_worker
from pipeline.search.cost import step_work, threads
from pipeline.search.disk import probabilities_bytes
from pipeline.search.executors.interface import Event, Executor, Placement, Voice
from pipeline.search.interrupts import stopping_softly
from pipeline.search.merging import Merging, alike
from pipeline.search.options import check_can_end_trials, data_size
from pipeline.search.trial_memory import memory_needs
from pipeline.search.workers import LEAST_TOGETHER, Work, worker_bytes, workers_for
from pipeline.training import backend
from pipeline.training.own import registry
from pipeline.training.own.registry import OwnFamily
from pipeline.training.padding import padded, stackable
from pipeline.training.worker import WorkerSpec

if TYPE_CHECKING:
    from pipeline.tracking import StudyRun, Tracking

Say = Callable[[str], None]

SAY_SECONDS = 15.0
"""Seconds between two lines about what is still training."""
LONG_SECONDS = 60.0
"""The user reads beforehand how long finalists take that may take longer than this."""
LOCAL = "processes"
STOPPED = "the report stopped while it ran"


@dataclass(frozen=True)
class Setup:
    """Where finalists train, and on what.

    Attributes:
        dataset: The study's, for its shape; workers load their own.
        opener: Opens up a worker.
        executor: Name of the executor.
        trial_timeout_seconds: Longest wall time of a training; None for no limit.
        workers: Cohorts at once; None for what suits, as ``auto`` of a search.
        placement: Where workers are placed, for an executor that does.
    """

    dataset: Dataset
    opener: WorkerSpec
    executor: str = LOCAL
    trial_timeout_seconds: float | None = None
    workers: int | None = 1
    placement: Placement = field(default_factory=Placement)


def setup_of(
    store: Tracking,
    study: StudyRecord,
    dataset: Dataset,
    spec: DatasetSpec,
    trial_timeout_seconds: float | None = None,
    workers: int | None = 1,
    placement: Placement | None = None,
) -> Setup:
    """Returns the executor, device and precision with which the study itself was searched.

    A device or an executor that this machine lacks becomes ``auto`` or ``processes``, and so does
    an executor that has too few workers.

    Args:
        store: Where the study is tracked.
        study: The study.
        dataset: Its dataset.
        spec: How workers load it.
        trial_timeout_seconds: Longest wall time of a training; None for no limit.
        workers: Cohorts at once; None for what suits.
        placement: Where workers are placed, as it was asked for.

    Raises:
        InputError: A time limit was given to an executor that cannot end a training, or a
            placement to one that knows this machine alone.
    """
    run_id = str(study.run_id)
    executor = store.tag(run_id, "executor")
    device = "cpu" if store.tag(run_id, "device") == "cpu" else "auto"
    precision = str(study.definition.get("precision", "float32"))
    name = executor if executor in executors.names() else LOCAL
    placement = replace(placement or Placement(), device=device)
    if executors.find(name).missing() and not placement.words():
        name = LOCAL
    if workers is not None and workers > (executors.find(name).most_workers or workers):
        name = LOCAL
    executors.check(name, placement)
    check_can_end_trials(name, trial_timeout_seconds)
    own = own_family_of(study.definition)
    opener = WorkerSpec(spec, device, precision, own=own)
    return Setup(dataset, opener, name, trial_timeout_seconds, workers, placement)


def own_family_of(definition: Mapping[str, Any]) -> OwnFamily | None:
    """Returns the user's own family of a study, whose code this process may run."""
    recorded = registry.of_definition(definition)
    return registry.known(recorded.name) if recorded else None


def train(
    store: Tracking,
    study: StudyRecord,
    missing: Sequence[tuple[int, int]],
    setup: Setup,
    say: Say,
    warn: Say | None = None,
) -> None:
    """Trains these trials' configurations with these seeds; a failure is a run that says why.

    Raises:
        PipelineError: A worker cannot start.
        StoppedError: The user stopped it once; what trained was trained to its end.
        KeyboardInterrupt: The user stopped it twice; what ended before is kept.
    """
    configs = {trial.number: trial.config for trial in study.trials}
    # Numbered by place: of one trial there are several here.
    trials = [Trial(place, configs[number], seed) for place, (number, seed) in enumerate(missing)]
    settings = cohort_settings(study, setup.trial_timeout_seconds)
    workers = workers_for(
        setup.executor,
        setup.opener.device,
        setup.workers,
        len(trials),
        lambda: work_of(trials, setup.dataset, settings.epochs),
        setup.placement,
    )
    groups = groups_of(trials, setup.dataset, settings.epochs, workers.count)
    summary = DatasetSummary.of(setup.dataset)
    # Workers elsewhere have their own cores.
    here = 1 if executors.find(setup.executor).places else workers.count
    shared = threads([trial.config for trial in trials], data_size(summary), here)
    if workers.told:
        ((warn or say) if workers.fewer else say)(workers.told)
    count = len({number for number, _ in missing})
    examples = len(setup.dataset.validation) + len(setup.dataset.measured)
    kept_bytes = probabilities_bytes(examples, setup.dataset.num_classes)
    megabytes = kept_bytes * len(missing) / 2**20
    say(
        f"training {count} configuration{'s' if count > 1 else ''} again with other seeds, the "
        "finalists and what they are compared with: "
        f"{len(trials)} trainings in {len(groups)} cohort{'s' if len(groups) > 1 else ''} "
        f"(--seeds 1 skips it); their probabilities take {megabytes:,.1f} MB in MLflow"
    )
    log = store.open_finalists(str(study.run_id))
    try:
        opener = replace(setup.opener, num_threads=shared)
        started = executors.start(
            setup.executor,
            opener,
            workers.count,
            setup.placement,
            Voice(say, warn or say),
            workers.variables,
        )
        with started as executor:
            executor.ready()
            if unused := workers.unused_gpus(executor.abouts):
                (warn or say)(unused)
            if setup.executor == LOCAL:
                # While a worker trains, this process has time for what it needs later.
                threading.Thread(target=_preload).start()
            FinalistTraining(executor, settings, log, say, missing, warn).run(groups)
    finally:
        log.close_stale(cause=STOPPED)


def _preload() -> None:
    """Imports what restores models, and what measures importances and draws: seconds each."""
    from pipeline.report.evidence import importance
    from pipeline.report.figures import canvas

    backend.preload()
    importance.preload()
    canvas.preload()


def work_of(trials: Sequence[Trial], dataset: Dataset, epochs: int) -> Work:
    """Returns what workers would do that train these."""
    groups = groups_of(trials, dataset, epochs)
    stacked = max(len(group) for group in groups) > 1
    busy = max(len(groups), len(trials) // LEAST_TOGETHER) if stacked else len(trials)
    configs = [trial.config for trial in trials if not trial.config.is_own]
    return Work(busy, worker_bytes(configs, DatasetSummary.of(dataset)))


def groups_of(
    trials: Sequence[Trial], dataset: Dataset, epochs: int, workers: int = 1
) -> list[list[Trial]]:
    """Returns the trials in groups that train in one program and fit into memory together.

    Args:
        trials: All of them.
        dataset: What they train on.
        epochs: Largest number of epochs.
        workers: Groups that train at once: each gets its part.
    """
    merging = Merging(data_size(DatasetSummary.of(dataset)), epochs)
    groups = []
    for kind in alike(trials, lambda trial: stackable(trial.config)):
        largest = largest_cohort([padded([t.config for t in kind])], dataset, workers)
        largest = min(largest, -(-len(trials) // workers))
        for group in merging.groups(kind, largest):
            groups += in_parts(group, largest)
    return groups


def cohort_settings(study: StudyRecord, trial_timeout_seconds: float | None) -> CohortSettings:
    """Returns epochs, patience, what they look at and the order of examples as in the search."""
    space, seed = study.definition["space"], int(study.definition["seed"])
    return CohortSettings(
        int(space["epochs"]),
        int(space["patience"]),
        seed,
        trial_timeout_seconds,
        study.validation_per_epoch,
        # What is judged is the mean over the seeds of these.
        keep_probabilities=True,
    )


def largest_cohort(configs: Sequence[TrialConfig], dataset: Dataset, workers: int = 1) -> int:
    """Returns how many of these train together at most, as a search sizes its cohorts."""
    from pipeline.training import models
    from pipeline.training.architecture import num_parameters

    if configs[0].is_own:
        return 1
    summary = DatasetSummary.of(dataset)
    shape, data = dataset.input_shape, data_size(summary)
    load = Load(
        step_work=max(step_work(config, data) for config in configs),
        num_parameters=max(num_parameters(models.layers_of(c, shape), shape) for c in configs),
        memory_needs=memory_needs(configs, summary),
        memory=memory_per_worker(workers),
    )
    return automatic(len(configs), 0, load).largest


class FinalistTraining:
    """Trains finalists to their end, and tracks what comes of them.

    Args:
        executor: Where they train, ready.
        settings: What all their cohorts have in common.
        log: Takes what comes of them.
        say: Takes lines for the user.
        keys: Trial number and seed, by the place that numbers a member of a cohort.
        warn: Takes lines that the user has to see; None for ``say``.
    """

    def __init__(
        self,
        executor: Executor,
        settings: CohortSettings,
        log: StudyRun,
        say: Say,
        keys: Sequence[tuple[int, int]],
        warn: Say | None = None,
    ) -> None:
        self._warn = warn or say
        self._cohorts = CohortRunner(executor, settings, self)
        self._log, self._say_line, self._keys = log, say, tuple(keys)
        self._num_ended = 0
        self._estimated = False
        self._said_at = time.monotonic()

    def run(self, groups: Sequence[list[Trial]]) -> None:
        """Trains groups, each in one program; the trainings of one that fails are tried again.

        Raises:
            StoppedError: The user stopped it, and what trained has ended.
        """
        with stopping_softly(self._stop, self._warn):
            self._cohorts.add(groups)
            self._cohorts.start_waiting()
            while self._cohorts.running:
                self._cohorts.wait()
                self._cohorts.start_waiting()
        if self._cohorts.stopping:
            raise StoppedError(
                f"stopped with {self._num_ended} of {len(self._keys)} trainings of finalists "
                "ended; the same command continues"
            )

    def _stop(self) -> None:
        self._cohorts.stopping = True

    def label(self, cohort: Cohort) -> str:
        """Returns what the user calls a cohort."""
        first, count = self._name(cohort.trials[0].number), len(cohort.trials)
        return f"finalists: a cohort of {count}" if count > 1 else first

    def note(self, message: str) -> None:
        """Shows the user a line: that a cohort failed and is tried again."""
        self._warn(message)

    def _say(self, message: str) -> None:
        self._said_at = time.monotonic()
        self._say_line(message)

    def num_to_start(self, group: Sequence[Trial]) -> int:
        """Returns all of them: finalists have no time limit of their own."""
        return len(group)

    def cohort_started(self, cohort: Cohort) -> None:
        """Opens a run in MLflow for every training."""
        for trial in cohort.trials:
            number, seed = self._keys[trial.number]
            tags = {"trial": str(number), "seed": str(seed)}
            self._log.trial_started(trial.number, self._name(trial.number), trial.config, tags)

    def step_timed(self, running: RunningCohort, timing: StepTiming) -> None:
        """Ignores the timing of a step: an epoch's time, scoring included, says more here."""

    def epoch_ended(
        self, running: RunningCohort, report: EpochReport, new: Collection[int]
    ) -> None:
        """Tracks an epoch, and says now and then what trains."""
        self._estimate_once(running.cohort, report)
        for place in new:
            self._log.trial_epochs(place, report.epoch, report.curves[place])
        if time.monotonic() - self._said_at > SAY_SECONDS:
            still = (
                f"{len(report.curves)} training, epoch {report.epoch} of {running.cohort.epochs}"
            )
            self._say(f"finalists: {self._num_ended} of {len(self._keys)} trained, {still}")

    def trials_ended(self, outcomes: Sequence[TrialOutcome]) -> None:
        """Writes the ends of trainings to MLflow."""
        for outcome in outcomes:
            self._track(outcome)

    def event_handled(self, event: Event) -> None:
        """Has nothing to redraw: finalists are reported in lines."""

    def _estimate_once(self, cohort: Cohort, report: EpochReport) -> None:
        """Says once how long all may take, by an epoch after the first, which contains compiling.

        The groups to come are taken to cost per member what this one does.
        """
        if self._estimated or report.epoch < 2:
            return
        self._estimated = True
        left = len(cohort.trials) + sum(len(group) for group in self._cohorts.waiting)
        # Groups that train elsewhere at the moment are not counted: theirs is this one's time.
        rounds = max(left / len(cohort.trials) / self._cohorts.workers, 1)
        seconds = report.seconds * cohort.epochs * rounds
        if seconds > LONG_SECONDS:
            self._say(
                f"the finalists take at most about {duration(seconds)} on this machine; early "
                "stopping usually shortens it, fewer --finalists or --seeds do, too"
            )

    def _track(self, outcome: TrialOutcome) -> None:
        measured = outcome.measurement
        self._log.trial_finished(outcome, keep_weights=True)
        self._num_ended += 1
        result = f"failed: {outcome.cause}"
        if measured is not None:
            result = f"val CE {decimal(measured.val_ce)}, gap {decimal(measured.gap_ce)}"
        tell = self._say if measured is not None else self._warn
        tell(f"{self._name(outcome.number)} ({self._num_ended}/{len(self._keys)}): {result}")

    def _name(self, place: int) -> str:
        number, seed = self._keys[place]
        return f"finalist {number} seed {seed}"
