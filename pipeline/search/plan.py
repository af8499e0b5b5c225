"""Plans how a study is run: its total, the size of its cohorts and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.datasets.summary import DatasetSummary
from pipeline.formatting import counted
from pipeline.processors import usable_cores
from pipeline.records import Device, is_own_family
from pipeline.search import executors
from pipeline.search.cohort_runner import CohortSettings
from pipeline.search.cohort_sizing import (
    SMALL_STEP,
    Load,
    Sizing,
    automatic,
    cohorts_per_batch,
    fixed,
    memory_per_worker,
)
from pipeline.search.cost import program_configs, step_work, typical_configs
from pipeline.search.executors.interface import Host
from pipeline.search.foreseen import num_finalist_trainings
from pipeline.search.merging import Merging
from pipeline.search.options import (
    Prepared,
    SearchOptions,
    check_trials_fit,
    data_size,
    every_config,
    trained_space,
    typical_trials,
)
from pipeline.search.retries import MAX_FAILURES
from pipeline.search.space.space import SearchSpace
from pipeline.search.space.strategies import SAMPLERS
from pipeline.search.trial_memory import memory_needs
from pipeline.training import models
from pipeline.training.architecture import num_parameters


@dataclass(frozen=True)
class SearchPlan:
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
        finalist_trainings: Of the report that follows, for the time that is told.
        validation_per_epoch: Validation examples that are scored after each epoch; None for all.
    """

    space: SearchSpace
    trials: int
    order_seed: int = 0
    sizing: Sizing = field(default_factory=Sizing)
    timeout_seconds: float | None = None
    trial_timeout_seconds: float | None = None
    max_failures: int = MAX_FAILURES
    finalist_trainings: int = 0
    validation_per_epoch: int | None = None

    @property
    def cohort_settings(self) -> CohortSettings:
        """What all cohorts of the study have in common."""
        space = self.space
        return CohortSettings(
            space.epochs,
            space.patience,
            self.order_seed,
            self.trial_timeout_seconds,
            self.validation_per_epoch,
        )


def plan_of(
    options: SearchOptions, prepared: Prepared, device: Device | None, host: Host | None = None
) -> SearchPlan:
    """Returns how the study is run on what its workers train on.

    Args:
        options: What was asked for.
        prepared: What is searched.
        device: What the workers train on; None where that is not known.
        host: The machine that they are on; None for this one.

    Raises:
        InputError: A trial does not fit into the memory of a GPU, or of another machine.
    """
    free = None if host is None else host.free_bytes
    if device is not None and device.is_gpu:
        free = device.free_bytes
    if free is not None:
        share = free / sharing(options, device, host)
        check_trials_fit(options, prepared.space, prepared.dataset, share)
    chosen = trained_space(options, prepared.space)
    return SearchPlan(
        chosen,
        chosen.trials,
        options.seed,
        cohort_sizing(options, chosen, prepared.dataset, device, host),
        options.timeout_seconds,
        options.trial_timeout_seconds,
        options.max_failures,
        num_finalist_trainings(options.seeds, options.finalists, typical_trials(chosen)),
        prepared.definition.get("validation_per_epoch"),
    )


def sharing(options: SearchOptions, device: Device | None, host: Host | None = None) -> int:
    """Returns how many workers share the memory of what they train on."""
    if host is not None:
        return host.workers
    on_gpu = device is not None and device.is_gpu
    return options.workers_per_gpu or options.workers if on_gpu else options.workers


def usable_workers(
    options: SearchOptions, prepared: Prepared, num_gpus: int = 0
) -> tuple[int, str]:
    """Returns how many workers have something to do, and why fewer than asked for; empty if not.

    A worker per cohort that trains at once, and per core, or per GPU where there are more of these:
    each takes a processor's memory and imports Keras for itself.
    """
    asked = options.workers
    found = executors.find(options.executor)
    if asked == 1 or not (found.shares_cores or found.places):
        return asked, ""
    cores = usable_cores() if found.shares_cores else asked
    most = max(cores, num_gpus)
    chosen = trained_space(options, prepared.space)
    few = replace(options, workers=min(asked, most))
    sizing = cohort_sizing(few, chosen, prepared.dataset)
    # Of all batches: a worker without a cohort of this one is given the next.
    cohorts = sum(cohorts_per_batch(typical_trials(chosen), sizing))
    used = min(asked, most, cohorts)
    if used == asked:
        return asked, ""
    gpus = f" and {counted(num_gpus, 'GPU')}" if num_gpus else ""
    machine = [f"this machine has {counted(cores, 'core')}{gpus}"] * found.shares_cores
    return used, fewer_workers(
        asked, used, *machine, f"this study makes {counted(cohorts, 'cohort')}"
    )


def fewer_workers(asked: int, used: int, *reasons: str) -> str:
    """Returns what the user reads where there are fewer workers than asked for."""
    verb = "is" if used == 1 else "are"
    return f"--workers {asked}: {used} {verb} used; {', and '.join(reasons)}"


def cohort_sizing(
    options: SearchOptions,
    chosen: SearchSpace,
    dataset: DatasetSummary,
    device: Device | None = None,
    host: Host | None = None,
) -> Sizing:
    """Returns how many trials are asked for at once: as asked, or what suits study and device.

    Args:
        options: What was asked for.
        chosen: The search space.
        dataset: What a trial's cost depends on.
        device: What the workers train on; None for this machine's processor.
        host: The machine that they are on; None for this one.
    """
    if is_own_family(chosen.family):
        # One by one, and as many at once as there are workers.
        return Sizing(options.workers, options.workers, 1)
    data = data_size(dataset)
    merging = Merging(data, chosen.epochs)
    if options.cohort_size is not None:
        return fixed(options.cohort_size, merging)
    configs, every = typical_configs(chosen), every_config(chosen)
    largest = program_configs(every)
    usual = program_configs(configs)
    layers = [models.layers_of(config, dataset.input_shape) for config in usual]
    load = Load(
        step_work=float(np.mean([step_work(config, data) for config in configs])),
        num_parameters=max(num_parameters(hidden, dataset.input_shape) for hidden in layers),
        memory_needs=memory_needs([*every, *largest], dataset),
        memory=memory_per_worker(sharing(options, device, host), device, host),
        small_step=float("inf") if device is not None and device.is_gpu else SMALL_STEP,
        merging=merging,
        workers=options.workers,
    )
    learns = chosen.sampler == SAMPLERS[0]
    return automatic(chosen.trials, len(chosen.references), load, learns=learns)
