"""Puts a search together from what the user asked for, runs it, and ends it in good order.

In: :class:`SearchOptions`. It loads the dataset (for its split; workers load their own), the search
space, the study, the tracking store and the executor, and hands them to the supervisor.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from pipeline import datasets, tracking
from pipeline.datasets.outline import Outline, outline
from pipeline.errors import InputError, StoppedError
from pipeline.records import DatasetSpec, StudyRecord
from pipeline.report.verdicts import reasons
from pipeline.search import executors, space
from pipeline.search.cohorts import Load, Sizing, automatic, fixed
from pipeline.search.estimate import DataSize, Estimate, step_work, typical_configs
from pipeline.search.executors.interface import Executor
from pipeline.search.failures import MAX_FAILURES
from pipeline.search.progress import View
from pipeline.search.single import alone
from pipeline.search.space import SearchSpace
from pipeline.search.storage import DEFAULT_STORAGE, masked
from pipeline.search.study import Study, open_study
from pipeline.search.supervisor import Plan, Supervisor
from pipeline.tracking.connection import resolve_uri
from pipeline.tracking.spelling import TOTAL_TAG
from pipeline.training import models
from pipeline.training.architecture import num_parameters
from pipeline.training.workshop import WorkshopSpec


@dataclass(frozen=True)
class SearchOptions:
    """What ``pipeline search`` was asked for; None means as the search space says.

    Attributes:
        dataset: Name or path.
        search_space: Name or path of a search space; None for the dataset's own.
        data_dir: Folder with official files.
        trials: The study's total.
        timeout_seconds: No trial starts after this.
        trial_timeout_seconds: Longest wall time of a trial.
        max_failures: So many failures of one kind in a row stop the study.
        epochs: Largest number of epochs.
        train_examples: Training examples used.
        seed: Seed of split, sampler, initial weights, masks and order.
        study: Name; None for the dataset's.
        storage: Optuna's storage.
        references: Whether reference configurations run along.
        executor: Name of the executor.
        workers: Number of workers.
        cohort_size: Most trials trained together; None for what suits the study.
        device: ``auto``, ``cpu`` or ``gpu``.
        precision: ``float32`` or ``mixed_bfloat16``.
    """

    dataset: str = "digits"
    search_space: str | None = None
    data_dir: Path | None = None
    trials: int | None = None
    timeout_seconds: float | None = None
    trial_timeout_seconds: float | None = None
    max_failures: int = MAX_FAILURES
    epochs: int | None = None
    train_examples: int | None = None
    seed: int = 0
    study: str | None = None
    storage: str | None = None
    references: bool = True
    executor: str = "processes"
    workers: int = 1
    cohort_size: int | None = None
    device: str = "auto"
    precision: str = "float32"

    @property
    def spec(self) -> DatasetSpec:
        """How the dataset is loaded, here and in every worker."""
        return DatasetSpec(self.dataset, self.data_dir, self.seed, self.train_examples)


@dataclass(frozen=True)
class Prepared:
    """A search that could start: its dataset, its space and its study's name and definition."""

    dataset: Outline
    space: SearchSpace
    study: str
    definition: dict[str, Any]


def prepare(options: SearchOptions) -> Prepared:
    """Loads and checks what a search needs; nothing is written.

    Raises:
        InputError: Dataset, search space or an option cannot be used.
    """
    if not executors.find(options.executor).ends_jobs and options.trial_timeout_seconds:
        raise InputError(
            f"--trial-timeout: --executor {options.executor} trains in this process and cannot end "
            "a trial; use --executor processes, or leave the limit out"
        )
    dataset = outline(options.spec)
    chosen = choose_space(options, dataset)
    changed: dict[str, Any] = {}
    if options.epochs is not None:
        changed["epochs"] = options.epochs
    if options.trials is not None:
        changed["trials"] = options.trials
    chosen = replace(chosen, **changed)
    check_fit(chosen, dataset)
    definition = {
        "dataset": dataset.name,
        "split_id": dataset.split_id,
        "seed": options.seed,
        "train_examples": options.train_examples,
        "precision": options.precision,
        "space": chosen.definition(),
    }
    return Prepared(dataset, chosen, options.study or dataset.name, definition)


def choose_space(options: SearchOptions, dataset: Outline) -> SearchSpace:
    """Returns the search space asked for, the dataset's own, or the default for its kind."""
    if options.search_space is not None:
        return space.load(options.search_space)
    if not datasets.is_path(options.dataset) and dataset.name in space.names():
        return space.load(dataset.name)
    return space.default_for(dataset.kind, dataset.input_shape)


def check_fit(chosen: SearchSpace, dataset: Outline) -> None:
    """Checks that networks of this space and every reference fit the inputs.

    Raises:
        InputError: One does not; the message says which and why.
    """
    configs = {f"depth {config.depth}": config for config in typical_configs(chosen)}
    configs |= {f"reference '{entry.name}'": entry.config for entry in chosen.references}
    for what, config in configs.items():
        try:
            num_parameters(models.layers_of(config, dataset.input_shape), dataset.input_shape)
        except InputError as error:
            raise InputError(
                f"{chosen.path}: {what} does not fit {dataset.name} (inputs of shape "
                f"{list(dataset.input_shape)}): {error}"
            ) from error


def launch(options: SearchOptions, prepared: Prepared, view: View) -> StudyRecord:
    """Runs the search to its end; running it again continues the study.

    Raises:
        InputError: Another search on this host runs the study.
        PipelineError: It cannot start, or cannot go on.
        StoppedError: It was interrupted once, and stopped in good order.
        KeyboardInterrupt: It was interrupted twice; what ended before is kept.
    """
    opener = WorkshopSpec(options.spec, options.device, options.precision, threads(options.workers))
    with (
        alone(prepared.study, (resolve_uri(None), options.storage or DEFAULT_STORAGE)),
        terminable(),
        # First of all: workers import Keras and load the data while this process opens its stores.
        executors.start(options.executor, opener, options.workers) as executor,
    ):
        return run_to_end(options, prepared, view, executor)


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


def plan_lines(options: SearchOptions, prepared: Prepared) -> list[str]:
    """Returns what a search would do, for ``--dry-run``."""
    chosen, dataset = prepared.space, prepared.dataset
    sizes = ", ".join(f"{part} {size:,}" for part, size in dataset.split_sizes.items())
    rows = [f"  {row.name}: {row.values}" for row in chosen.grid() if row.role == "searched"]
    names = [entry.name for entry in chosen.references] if options.references else []
    return [
        f"study: {prepared.study}",
        f"dataset: {dataset.name} ({sizes}), split {dataset.split_id}",
        f"search space: {chosen.path}",
        *rows,
        f"references, trained first: {', '.join(names) or 'none'}",
        f"trials: {chosen.trials} of at most {chosen.epochs} epochs, patience {chosen.patience}",
        f"executor: {options.executor}, {options.workers} worker(s), device {options.device}, "
        f"{options.precision}",
        "dry run: nothing was trained or written",
    ]


def data_size(dataset: Outline) -> DataSize:
    """Returns what a trial's cost depends on."""
    sizes = dataset.split_sizes
    return DataSize(dataset.row_size, sizes["train"], sizes["validation"])


def cohort_sizing(options: SearchOptions, chosen: SearchSpace, dataset: Outline) -> Sizing:
    """Returns how many trials are asked for at once: as asked, or what suits the study."""
    if options.cohort_size is not None:
        return fixed(options.cohort_size)
    configs, data = typical_configs(chosen), data_size(dataset)
    layers = [models.layers_of(config, dataset.input_shape) for config in configs]
    load = Load(
        step_work=float(np.mean([step_work(config, data) for config in configs])),
        num_parameters=max(num_parameters(hidden, dataset.input_shape) for hidden in layers),
    )
    return automatic(chosen.trials, len(chosen.references), load)


def source(options: SearchOptions) -> str:
    """Returns what the dataset was loaded from: a name, or the absolute path of the user's file."""
    return (
        str(Path(options.dataset).resolve())
        if datasets.is_path(options.dataset)
        else (options.dataset)
    )


def threads(workers: int) -> int | None:
    """Returns the CPU threads of each worker: None (one per core) for one, else its share."""
    return None if workers == 1 else max((os.cpu_count() or 1) // workers, 1)


def opening(options: SearchOptions, prepared: Prepared, ended: int, address: str) -> str:
    """Returns the first line of a search: what it does and where it writes."""
    sizes = prepared.dataset.split_sizes
    again = f", {ended} of them done" if ended else ""
    return (
        f"study '{prepared.study}': {prepared.space.trials} trials{again} on "
        f"{prepared.dataset.name} ({sizes['train']:,} training and {sizes['validation']:,} "
        f"validation examples; {sizes['test']:,} test examples sealed); MLflow: {address}; "
        f"Optuna: {masked(options.storage or DEFAULT_STORAGE)}"
    )


@contextmanager
def terminable() -> Iterator[None]:
    """Lets SIGTERM end what was begun in order, as Ctrl-C does, while nothing trains yet."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interruptible(supervisor: Supervisor, view: View) -> Iterator[None]:
    """Lets the first Ctrl-C or SIGTERM stop after what is running, and the second at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if supervisor.interrupted:
            raise KeyboardInterrupt
        supervisor.interrupted = supervisor.stopping = True
        view.note(
            "stopping: what is training is finished first, nothing new is started; once more to "
            "stop at once (the same command continues later, either way)"
        )

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
