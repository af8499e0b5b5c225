"""Trains finalists: configurations of a study once more, with other seeds, on the same split.

In: which trial with which seed. Out: runs in MLflow beside the trials (``tracking.finalist_runs``),
written as each training ends, so that a report that is killed goes on where it was. They train
through the study's own executor, and together where their structures agree; there is no pruning.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.datasets import Dataset, DatasetSummary
from pipeline.formatting import decimal
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
from pipeline.search.cohort_sizing import Load, automatic, by_structure, in_parts, memory_per_worker
from pipeline.search.cost import step_work, threads
from pipeline.search.executors.interface import Event, Executor, Failed, Finished, Progressed
from pipeline.search.options import data_size, memory_needs
from pipeline.training import backend
from pipeline.training.worker import WorkerSpec

if TYPE_CHECKING:
    from pipeline.tracking import StudyRun, Tracking

Say = Callable[[str], None]

SAY_SECONDS = 15.0
"""Seconds between two lines about what is still training."""
LONG_SECONDS = 60.0
"""Finalists that may take longer than this are told beforehand."""
LOCAL = "processes"
WAIT_SECONDS = 0.5
STOPPED = "the report stopped while it ran"


@dataclass(frozen=True)
class Setup:
    """Where finalists train, and on what.

    Attributes:
        dataset: The study's, for its shape; workers load their own.
        opener: Opens up a worker.
        executor: Name of the executor.
    """

    dataset: Dataset
    opener: WorkerSpec
    executor: str = LOCAL


def setup_of(store: Tracking, study: StudyRecord, dataset: Dataset, spec: DatasetSpec) -> Setup:
    """Returns the executor, device and precision with which the study itself was searched.

    A device or an executor of another machine is none of ours: ``auto`` and ``processes`` then.
    """
    run_id = str(study.run_id)
    executor = store.tag(run_id, "executor")
    device = "cpu" if store.tag(run_id, "device") == "cpu" else "auto"
    precision = str(study.definition.get("precision", "float32"))
    name = executor if executor in executors.names() else LOCAL
    data = data_size(DatasetSummary.of(dataset))
    shared = threads([trial.config for trial in study.trials], data)
    return Setup(dataset, WorkerSpec(spec, device, precision, shared), name)


def train(
    store: Tracking,
    study: StudyRecord,
    missing: Sequence[tuple[int, int]],
    setup: Setup,
    say: Say,
) -> None:
    """Trains these trials' configurations with these seeds; a failure is a run that says why.

    Raises:
        PipelineError: A worker cannot start.
        KeyboardInterrupt: The user stopped it; what ended is kept.
    """
    configs = {trial.number: trial.config for trial in study.trials}
    # Numbered by place: of one trial there are several here.
    trials = [Trial(place, configs[number], seed) for place, (number, seed) in enumerate(missing)]
    cohorts = cohorts_of(study, trials, setup.dataset)
    finalists = len({number for number, _ in missing})
    say(
        f"training {finalists} finalist{'s' if finalists > 1 else ''} again with other seeds: "
        f"{len(trials)} trainings in {len(cohorts)} cohort{'s' if len(cohorts) > 1 else ''} "
        "(--seeds 1 skips it)"
    )
    log = store.open_finalists(str(study.run_id))
    try:
        with executors.start(setup.executor, setup.opener, 1) as executor:
            executor.ready()
            if setup.executor == LOCAL:
                # This process restores the model later; while a worker trains, it has time.
                threading.Thread(target=backend.preload).start()
            Rounds(executor, log, say, tuple(missing)).run(cohorts)
    finally:
        log.close_stale(cause=STOPPED)


def cohorts_of(study: StudyRecord, trials: Sequence[Trial], dataset: Dataset) -> list[Cohort]:
    """Returns the trials in cohorts of equal structure, epochs and patience as in the search."""
    space = study.definition["space"]
    parts = [
        part
        for group in by_structure(trials)
        for part in in_parts(group, largest_cohort([trial.config for trial in group], dataset))
    ]
    return [
        Cohort(number, tuple(part), int(space["epochs"]), int(space["patience"]), order_seed(study))
        for number, part in enumerate(parts)
    ]


def order_seed(study: StudyRecord) -> int:
    """Returns the seed of the order of examples, the same as in the search."""
    return int(study.definition["seed"])


def largest_cohort(configs: Sequence[TrialConfig], dataset: Dataset) -> int:
    """Returns how many of these train together at most, as a search sizes its cohorts."""
    from pipeline.training import models
    from pipeline.training.architecture import num_parameters

    summary = DatasetSummary.of(dataset)
    shape, data = dataset.input_shape, data_size(summary)
    load = Load(
        step_work=max(step_work(config, data) for config in configs),
        num_parameters=max(num_parameters(models.layers_of(c, shape), shape) for c in configs),
        memory_needs=memory_needs(configs, summary),
        memory=memory_per_worker(1),
    )
    return automatic(len(configs), 0, load).largest


@dataclass
class Rounds:
    """Runs cohorts of finalists to their end, one after the other.

    Attributes:
        executor: Where they train, ready.
        log: Takes what comes of them.
        say: Takes lines for the user.
        keys: Trial number and seed, by the place that numbers a member of a cohort.
    """

    executor: Executor
    log: StudyRun
    say: Say
    keys: tuple[tuple[int, int], ...]
    waiting: deque[Cohort] = field(default_factory=deque)
    running: Cohort | None = None
    epochs: dict[int, int] = field(default_factory=dict)
    ended: int = 0
    foretold: bool = False
    said_at: float = field(default_factory=time.monotonic)

    def run(self, cohorts: Sequence[Cohort]) -> None:
        """Trains them; those of a cohort that fails are tried again one by one."""
        self.waiting.extend(cohorts)
        while self.waiting:
            self.running = self.waiting.popleft()
            for trial in self.running.trials:
                self._start(trial)
            self.executor.submit(self.running.number, self.running)
            while self.running is not None:
                self.executor.wait(self._handle, WAIT_SECONDS)

    def _start(self, trial: Trial) -> None:
        number, seed = self.keys[trial.number]
        tags = {"trial": str(number), "finalist_of": str(number), "seed": str(seed)}
        self.log.trial_started(trial.number, self._name(trial.number), trial.config, tags)

    def _handle(self, event: Event) -> None:
        cohort = self.running
        if cohort is None:
            return
        if isinstance(event, Progressed):
            self._progressed(cohort, event.data)
            return
        self.running = None
        if isinstance(event, Finished):
            for outcome in event.result:
                self._end(outcome)
        else:
            self._failed(cohort, event)

    def _progressed(self, cohort: Cohort, data: EpochReport | StepTiming) -> None:
        if isinstance(data, StepTiming):
            return
        self._foretell(cohort, data)
        for place, curves in data.curves.items():
            # Those of a member that is tried again are known already.
            if data.epoch > self.epochs.get(place, 0):
                self.epochs[place] = data.epoch
                self.log.trial_epochs(place, data.epoch, curves)
        if time.monotonic() - self.said_at > SAY_SECONDS:
            still = f"{len(data.curves)} training, epoch {data.epoch} of {cohort.epochs}"
            self._say(f"finalists: {self.ended} of {len(self.keys)} trained, {still}")

    def _foretell(self, cohort: Cohort, report: EpochReport) -> None:
        """Says once how long all may take, by an epoch after the first, which contains compiling.

        The cohorts to come are taken to cost per member what this one does.
        """
        from pipeline.search.cost import spoken

        if self.foretold or report.epoch < 2:
            return
        self.foretold = True
        left = sum(len(one.trials) for one in (cohort, *self.waiting))
        seconds = report.seconds * cohort.epochs * left / len(cohort.trials)
        if seconds > LONG_SECONDS:
            self._say(
                f"the finalists take at most about {spoken(seconds)} on this machine; early "
                "stopping usually shortens it, fewer --finalists or --seeds do, too"
            )

    def _failed(self, cohort: Cohort, event: Failed) -> None:
        if len(cohort.trials) == 1:
            self._end(TrialOutcome(cohort.trials[0].number, "FAIL", cause=event.cause))
            return
        self._say(f"finalists: a cohort failed ({event.cause}); they are tried one by one")
        alone = [
            Cohort(cohort.number, (trial,), cohort.epochs, cohort.patience, cohort.order_seed)
            for trial in cohort.trials
        ]
        self.waiting.extendleft(reversed(alone))

    def _end(self, outcome: TrialOutcome) -> None:
        place, measured = outcome.number, outcome.measurement
        self.log.trial_finished(outcome, keep_weights=True)
        self.ended += 1
        told = f"failed: {outcome.cause}"
        if measured is not None:
            told = f"val CE {decimal(measured.val_ce)}, gap {decimal(measured.gap_ce)}"
        self._say(f"{self._name(place)} ({self.ended}/{len(self.keys)}): {told}")

    def _name(self, place: int) -> str:
        number, seed = self.keys[place]
        return f"finalist {number} seed {seed}"

    def _say(self, line: str) -> None:
        self.said_at = time.monotonic()
        self.say(line)
