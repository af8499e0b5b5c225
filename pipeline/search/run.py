"""Does one command's work on a study: starts the workers, opens both stores, searches, closes.

In: what ``options`` made of the user's wishes. Out: the study with all its trials. This is the only
place that knows Optuna's and MLflow's side at once: it checks that they hold the same study, and
closes what an earlier command left open.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.datasets import column_lines, data_notes, finding_lines
from pipeline.errors import InputError, PipelineError, StoppedError, StorageError
from pipeline.records import StudyRecord
from pipeline.redaction import masked
from pipeline.search import executors
from pipeline.search.closing import deliver, end_search, run_closed, undelivered
from pipeline.search.cost import Estimate
from pipeline.search.disk import check_disk
from pipeline.search.executors.interface import Executor, Voice
from pipeline.search.foreseen import num_finalist_trainings, remember
from pipeline.search.interrupts import signals_end_it, stopping_softly
from pipeline.search.opening import first_line, scoring_lines, study_params, too_few_to_search
from pipeline.search.options import (
    Prepared,
    SearchOptions,
    data_size,
    source_of,
    trained_space,
    typical_trials,
    worker_spec,
)
from pipeline.search.plan import plan_of
from pipeline.search.progress import View
from pipeline.search.storage import (
    DEFAULT_STORAGE,
    is_shared,
    outbox_folder,
    outboxes,
    own_outbox,
    several_may_search,
)
from pipeline.search.study_lock import study_locked
from pipeline.search.workers import Workers, smallest, staffed
from pipeline.tracking.address import tracking_address
from pipeline.tracking.codec import TOTAL_TAG
from pipeline.tracking.data_notes import DATA_FILE, as_text

if TYPE_CHECKING:
    from pipeline.search.study import Study
    from pipeline.search.supervisor import Supervisor
    from pipeline.tracking import StudyRun, Tracking

Check = Callable[["Tracking"], None]
"""Looks at MLflow's store before the first trial; raises what is to end the search there."""


def run_search(
    options: SearchOptions, prepared: Prepared, view: View, check: Check | None = None
) -> StudyRecord:
    """Runs the search to its end; running it again continues the study.

    Args:
        options: What was asked for.
        prepared: What is searched.
        view: What the user sees.
        check: What else has to hold before the first trial.

    Raises:
        InputError: Another search on this host runs the study.
        PipelineError: It cannot start, or cannot go on.
        StoppedError: It was interrupted once, and stopped in good order.
        KeyboardInterrupt: It was interrupted twice; what ended before is kept.
    """
    options, workers = staffed(options, prepared)
    if workers.told:
        (view.warn if workers.fewer else view.note)(workers.told)
    addresses = (tracking_address(), options.storage or DEFAULT_STORAGE)
    typical = typical_trials(trained_space(options, prepared.space))
    trainings = num_finalist_trainings(options.seeds, options.finalists, typical)
    check_disk(prepared.space, prepared.dataset, folders_of(addresses), trainings)
    spec = worker_spec(options, prepared)
    with (
        study_locked(prepared.study, addresses, shared=several_may_search(addresses[1])),
        signals_end_it(),
        executors.start(
            options.executor,
            spec,
            workers.count,
            options.placement,
            Voice(view.note, view.warn),
            workers.variables,
        ) as executor,
    ):
        # Workers import Keras and load the data while this process imports MLflow and Optuna.
        session = open_session(options, prepared, view, workers)
        if check is not None:
            check(session.store)
        with session.study.held(shared=is_shared(session.storage)):
            return search_to_end(session, executor)


def folders_of(addresses: Iterable[str]) -> set[Path]:
    """Returns the folders on this machine in which a store keeps its files."""
    paths = (address.removeprefix("sqlite:///") for address in addresses)
    return {Path(path).absolute().parent for path in paths if "://" not in path}


@dataclass(frozen=True)
class Session:
    """A search with both stores open.

    Attributes:
        options: What was asked for.
        prepared: What is searched.
        view: What the user sees.
        store: MLflow's side.
        study: Optuna's side.
        workers: What trains.
    """

    options: SearchOptions
    prepared: Prepared
    view: View
    store: Tracking
    study: Study
    workers: Workers

    @property
    def storage(self) -> str:
        """Optuna's storage; its address may hold a password."""
        return self.options.storage or DEFAULT_STORAGE


def open_session(
    options: SearchOptions, prepared: Prepared, view: View, workers: Workers
) -> Session:
    """Opens MLflow's store and Optuna's study; imports both libraries."""
    from pipeline import tracking
    from pipeline.search.shared_study import open_shared_study
    from pipeline.search.study import open_study

    store = tracking.connect()
    if store.moved_from is not None:
        view.warn(store.moved_note)
    storage = options.storage or DEFAULT_STORAGE
    space, definition = prepared.space, prepared.definition
    opened = open_shared_study if several_may_search(storage) else open_study
    study = opened(storage, prepared.study, space, definition, options.seed, view.warn)
    prepared = replace(prepared, definition=study.as_begun(definition))
    return Session(options, prepared, view, store, study, workers)


def search_to_end(session: Session, executor: Executor) -> StudyRecord:
    """Searches, waits until MLflow has everything, and tags the verdicts."""
    from pipeline.search.supervisor import Supervisor

    options, prepared, view = session.options, session.prepared, session.view
    study, store = session.study, session.store
    with ExitStack() as opened:
        # Of searches that share the study one at a time: they are to find one run, and what one of
        # them left behind is delivered once.
        opening = opened.enter_context(ExitStack())
        opening.enter_context(study.opening())
        folder = deliver_earlier(session)
        known = study_in_mlflow(session)
        run = open_run(session)
        opened.enter_context(run.in_background(folder, view.warn))
        opened.enter_context(run_closed(run, study))
        closed = resume(session, run)
        opening.close()
        earlier = study_as_it_is(session, run, known, closed)
        for line in prepared.notes:
            view.warn(line)
        for line in column_lines(prepared.dataset):
            view.note(line)
        for line in finding_lines(prepared.dataset):
            view.warn(line)
        view.note(first_line(options, prepared, study.num_ended, store.address))
        for line in too_few_to_search(options, prepared.space):
            view.warn(line)
        for line in scoring_lines(prepared):
            view.note(line)
        if others := study.about_others:
            view.note(others)
        executor.ready()
        device = smallest(executor.abouts)
        view.detail(used_versions(device.name if device else "an unknown device"))
        if unused := session.workers.unused_gpus(executor.abouts):
            view.warn(unused)
        plan = plan_of(options, prepared, device, executor.host)
        estimate = Estimate(data_size(prepared.dataset), plan.space.epochs)
        supervisor = Supervisor(plan, study, executor, run, view, earlier, estimate)
        with stopping_softly(supervisor.stop_by_user, view.warn):
            record = search_and_return_unfinished(supervisor, study)
        remember(estimate, device.name if device else "cpu")
        deliver(run, supervisor)
        record = end_search(store, study, run, supervisor, record)
        if supervisor.interrupted:
            raise StoppedError(
                f"stopped with {study.num_ended} of {plan.trials} trials ended; the same command "
                "continues"
            )
    return record


def used_versions(device: str) -> str:
    """Returns what trains, and the versions of what decides numbers, in a line."""
    names = ("keras", os.environ.get("KERAS_BACKEND") or "tensorflow", "optuna", "mlflow", "numpy")
    versions = []
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    return f"trains on {device}; Python {platform.python_version()}, {', '.join(versions)}"


def open_run(session: Session) -> StudyRun:
    """Opens the study's run in MLflow, tagged with how it is searched."""
    prepared, options = session.prepared, session.options
    tags = {
        "device": options.device,
        "executor": options.executor,
        "storage": masked(session.storage),
        TOTAL_TAG: str(prepared.space.trials),
    }
    definition = prepared.definition | {"source": source_of(options)}
    params = study_params(options, prepared)
    shared = session.study.shared
    run = session.store.open_study(
        prepared.study, prepared.dataset.name, definition, tags, params, shared=shared
    )
    session.study.written_to(run.run_id)
    return run


def deliver_earlier(session: Session) -> Path:
    """Delivers what earlier searches had to keep; returns the folder in which this one keeps it."""
    from pipeline.tracking.client import request_limits
    from pipeline.tracking.delivery.sender import ANSWER_SECONDS

    study, store = session.study, session.store
    folder = outbox_folder(session.storage, session.prepared.study, store.tracking_uri)
    # Who is dead is marked as such before: one that only seemed so writes no more into its folder.
    folders = outboxes(folder, study.take_over()) if study.shared else [folder]
    # Others that open or leave the study wait for this one.
    limits = request_limits(retries=1, timeout_seconds=ANSWER_SECONDS)
    with limits if study.shared else nullcontext():
        waited = sum(store.deliver_waiting(each) for each in folders)
    if waited:
        session.view.note(
            f"delivered to MLflow what an earlier search had to keep: {waited} entries"
        )
    return own_outbox(folder, study.token) if study.shared else folder


def search_and_return_unfinished(supervisor: Supervisor, study: Study) -> StudyRecord:
    """Searches; what was asked for and not trained goes back where the storage is sound.

    After a write that failed or was cut short, nothing may be written behind it: a journal's torn
    last record can be mended, one in its middle cannot. The next command puts it back then.
    """
    try:
        record = supervisor.run()
    except StorageError:
        raise
    except PipelineError:
        with suppress(PipelineError):
            study.return_unfinished()
        raise
    study.return_unfinished()
    return record


def resume(session: Session, run: StudyRun) -> list[int]:
    """Describes the study and closes what a killed search left open; returns which trials."""
    dataset, options = session.prepared.dataset, session.options
    run.log_dataset(
        dataset.split_id, dataset.chance, str(options.dataset), dict(dataset.split_sizes)
    )
    notes = as_text(data_notes(dataset))
    files: dict[str, str | bytes] = {
        "search_space.yaml": session.prepared.space.text,
        DATA_FILE: notes,
    }
    if (own := session.prepared.own) is not None:
        files |= own.contents()  # copies for the reader; they are never run
    run.log_files(files)
    study = session.study
    if study.shared and not study.living and (lost := undelivered(study, run)):
        session.view.warn(
            f"{len(lost)} trials are trained again: the search that trained them died before it "
            "delivered their results, and they are not on this machine"
        )
        study.train_again(lost)
    study.resume(references=options.references)
    return [*run.close_stale(study.stale), *run.close_stale()]


def study_as_it_is(
    session: Session, run: StudyRun, known: StudyRecord | None, closed: Sequence[int]
) -> StudyRecord:
    """Returns the study as MLflow has it before this search trains.

    Args:
        session: The search.
        run: The study's run.
        known: The study as it was read before.
        closed: Trials that were closed since.
    """
    # One killed before its first trial may lack its split and chance level until now.
    if known and known.trials and known.run_id == run.run_id and not closed:
        return known
    run.drain()
    return session.store.read_study(study=session.prepared.study)


def study_in_mlflow(session: Session) -> StudyRecord | None:
    """Returns the study as MLflow holds it, None for a new one, if both know the same trials.

    Raises:
        InputError: Optuna does not know them: new trials would be written over those of the same
            number. Or MLflow has lost every one: nothing would be left to choose from.
    """
    store, study = session.store, session.study
    if study.shared:
        study.agree_on(store.study_run_id(study.name), store.address)
    if study.living:
        return None  # What they trained may still be on its way to MLflow.
    storage = masked(session.storage)
    try:
        known = store.read_study(study=study.name)
    except InputError:
        known = None
    kept = {trial.number for trial in known.trials} if known else set()
    if study.ended and not kept.intersection(study.ended):
        raise InputError(
            f"Optuna's storage {storage} holds "
            f"{len(study.ended)} ended trials of study '{study.name}' and MLflow at "
            f"{store.address} none of them: set MLFLOW_TRACKING_URI to the earlier store (or "
            "restore its deleted runs) to continue, or give --study NAME to start another study"
        )
    if known is None:
        return None
    if lost := set(study.ended) - kept:
        session.view.warn(
            f"{len(lost)} trials that ended are not in MLflow at {store.address}: they wait in the "
            "outbox of another machine, folder or address, or their runs were deleted"
        )
    unknown = [trial.number for trial in known.trials if trial.number >= study.num_trials]
    if unknown:
        raise InputError(
            f"MLflow holds {len(unknown)} trials of study '{study.name}' that Optuna's storage "
            f"{storage} does not know: give the --storage of "
            "the earlier searches to continue them, or --study NAME to start another study"
        )
    return known
