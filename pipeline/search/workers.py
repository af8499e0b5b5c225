"""Says how many workers a command starts, which GPU each of them sees, and why.

In: ``--workers N`` or ``auto``, the executor, the device, and what there is to train. Out:
:class:`Workers`. Workers of this machine are spread over its GPUs, each sees one; ``auto`` is one
per GPU, or, without any, what cores, memory and study keep busy. An executor that runs elsewhere
has its number from ``Executor.capacity``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod

from pipeline.datasets.limits import available_bytes
from pipeline.datasets.summary import DatasetSummary
from pipeline.errors import InputError
from pipeline.formatting import counted
from pipeline.processors import usable_cores
from pipeline.records import Device, TrialConfig
from pipeline.search import executors
from pipeline.search.executors.interface import Placement
from pipeline.search.options import Prepared, SearchOptions, every_config, trained_space
from pipeline.search.plan import cohort_sizing, fewer_workers, usable_workers
from pipeline.search.space.strategies import SAMPLERS
from pipeline.search.trial_memory import may_use_gpu, memory_needs
from pipeline.training import gpus
from pipeline.training.gpus import Gpu

WORKER_BYTES = 3 * 2**29
"""Of a worker beside its data and networks: TensorFlow, and what it keeps of networks that are
gone (0.9 to 1.1 GB, docs/experiments.md)."""
DATA_COPIES = 2
LEAST_TOGETHER = 4
"""Trials of a batch per worker, below which another worker's cohorts save next to nothing: 32
trials train in little more than the time of 8."""
LEAST_ROUNDS = 4
"""Trials per worker that train one by one, below which the sampler learns of too few before it
suggests the rest."""


@dataclass(frozen=True)
class Workers:
    """The workers of a command.

    Attributes:
        count: Their number.
        told: What the user reads about it; empty where there is nothing to say.
        gpus: The GPUs that they are spread over; empty where they see what this process sees.
        fewer: Whether there are fewer than the user asked for.
    """

    count: int
    told: str = ""
    gpus: tuple[Gpu, ...] = ()
    fewer: bool = False

    @property
    def variables(self) -> tuple[dict[str, str], ...]:
        """The environment variables of each; empty where it has none of its own."""
        if not self.gpus:
            return ()
        places = (self.gpus[place % len(self.gpus)] for place in range(self.count))
        return tuple({gpus.VISIBLE: gpu.entry} for gpu in places)

    @property
    def per_gpu(self) -> int | None:
        """How many share a GPU at most; None where they are not spread over any."""
        return -(-self.count // len(self.gpus)) if self.gpus else None

    def unused_gpus(self, devices: Iterable[Device]) -> str:
        """Returns the warning that workers train on the CPU beside GPUs; empty where none does."""
        if not self.gpus or all(device.is_gpu for device in devices):
            return ""
        backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
        return (
            f"{counted(len(self.gpus), 'GPU')} were found, but {backend} does not see them all: "
            "workers train on the CPU. Install the extra 'gpu' (pip install 'least-overfit[gpu]'), "
            "check the driver with nvidia-smi, or give --device cpu"
        )


@dataclass(frozen=True)
class Work:
    """What workers on a CPU would have to do.

    Attributes:
        busy: More workers than this would have too little to do.
        worker_bytes: Memory that each takes.
    """

    busy: int
    worker_bytes: float


def staffed(options: SearchOptions, prepared: Prepared) -> tuple[SearchOptions, Workers]:
    """Returns the options with the number of workers that they come to, and the workers.

    Raises:
        PipelineError: ``auto`` was asked for, and there is no cluster to ask.
    """
    asked = None if options.auto_workers else options.workers
    found = gpus_for(options.executor, options.device, asked)
    count, told = options.workers, ""
    if asked is None:
        work = lambda: search_work(options, prepared)  # noqa: E731
        count, told = auto_number(options.executor, options.device, found, work, options.placement)
    chosen = replace(options, workers=count, auto_workers=False)
    used, fewer = usable_workers(chosen, prepared, len(found))
    workers = placed(used, told, fewer, found)
    return replace(chosen, workers=used, workers_per_gpu=workers.per_gpu), workers


def workers_for(
    executor: str,
    device: str,
    asked: int | None,
    trainings: int,
    work: Callable[[], Work],
    placement: Placement | None = None,
) -> Workers:
    """Returns the workers for a number of trainings that may be divided as one likes.

    Args:
        executor: Name of the executor.
        device: ``auto``, ``cpu`` or ``gpu``.
        asked: Number of workers; None for ``auto``.
        trainings: Their number.
        work: Returns what workers would do on a CPU.
        placement: Where they are placed, for an executor that does.

    Raises:
        PipelineError: ``auto`` was asked for, and what the placement names is not there.
    """
    found = gpus_for(executor, device, asked)
    count, told = (
        (asked, "")
        if asked
        else auto_number(executor, device, found, work, placement or Placement())
    )
    used, fewer = count, ""
    kind = executors.find(executor)
    if kind.shares_cores or kind.places:
        cores = usable_cores() if kind.shares_cores else count
        used = min(count, max(cores, len(found)), trainings)
        if used < count:
            machine = [f"this machine has {counted(cores, 'core')}"] * kind.shares_cores
            verb = "is" if trainings == 1 else "are"
            there = f"there {verb} {counted(trainings, 'training')}"
            fewer = fewer_workers(count, used, *machine, there)
    return placed(used, told, fewer, found)


def placed(used: int, told: str, fewer: str, found: tuple[Gpu, ...]) -> Workers:
    """Returns so many workers, spread over GPUs, and what is said of them.

    Args:
        used: Their number.
        told: Why ``auto`` came to a number; empty for a number that was asked for.
        fewer: Why there are fewer than that; empty where there are not.
        found: The GPUs that there are for them.
    """
    spread = found[:used]
    if told:
        # Nobody asked for the number that it would be: there is nothing to warn of.
        where = f": {', '.join(map(str, spread))}" if spread else ""
        rest = "; there is no work for more" if fewer else ""
        return Workers(
            used, f"--workers auto: {counted(used, 'worker')}{told}{where}{rest}", spread
        )
    if fewer or not spread:
        return Workers(used, fewer, spread, bool(fewer))
    return Workers(used, f"{counted(used, 'worker')}: {shares(used, spread)}", spread)


def smallest(devices: Iterable[Device]) -> Device | None:
    """Returns what has least room for a cohort: a CPU among GPUs, else the fewest free bytes.

    None where no worker says what it trains on.
    """
    return min(
        devices,
        key=lambda d: (d.is_gpu, float("inf") if d.free_bytes is None else d.free_bytes),
        default=None,
    )


def shares(count: int, spread: tuple[Gpu, ...]) -> str:
    """Returns how many workers each GPU has, in words."""
    times = Counter(spread[place % len(spread)] for place in range(count))
    return ", ".join(f"{number} on {gpu}" for gpu, number in times.items())


def gpus_for(executor: str, device: str, asked: int | None) -> tuple[Gpu, ...]:
    """Returns the GPUs that workers are to be spread over.

    None for one worker that was asked for: it sees what this process does, and takes the first.

    Args:
        executor: Name of the executor.
        device: ``auto``, ``cpu`` or ``gpu``.
        asked: Number of workers; None for ``auto``.
    """
    if device == "cpu" or asked == 1 or not executors.find(executor).shares_cores:
        return ()
    return gpus.visible()


def auto_number(
    executor: str,
    device: str,
    found: tuple[Gpu, ...],
    work: Callable[[], Work],
    placement: Placement,
) -> tuple[int, str]:
    """Returns how many workers ``--workers auto`` is, and why.

    Args:
        executor: Name of the executor.
        device: ``auto``, ``cpu`` or ``gpu``.
        found: The GPUs that there are for them.
        work: Returns what they would do on a CPU.
        placement: Where they are placed, for an executor that does.

    Raises:
        InputError: The executor has no number of its own.
        PipelineError: What the placement names is not there.
    """
    asked = executors.find(executor)
    room = asked.capacity(placement, work().worker_bytes)
    if room is not None:
        return room, ", as many as the cluster holds now"
    if asked.most_workers == 1:
        return 1, f": --executor {executor} is this process"
    if not asked.shares_cores:
        raise InputError(
            f"--workers auto: how many workers suit --executor {executor} is not known; give "
            "--workers N"
        )
    if found:
        setting = os.environ.get(gpus.VISIBLE)
        by = "" if setting is None else f" (of {gpus.VISIBLE}={setting})"
        return len(found), f", one per GPU{by}"
    if may_use_gpu(device) and not gpus.are_hidden():
        return 1, (
            ": nvidia-smi and the driver list no GPU, though there may be one; give --workers N "
            "where there are several, or --device cpu"
        )
    return of_cores(work())


def of_cores(work: Work) -> tuple[int, str]:
    """Returns how many workers train on this machine's cores at once, and why.

    One per core, a thread each: two on two cores were never slower than one with two threads
    (docs/speed.md).
    """
    cores, free = usable_cores(), available_bytes()
    fitting = max(int(free // work.worker_bytes), 1)
    count = min(cores, fitting, max(work.busy, 1))
    of = f" for {counted(cores, 'core')}"
    if count == cores:
        return count, of
    if count == fitting < max(work.busy, 1):
        return count, (
            f"{of}: of {free / 2**30:.1f} GiB of free memory each takes "
            f"{work.worker_bytes / 2**30:.1f}"
        )
    return count, f"{of}: more would have too little to do at once"


def search_work(options: SearchOptions, prepared: Prepared) -> Work:
    """Returns what workers of a search would do."""
    chosen = trained_space(options, prepared.space)
    sizing = cohort_sizing(replace(options, workers=1), chosen, prepared.dataset)
    learns = chosen.sampler == SAMPLERS[0]
    if sizing.largest == 1 or options.cohort_size is not None:
        # Every worker that is free asks for a cohort of its own.
        cohorts = -(-chosen.trials // sizing.largest)
        busy = cohorts // LEAST_ROUNDS if learns else cohorts
    else:
        busy = min(sizing.later, chosen.trials) // LEAST_TOGETHER
    configs = [] if prepared.own is not None else every_config(chosen)
    return Work(busy, worker_bytes(configs, prepared.dataset))


def worker_bytes(configs: Iterable[TrialConfig], dataset: DatasetSummary) -> float:
    """Returns the memory that a worker takes: libraries, data, and a trial of the largest config.

    What a user's own model takes is not foreseen.
    """
    data = 4 * prod(dataset.row_size) * sum(dataset.split_sizes.values())
    largest = max((need.bytes(1) for need in memory_needs(configs, dataset)), default=0)
    return WORKER_BYTES + DATA_COPIES * data + largest
