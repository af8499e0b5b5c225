"""Prepares what a search needs before anything is written: its dataset, its space, its definition.

In: :class:`SearchOptions`. Out: :class:`Prepared`. Neither Optuna nor MLflow is imported for it, so
that a mistake in an option is found in a second, and workers start before the two are.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import datasets
from pipeline.datasets import DatasetSummary, summarize
from pipeline.datasets.findings import KEEPING
from pipeline.datasets.limits import available_bytes
from pipeline.datasets.summary import check_backend
from pipeline.errors import InputError
from pipeline.records import DataOptions, DatasetSpec, TrialConfig
from pipeline.search import executors
from pipeline.search.cost import DataSize, threads, typical_configs
from pipeline.search.executors.interface import Placement
from pipeline.search.own_family import beside, tried_out
from pipeline.search.retries import MAX_FAILURES
from pipeline.search.space import space
from pipeline.search.space.points import num_points, num_trials
from pipeline.search.space.sequences import grid_of
from pipeline.search.space.space import SearchSpace
from pipeline.search.trial_memory import check_each_fits, may_use_gpu
from pipeline.selection.records import FINALISTS, SEEDS
from pipeline.training import models, techniques
from pipeline.training.architecture import num_parameters
from pipeline.training.own.registry import KEY as OWN_KEY
from pipeline.training.own.registry import OwnFamily, family_of
from pipeline.training.scoring import validation_per_epoch
from pipeline.training.worker import WorkerSpec

MAX_NAME_LENGTH = 250
"""Characters; Optuna's databases keep 512 bytes."""


@dataclass(frozen=True)
class SearchOptions:
    """What ``pipeline search`` was asked for; None means as the search space says.

    Attributes:
        dataset: Name or path.
        search_space: Name or path of a search space; None for the dataset's own.
        family: File and function of the user's own model; None for families of ours.
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
        sampler: What suggests trials.
        pruner: What stops trials early.
        executor: Name of the executor.
        workers: Number of workers.
        auto_workers: Whether ``search.workers`` chooses their number.
        workers_per_gpu: How many of them share a GPU's memory; None for all.
        ray_address: Address of a Ray cluster; None for ``RAY_ADDRESS``, else a local instance.
        cpus_per_worker: Processors of a worker on it.
        gpus_per_worker: GPUs of a worker on it.
        cohort_size: Most trials trained together; None for what suits the study.
        device: ``auto``, ``cpu`` or ``gpu``.
        precision: ``float32`` or ``mixed_bfloat16``.
        seeds: Seeds per finalist of the report that follows, for the time that is told.
        finalists: Its finalists, for the same.
        data: How the user's own data are read and split.
    """

    dataset: str = "digits"
    search_space: str | None = None
    family: str | None = None
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
    sampler: str | None = None
    pruner: str | None = None
    executor: str = "processes"
    workers: int = 1
    auto_workers: bool = False
    workers_per_gpu: int | None = None
    ray_address: str | None = None
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None
    cohort_size: int | None = None
    device: str = "auto"
    precision: str = "float32"
    seeds: int = SEEDS
    finalists: int = FINALISTS
    data: DataOptions = field(default_factory=DataOptions)

    @property
    def spec(self) -> DatasetSpec:
        """How the dataset is loaded, here and in every worker."""
        where = (self.dataset, self.data_dir)
        return DatasetSpec(*where, self.seed, self.train_examples, self.data)

    @property
    def placement(self) -> Placement:
        """Where workers are placed, for executors that use several machines."""
        asked = (self.ray_address, self.cpus_per_worker, self.gpus_per_worker)
        return Placement(*asked, self.device)


@dataclass(frozen=True)
class Prepared:
    """A search that could start: its dataset, its space and its study's name and definition.

    Attributes:
        notes: Lines for the user on what is done otherwise than asked.
        own: The user's own family; None for families of ours.
    """

    dataset: DatasetSummary
    space: SearchSpace
    study: str
    definition: dict[str, Any]
    notes: tuple[str, ...] = ()
    own: OwnFamily | None = None


def prepare(options: SearchOptions) -> Prepared:
    """Loads and checks what a search needs; nothing is written.

    Raises:
        InputError: Dataset, search space or an option cannot be used.
    """
    executor = executors.check(options.executor, options.placement)
    check_can_end_trials(options.executor, options.trial_timeout_seconds)
    dataset = summarize(options.spec)
    own = None if options.family is None else family_of(options.family)
    chosen = choose_space(options, dataset, own)
    changed: dict[str, Any] = {}
    for name in ("trials", "epochs", "sampler", "pruner"):
        if getattr(options, name) is not None:
            changed[name] = getattr(options, name)
    chosen = replace(chosen, **changed)
    check_epochs(chosen)
    check_backend(dataset.raw_columns, os.environ.get("KERAS_BACKEND") or "tensorflow")
    check_fit(chosen, dataset)
    chosen, notes = within_points(chosen, options.references)
    if own is not None:
        own, said = tried_out(options.cohort_size, chosen, dataset)
        notes = (*notes, *said)
    elif not (executor.places or may_use_gpu(options.device)):
        # Else its memory is known when a worker has opened.
        check_trials_fit(options, chosen, dataset, available_bytes() / options.workers)
    definition = {
        "dataset": dataset.name,
        "split_id": dataset.split_id,
        "seed": options.seed,
        "train_examples": options.train_examples,
        "precision": options.precision,
        "space": chosen.definition(),
    }
    if own is not None:
        definition[OWN_KEY] = own.as_definition()
    # What is only not told changes no trial: the study goes on.
    keeping = tuple(code for code in options.data.ignore if code in KEEPING)
    if given := replace(options.data, ignore=keeping).given():
        # Only where given, so that studies of other data keep the definition that they have.
        definition["data"] = json.loads(json.dumps(given))
    sizes = dataset.split_sizes
    if part := validation_per_epoch(sizes["train"], sizes["validation"]):
        definition["validation_per_epoch"] = part  # only where it is not the whole, as before
    study = options.study or dataset.name
    check_name(study)
    return Prepared(dataset, chosen, study, definition, notes, own)


def check_epochs(chosen: SearchSpace) -> None:
    """Checks that ``--epochs`` leaves trials the epochs that they have of their own.

    Raises:
        InputError: It does not.
    """
    if (most := chosen.largest("epochs")) > chosen.epochs:
        raise InputError(
            f"--epochs {chosen.epochs}: {chosen.path} gives trials up to {most} epochs of their "
            f"own; give --epochs {most} or more, or a search space with fewer"
        )


def within_points(chosen: SearchSpace, references: bool) -> tuple[SearchSpace, tuple[str, ...]]:
    """Returns the space with no more trials than it has points to train, and what to say of it."""
    counted = grid_of(chosen) if chosen.sampler == "grid" else chosen
    most = num_trials(counted, references)
    if chosen.trials <= most:
        return chosen, ()
    outside = int(most - num_points(counted))
    beside = f" and {outside} references beside them" if outside else ""
    what = "the grid of " * (counted is not chosen) + str(chosen.path)
    told = (
        f"{what} has {most - outside:.0f} different points{beside}: {most:.0f} trials are"
        f" trained instead of {chosen.trials}, each point once"
    )
    return replace(chosen, trials=int(most)), (told,)


def check_can_end_trials(executor: str, trial_timeout_seconds: float | None) -> None:
    """Checks that an executor can keep to a time limit, where there is one.

    Raises:
        InputError: There is no such executor, or it trains in this process and cannot end a trial.
    """
    found = executors.find(executor)
    if trial_timeout_seconds and not found.ends_jobs:
        raise InputError(
            f"--trial-timeout: --executor {executor} trains in this process and cannot end "
            "a trial; use --executor processes, or leave the limit out"
        )


def choose_space(
    options: SearchOptions, dataset: DatasetSummary, own: OwnFamily | None = None
) -> SearchSpace:
    """Returns the search space asked for, the dataset's own, or the default for its kind.

    Raises:
        InputError: There is none for a model of the user's own.
    """
    if own is not None:
        return space.load(options.search_space or beside(own), own=own)
    if options.search_space is not None:
        return space.load(options.search_space)
    if not datasets.is_path(options.dataset) and dataset.name in space.names():
        return space.load(dataset.name)
    return space.default_for(dataset.kind, dataset.input_shape)


def check_fit(chosen: SearchSpace, dataset: DatasetSummary) -> None:
    """Checks that networks of this space and every reference fit the inputs.

    Raises:
        InputError: One does not; the message says which and why.
    """
    for what, config in described_configs(chosen).items():
        try:
            techniques.check_inputs(techniques.in_use([config]), dataset.kind)
            num_parameters(models.layers_of(config, dataset.input_shape), dataset.input_shape)
        except InputError as error:
            raise InputError(
                f"{chosen.path}: {what} does not fit {dataset.name} (inputs of shape "
                f"{list(dataset.input_shape)}): {error}"
            ) from error


def check_trials_fit(
    options: SearchOptions, chosen: SearchSpace, dataset: DatasetSummary, share: float
) -> None:
    """Checks that each trial of a space can be trained alone in this many bytes of its worker.

    Raises:
        InputError: One cannot.
    """
    trained = trained_space(options, chosen)
    check_each_fits(described_configs(trained), dataset, options.dataset, share)


def trained_space(options: SearchOptions, chosen: SearchSpace) -> SearchSpace:
    """Returns a space without its references where they do not run along."""
    return chosen if options.references else replace(chosen, references=())


def check_name(name: str) -> None:
    """Checks that a name can be stored, looked up and shown wherever a study is.

    Raises:
        InputError: It cannot.
    """
    reason = None
    if not name.strip():
        reason = "is blank"
    elif len(name) > MAX_NAME_LENGTH:
        reason = f"has {len(name)} characters; expected at most {MAX_NAME_LENGTH}"
    elif not name.isprintable():
        reason = "holds signs that cannot be shown, such as line breaks or escape codes"
    elif "'" in name and '"' in name:
        reason = "holds both kinds of quotes, which MLflow cannot look up; use one kind"
    if reason is not None:
        raise InputError(f"the name of the study, {name[:60]!a}, {reason}: give --study NAME")


def data_size(dataset: DatasetSummary) -> DataSize:
    """Returns what a trial's cost depends on."""
    num_train, whole = (dataset.split_sizes[part] for part in ("train", "validation"))
    scored = validation_per_epoch(num_train, whole) or whole
    return DataSize(dataset.row_size, num_train, scored, dataset.input_shape)


def described_configs(chosen: SearchSpace) -> dict[str, TrialConfig]:
    """Returns configurations of a space, each of its references among them, by what they are."""
    configs = {f"depth {config.depth}": config for config in typical_configs(chosen)}
    return configs | {f"reference '{entry.name}'": entry.config for entry in chosen.references}


def every_config(chosen: SearchSpace) -> list[TrialConfig]:
    """Returns configurations drawn from a space, and its references."""
    return [*typical_configs(chosen), *(entry.config for entry in chosen.references)]


def typical_trials(trained: SearchSpace) -> list[TrialConfig]:
    """Returns a configuration per trial of a study: its references, then drawn ones."""
    references = [entry.config for entry in trained.references]
    return [*references, *typical_configs(trained, trained.trials)][: trained.trials]


def source_of(options: SearchOptions) -> str:
    """Returns what the dataset was loaded from: a name, or the absolute path of the user's file."""
    return (
        str(Path(options.dataset).resolve())
        if datasets.is_path(options.dataset)
        else (options.dataset)
    )


def worker_spec(options: SearchOptions, prepared: Prepared) -> WorkerSpec:
    """Returns what a worker is opened with."""
    data = data_size(prepared.dataset)
    # Workers elsewhere have their own cores.
    here = 1 if executors.find(options.executor).places else options.workers
    shared = threads(every_config(prepared.space), data, here)
    own = prepared.own
    return WorkerSpec(options.spec, options.device, options.precision, shared, own)
