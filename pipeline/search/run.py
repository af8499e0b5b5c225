"""One command's work on a study: opens Optuna's and MLflow's side, has it searched, closes both.

The only place that knows both stores at once: it checks that they hold the same study, and closes
what an earlier command left open. Imports them, so ``launch`` imports it once workers have begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from pipeline import tracking
from pipeline.datasets import column_lines
from pipeline.errors import (
    InputError,
    PipelineError,
    SpoolError,
    StoppedError,
    StorageError,
    TrackingError,
)
from pipeline.records import Device, StudyRecord
from pipeline.redaction import masked
from pipeline.search.cost import Estimate
from pipeline.search.executors.interface import Executor
from pipeline.search.interrupts import interruptible
from pipeline.search.options import (
    Prepared,
    SearchOptions,
    cohort_sizing,
    data_size,
    opening,
    source,
)
from pipeline.search.progress import View
from pipeline.search.storage import DEFAULT_STORAGE, outbox_folder
from pipeline.search.study import Study, open_study
from pipeline.search.supervisor import Plan, Supervisor
from pipeline.selection.verdicts import reasons
from pipeline.tracking.codec import TOTAL_TAG

LAST_WORDS_SECONDS = 5.0
"""How long a search that was stopped waits for an MLflow that is away."""


def run_to_end(
    options: SearchOptions, prepared: Prepared, view: View, executor: Executor
) -> StudyRecord:
    """Runs the search as ``launch`` does, on a study that no other search has."""
    store = tracking.connect()
    storage = options.storage or DEFAULT_STORAGE
    study = open_study(
        storage, prepared.study, prepared.space, prepared.definition, options.seed, view.note
    )
    folder = outbox_folder(storage, prepared.study, store.tracking_uri)
    if waited := store.deliver_waiting(folder):
        view.note(f"delivered to MLflow what an earlier search had to keep: {waited} entries")
    known = check_known(store, study, options)
    if known and (lost := set(study.ended) - {trial.number for trial in known.trials}):
        view.note(
            f"{len(lost)} trials that ended are not in MLflow at {store.address}: they wait in the "
            "outbox of another machine, folder or address, or their runs were deleted"
        )
    asked_for = {
        "device": options.device,
        "executor": options.executor,
        "storage": masked(storage),
        TOTAL_TAG: str(prepared.space.trials),
    }
    definition = prepared.definition | {"source": source(options)}
    log = store.open_study(prepared.study, prepared.dataset.name, definition, asked_for)
    with log.in_background(folder, view.note), ended(log):
        earlier = caught_up(Sides(store, study, log), known, options, prepared)
        for line in column_lines(prepared.dataset):
            view.note(line)
        view.note(opening(options, prepared, study.num_ended, store.address))
        executor.ready()
        plan = plan_of(options, prepared, executor.about)
        supervisor = Supervisor(plan, study, executor, log, view)
        with interruptible(supervisor, view):
            estimate = Estimate(data_size(prepared.dataset), plan.space.epochs)
            record = searched(supervisor, study, earlier, estimate)
        try:
            log.drain()
        except TrackingError as error:
            if supervisor.interrupted:
                raise StoppedError(f"stopped, and {error}") from error
            raise
        because = reasons(record.trials, supervisor.verdicts, supervisor.reference)
        store.set_verdicts(record, supervisor.verdicts, because)
        if supervisor.interrupted:
            raise StoppedError(
                f"stopped with {study.num_ended} of {plan.trials} trials ended; the same command "
                "continues"
            )
    return record


def searched(
    supervisor: Supervisor, study: Study, earlier: StudyRecord, estimate: Estimate
) -> StudyRecord:
    """Searches; what was asked for and not trained is put back where the storage is sound.

    After a write that failed or was cut short, nothing may be written behind it: a journal's torn
    last record can be mended, one in its middle cannot. The next command puts it back then.
    """
    try:
        record = supervisor.run(earlier, estimate)
    except StorageError:
        raise
    except PipelineError:
        with suppress(StorageError):
            study.put_back()
        raise
    study.put_back()
    return record


@dataclass(frozen=True)
class Sides:
    """Both sides of a study, open: MLflow's store, Optuna's study, what is written of it."""

    store: tracking.Tracking
    study: Study
    log: tracking.StudyRun


@contextmanager
def ended(log: tracking.StudyRun) -> Iterator[None]:
    """Ends the study's run, however the search ends; what stopped it matters more than this."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | StoppedError)
        with suppress(TrackingError, SpoolError):
            log.close_stale(cause="the search stopped while it ran")
            log.study_finished("KILLED" if stopped else "FAILED", patience=LAST_WORDS_SECONDS)
        raise
    log.study_finished()


def caught_up(
    sides: Sides, known: StudyRecord | None, options: SearchOptions, prepared: Prepared
) -> StudyRecord:
    """Describes the study, closes what a killed search left open; returns the study as it is."""
    dataset, log = prepared.dataset, sides.log
    log.log_dataset(
        dataset.split_id, dataset.chance, str(options.dataset), dict(dataset.split_sizes)
    )
    log.log_files({"search_space.yaml": prepared.space.text})
    sides.study.resume(references=options.references)
    closed = (*log.close_stale(sides.study.stale), *log.close_stale())
    # One killed before its first trial may lack its split and chance level until now.
    if known and known.trials and known.run_id == log.run_id and not closed:
        return known
    log.drain()
    return sides.store.read_study(study=prepared.study)


def plan_of(options: SearchOptions, prepared: Prepared, device: Device | None) -> Plan:
    """Returns how the study is run on what its workers train on."""
    chosen = prepared.space if options.references else replace(prepared.space, references=())
    return Plan(
        chosen,
        chosen.trials,
        options.seed,
        cohort_sizing(options, chosen, prepared.dataset, device),
        options.timeout_seconds,
        options.trial_timeout_seconds,
        options.max_failures,
    )


def check_known(
    store: tracking.Tracking, study: Study, options: SearchOptions
) -> StudyRecord | None:
    """Returns the study as MLflow holds it, None for a new one, if both know the same trials.

    Raises:
        InputError: Optuna does not know them: new trials would be written over those of the same
            number. Or MLflow has lost every one: nothing would be left to choose from.
    """
    try:
        known = store.read_study(study=study.name)
    except InputError:
        known = None
    kept = {trial.number for trial in known.trials} if known else set()
    if study.ended and not kept.intersection(study.ended):
        raise InputError(
            f"Optuna's storage {masked(options.storage or DEFAULT_STORAGE)} holds "
            f"{len(study.ended)} ended trials of study '{study.name}' and MLflow at "
            f"{store.address} none of them: set MLFLOW_TRACKING_URI to the earlier store (or "
            "restore its deleted runs) to continue, or give --study NAME to start another study"
        )
    if known is None:
        return None
    unknown = [trial.number for trial in known.trials if trial.number >= study.num_trials]
    if unknown:
        raise InputError(
            f"MLflow holds {len(unknown)} trials of study '{study.name}' that Optuna's storage "
            f"{masked(options.storage or DEFAULT_STORAGE)} does not know: give the --storage of "
            "the earlier searches to continue them, or --study NAME to start another study"
        )
    return known
