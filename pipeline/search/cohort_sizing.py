"""Decides which trials train together, and how many are asked for at once.

Stacking pays where a training step is too small to fill the machine: its cost is then mostly calls.
The sampler still has to learn, so suggestions are asked for in batches, not at once: a first of the
references, which are part of the sampler's random start, a quarter of the trials at least, then
:data:`BATCHES` more. They go by the study's total: a killed study continues in the same batches.
A cohort has to fit into memory, too: what ``training.memory_model`` foresees into its worker's
share. Where that was too much, the cohort fails and is tried again in halves
(``retries.Capacity``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.datasets.limits import available_bytes
from pipeline.records import Device, Trial, TrialConfig
from pipeline.search.executors.interface import Host
from pipeline.search.merging import Merging, alike
from pipeline.training.memory_model import MemoryNeed
from pipeline.training.techniques import structure

BATCHES = 3
"""Twice as many give no better pick, and cohorts of half the size (docs/experiments.md)."""
RANDOM_START = 10
"""Trials that the sampler draws at random before it learns (Optuna's ``n_startup_trials``)."""
LEAST_HALVED = 64
"""Smallest batch of which a half still fills a cohort: 32 trials cost little more than 8."""
LARGEST_COHORT = 256
SMALL_STEP = 2e8
"""Multiply-adds of one trial's training step up to which stacking pays on a CPU: a dense network's
few milliseconds. Convolutions lie far above: they fill the machine by themselves. A GPU is filled
by no single trial of these families."""
COHORT_BYTES = 3 * 2**27
"""Of a cohort's weights while it trains. Their best ones travel to the supervisor, which holds them
twice for a moment and has 400 MB in all."""
BYTES_PER_PARAMETER = 4 * 6
"""Weights, gradient, two slots of the optimizer, the best weights and a copy in passing."""
MEMORY_SHARE = 0.5
"""Of the memory that is free: the estimate is rough, and others want some, too."""


@dataclass(frozen=True)
class Sizing:
    """How many trials are asked for at once.

    Attributes:
        first: In the first batch.
        later: In each later batch.
        largest: Most trials in one cohort.
        ahead: Trials that may still be training when the next are asked for; 0 for none.
        merging: What decides which trials of different size train together; None where none do.
        workers: Cohorts that train at once; a batch makes one for each at least.
    """

    first: int = 1
    later: int = 1
    largest: int = 1
    ahead: int = 0
    merging: Merging | None = None
    workers: int = 1

    def batch(self, asked: int) -> int:
        """Returns the size of the next batch after so many trials ended or were asked for."""
        return self.later if asked else self.first

    @property
    def least(self) -> int:
        """The size of a batch that is one cohort of a size that was asked for, else one trial."""
        return self.later if self.first == self.later == self.largest else 1

    def cohort(self, asked: int) -> int:
        """Returns the most trials in one cohort of that batch.

        Every worker gets a part. Where the next trials are asked for ahead, a later batch is at
        least two cohorts: while one trains, the sampler learns of the other. With one worker no
        more than a batch of trials is unknown to it.
        """
        parts = max(self.workers, 2 if asked and self.ahead else 1)
        return min(self.largest, -(-self.batch(asked) // parts))

    def cohorts(self, trials: Sequence[Trial], asked: int) -> list[list[Trial]]:
        """Returns a batch's trials in cohorts, in the order they were asked.

        Args:
            trials: The batch.
            asked: Trials that ended or were asked for before it.
        """
        largest = self.cohort(asked)
        if self.merging is None:
            groups = alike(trials, lambda trial: structure(trial.config))
        else:
            groups = self.merging.groups(trials, largest)
        return [part for group in groups for part in _even(group, largest)]


@dataclass(frozen=True)
class Load:
    """What a trial costs.

    Attributes:
        step_work: Multiply-adds of a training step.
        num_parameters: Trainable parameters.
        memory_needs: What trials take while they train; each has to fit.
        memory: Bytes that a cohort may take.
        small_step: Multiply-adds of a step up to which stacking pays.
        merging: What decides which trials of different size train together.
        workers: Cohorts that train at once.
    """

    step_work: float
    num_parameters: int
    memory_needs: tuple[MemoryNeed, ...] = ()
    memory: float = float("inf")
    small_step: float = SMALL_STEP
    merging: Merging | None = None
    workers: int = 1


def fixed(size: int, merging: Merging | None = None) -> Sizing:
    """Returns the sizing for a cohort size that the user chose."""
    return Sizing(size, size, size, merging=merging)


def automatic(trials: int, references: int, load: Load, *, learns: bool = True) -> Sizing:
    """Returns the sizing for a study.

    Args:
        trials: The study's total.
        references: Reference configurations among them.
        load: What a trial costs.
        learns: Whether the sampler does; for one that does not, all trials are asked for at once.
    """
    if load.step_work > load.small_step:
        return Sizing()
    fitting = int(COHORT_BYTES // (BYTES_PER_PARAMETER * max(load.num_parameters, 1)))
    largest = max(min(LARGEST_COHORT, fitting), 1)
    for memory_need in set(load.memory_needs):
        largest = memory_need.most(load.memory, largest)
    if not learns:
        return Sizing(trials, trials, largest, merging=load.merging, workers=load.workers)
    first = min(trials, max(references, RANDOM_START, trials // 4))
    later = max(-(-(trials - first) // BATCHES), 1)
    ahead = later // 2 if later >= LEAST_HALVED else 0
    return Sizing(first, later, largest, ahead, load.merging, load.workers)


def memory_per_worker(
    workers: int, device: Device | None = None, host: Host | None = None
) -> float:
    """Returns the bytes that each worker's cohort may take: of a machine, or of its GPU.

    Args:
        workers: So many share that memory.
        device: What they train on; None for a processor.
        host: The machine that they are on; None for this one.
    """
    if device is None or not device.is_gpu:
        if host is not None:
            return MEMORY_SHARE * host.free_bytes / workers
        return MEMORY_SHARE * available_bytes() / workers
    return float("inf") if device.free_bytes is None else MEMORY_SHARE * device.free_bytes / workers


def in_parts(group: list[Trial], size: int) -> list[list[Trial]]:
    """Returns the group in parts of at most this size, in order."""
    return [group[start : start + size] for start in range(0, len(group), size)]


def cohorts_per_batch(configs: Sequence[TrialConfig], sizing: Sizing) -> list[int]:
    """Returns how many cohorts each batch of a study makes, by configurations like its trials'."""
    counts: list[int] = []
    asked = 0
    while asked < len(configs):
        batch = configs[asked : asked + max(sizing.batch(asked), 1)]
        trials = [Trial(number, config, 0) for number, config in enumerate(batch)]
        counts.append(len(sizing.cohorts(trials, asked)))
        asked += len(batch)
    return counts


def _even(group: list[Trial], largest: int) -> list[list[Trial]]:
    """Returns a group in as few parts as the largest allows, of sizes as equal as can be."""
    parts = -(-len(group) // largest)
    ends = [-(-len(group) * part // parts) for part in range(parts + 1)]
    return [group[start:end] for start, end in pairwise(ends)]
