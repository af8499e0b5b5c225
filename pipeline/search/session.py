"""One command's work on a study: opens Optuna's and MLflow's side, has it searched, closes both.

The only place that knows both stores at once: it checks that they hold the same study, and closes
what an earlier command left open. Imports them, so ``launch`` imports it once workers have begun.
"""

from __future__ import annotations

from dataclasses import replace

from pipeline import tracking
from pipeline.addresses import masked
from pipeline.errors import InputError, StoppedError
from pipeline.records import StudyRecord
from pipeline.report.verdicts import reasons
from pipeline.search.estimate import Estimate
from pipeline.search.executors.interface import Executor
from pipeline.search.interrupts import interruptible
from pipeline.search.preparation import (
    Prepared,
    SearchOptions,
    cohort_sizing,
    data_size,
    opening,
    source,
)
from pipeline.search.progress import View
from pipeline.search.storage import DEFAULT_STORAGE
from pipeline.search.study import Study, open_study
from pipeline.search.supervisor import Plan, Supervisor
from pipeline.tracking.spelling import TOTAL_TAG


def run_to_end(
    options: SearchOptions, prepared: Prepared, view: View, executor: Executor
) -> StudyRecord:
    """Runs the search as :func:`launch` does, on a study that no other search has."""
    chosen, dataset = prepared.space, prepared.dataset
    store = tracking.connect()
    study = open_study(options.storage, prepared.study, chosen, prepared.definition, options.seed)
    known = check_known(store, study, options)
    asked_for = {
        "device": options.device,
        "executor": options.executor,
        "storage": masked(options.storage or DEFAULT_STORAGE),
        TOTAL_TAG: str(chosen.trials),
    }
    log = store.open_study(
        prepared.study, dataset.name, prepared.definition | {"source": source(options)}, asked_for
    )
    status = "FAILED"
    try:
        log.log_dataset(
            dataset.split_id, dataset.chance, str(options.dataset), dict(dataset.split_sizes)
        )
        log.log_files({"search_space.yaml": chosen.text})
        study.resume(references=options.references)
        closed = (*log.close_stale(study.stale), *log.close_stale())
        size = data_size(dataset)
        if not options.references:
            chosen = replace(chosen, references=())
        sizing = cohort_sizing(options, chosen, dataset)
        plan = Plan(
            chosen,
            chosen.trials,
            options.seed,
            sizing,
            options.timeout_seconds,
            options.trial_timeout_seconds,
            options.max_failures,
        )
        # One killed before its first trial may lack its split and chance level until now.
        unchanged = known and known.trials and known.run_id == log.run_id and not closed
        earlier = known if known and unchanged else store.read_study(study=prepared.study)
        view.note(opening(options, prepared, study.num_ended, store.address))
        executor.ready()
        supervisor = Supervisor(plan, study, executor, log, view)
        with interruptible(supervisor, view):
            record = supervisor.run(earlier, Estimate(size, chosen.epochs))
        because = reasons(record.trials, supervisor.verdicts, supervisor.reference)
        store.set_verdicts(record, supervisor.verdicts, because)
        status = "KILLED" if supervisor.interrupted else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        # Optuna's side of them is closed, and they are enqueued again, when the study continues.
        log.close_stale(cause="the search stopped while it ran")
        log.study_finished(status)
    if supervisor.interrupted:
        raise StoppedError(
            f"stopped with {study.num_ended} of {chosen.trials} trials ended; the same command "
            "continues"
        )
    return record


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
