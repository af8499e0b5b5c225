"""Foresees how long a study will take on this machine, from timed steps of its first cohorts.

A cohort's step is taken to cost time in proportion to its trials' multiply-adds, plus a constant
for the call, which they share; scoring after each epoch costs a third of training per example.
Early stopping and pruning are not foreseen: the estimate is an upper bound.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.processors import usable_cores
from pipeline.records import StepTiming, TrialConfig
from pipeline.search.space.points import RandomSuggester
from pipeline.search.space.space import SearchSpace
from pipeline.training import models
from pipeline.training.architecture import multiply_adds, num_parameters
from pipeline.training.padding import padded, stackable
from pipeline.training.scoring import num_train_scored
from pipeline.training.techniques import input_work

CALL_COST = 2e7
"""Multiply-adds that take as long as the constant part of a training step."""
UNTIMED_TRIALS = 10
"""Trials of a first cohort whose time is limited and not known yet."""
SAMPLED_CONFIGS = 64
WEIGHT_COST = 16.0
"""Multiply-adds that take as long as a step's traffic over one weight and what belongs to it."""
ONE_THREAD_WORK = 4e6
"""Multiply-adds of a step up to which a second thread costs more than it gives (2 cores)."""


@dataclass(frozen=True)
class DataSize:
    """What a trial's cost depends on.

    Attributes:
        input_shape: One example's shape; of multi-hot rows only the ones that are set count.
        num_train: Training examples.
        num_validation: Validation examples that are scored after each epoch.
        network_shape: What a network takes, where that is more: all words of multi-hot rows.
    """

    input_shape: tuple[int, ...]
    num_train: int
    num_validation: int
    network_shape: tuple[int, ...] = ()


@dataclass
class Estimate:
    """The running estimate of a study.

    Attributes:
        data: Shape and sizes of the data.
        epochs: Largest number of epochs of a trial.
        rates: Seconds per unit of work of the timed cohorts.
        setups: Seconds before their first step.
    """

    data: DataSize
    epochs: int
    rates: list[float] = field(default_factory=list)
    setups: list[float] = field(default_factory=list)
    _costs: dict[TrialConfig, tuple[float, float]] = field(default_factory=dict, repr=False)
    _kinds: dict[TrialConfig, tuple[Any, ...]] = field(default_factory=dict, repr=False)

    def add(self, configs: Sequence[TrialConfig], timing: StepTiming) -> None:
        """Adds the timing of a cohort's step: smaller trials cost what its largest one does."""
        work = len(configs) * step_work(padded(configs), self.data) + CALL_COST
        self.rates.append(timing.seconds_per_step / work)
        self.setups.append(timing.setup_seconds)

    def seconds(
        self, configs: Iterable[TrialConfig], workers: int, together: float = 1.0
    ) -> float | None:
        """Returns the longest that training these trials takes; None before the first timing.

        Args:
            configs: The trials'; a ``Counter`` says of each how often.
            workers: Cohorts at once.
            together: Trials in a cohort, on average.
        """
        if not self.rates:
            return None
        rate, setup = float(np.median(self.rates)), float(np.mean(self.setups))
        call, times = CALL_COST / together, Counter(configs)
        trained = program_configs(list(times), self._kind) if together > 1 else times
        # The steps are a trial's own, their work is that of the program that it trains in.
        steps = [self._cost(config)[0] for config in times]
        works = [self._cost(config)[1] for config in trained]
        costs = zip(steps, works, times.values(), strict=True)
        work = sum(count * own * (each + call) for own, each, count in costs)
        return (rate * work + setup * times.total() / together) / workers

    def num_in_time(self, configs: Sequence[TrialConfig], seconds: float) -> int:
        """Returns how many of these trials of one cohort train together in so much time.

        At least one; :data:`UNTIMED_TRIALS` before the first timing.
        """
        if not self.rates:
            return min(len(configs), UNTIMED_TRIALS)
        rate = float(np.median(self.rates)) * max(map(self._steps, configs))
        left = seconds - float(np.mean(self.setups)) - rate * CALL_COST
        fitting = left // (rate * step_work(padded(configs), self.data))
        return int(min(max(fitting, 1), len(configs)))

    def _kind(self, config: TrialConfig) -> tuple[Any, ...]:
        """Returns what a config shares with those it trains with; it is asked at every event."""
        if config not in self._kinds:
            self._kinds[config] = stackable(config)
        return self._kinds[config]

    def _cost(self, config: TrialConfig) -> tuple[float, float]:
        """Returns the steps of a training and the work of each; it is asked at every event."""
        if config not in self._costs:
            self._costs[config] = self._steps(config), step_work(config, self.data)
        return self._costs[config]

    def _steps(self, config: TrialConfig) -> float:
        """Returns the steps of a whole training, scoring counted as steps."""
        steps = max(self.data.num_train // config.batch_size, 1)
        num_train, scored = self.data.num_train, self.data.num_validation
        scored += num_train_scored(num_train, scored)
        epochs = config.limit("epochs", self.epochs)
        return epochs * steps * (1.0 + scored / (3.0 * num_train))


def step_work(config: TrialConfig, data: DataSize) -> float:
    """Returns the multiply-adds of a training step: about three forward passes of a batch."""
    hidden = models.layers_of(config, data.input_shape)
    products = 3.0 * multiply_adds(hidden, data.input_shape)
    return config.batch_size * (products + input_work(config, data.input_shape))


def program_work(config: TrialConfig, data: DataSize) -> float:
    """Returns a training step's multiply-adds, and what reading and writing the weights takes."""
    shape = data.network_shape or data.input_shape
    weights = num_parameters(models.layers_of(config, shape), shape)
    return step_work(config, data) + WEIGHT_COST * weights


def program_configs(
    configs: Sequence[TrialConfig], kind_of: Callable[[TrialConfig], Any] = stackable
) -> list[TrialConfig]:
    """Returns for each config that of the largest network that it may be padded to, among these.

    Args:
        configs: Any.
        kind_of: Returns what configs share that may be padded to one network.
    """
    kinds: dict[Any, list[TrialConfig]] = {}
    for config in configs:
        kinds.setdefault(kind_of(config), []).append(config)
    largest = {kind: padded(members) for kind, members in kinds.items()}
    return [largest[kind_of(config)] for config in configs]


def threads(configs: Iterable[TrialConfig], data: DataSize, workers: int = 1) -> int | None:
    """Returns how many CPU threads share an operation in each worker; None for one per core.

    Operations of small networks are over before a second thread has begun.
    """
    if max(step_work(config, data) for config in configs) <= ONE_THREAD_WORK:
        return 1
    cores = usable_cores()
    # A library counts the machine's cores, not those that a container grants.
    return None if workers == 1 and cores == os.cpu_count() else max(cores // workers, 1)


def repeated(drawn: Sequence[TrialConfig], count: int) -> Counter[TrialConfig]:
    """Returns how often each of the drawn configurations comes where they are repeated in turn."""
    rounds, rest = divmod(max(count, 0), len(drawn))
    times: Counter[TrialConfig] = Counter()
    for place, config in enumerate(drawn):
        times[config] += rounds + (place < rest)
    return times


def typical_configs(space: SearchSpace, count: int = SAMPLED_CONFIGS) -> list[TrialConfig]:
    """Returns configurations drawn at random from a space, ``count`` of them, repeated in turn."""
    generators = (np.random.default_rng([0, index]) for index in range(SAMPLED_CONFIGS))
    drawn = [space.suggest(RandomSuggester(generator)) for generator in generators]
    return [drawn[index % SAMPLED_CONFIGS] for index in range(count)]
