"""Decides which trials of different size train in one program.

A padded program (``training.padding``) does the work of its largest network for every trial. One
cohort less saves the constant part of each of its steps, and often a compilation. What costs less
in multiply-adds is done, by counts alone: the same study has to be trained the same way again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.records import Trial
from pipeline.search.cost import CALL_COST, DataSize, program_work
from pipeline.training.padding import COMPILATION_WORK, padded, stackable
from pipeline.training.techniques import structure

MOST_SIZES = 12
"""So many different sizes are weighed against each other; of more, neighbours count as one."""


@dataclass(frozen=True)
class Merging:
    """What padding and programs cost in a study.

    Attributes:
        data: What is trained on.
        epochs: Largest number of epochs of a trial.
    """

    data: DataSize
    epochs: int

    def groups(self, trials: Sequence[Trial], largest: int) -> list[list[Trial]]:
        """Returns trials in groups that each train in one program, in the order given.

        Args:
            trials: Any.
            largest: Most trials of a cohort; larger groups make several cohorts.
        """
        merged = [
            part
            for kind in alike(trials, lambda trial: stackable(trial.config))
            for part in self._cheapest(self._sizes(kind), largest)
        ]
        places = {trial.number: place for place, trial in enumerate(trials)}
        ordered = [sorted(group, key=lambda trial: places[trial.number]) for group in merged]
        return sorted(ordered, key=lambda group: places[group[0].number])

    def _sizes(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """Returns trials by their size, the smallest first."""
        sizes = alike(trials, lambda trial: structure(trial.config))
        sizes.sort(key=lambda size: self._work(size))
        together = -(-len(sizes) // MOST_SIZES)
        ends = range(0, len(sizes), together)
        return [[trial for size in sizes[end : end + together] for trial in size] for end in ends]

    def _cheapest(self, sizes: list[list[Trial]], largest: int) -> list[list[Trial]]:
        """Returns neighbouring sizes joined so that all of them together cost least."""
        best: list[tuple[float, list[list[Trial]]]] = [(0.0, [])]
        for end in range(1, len(sizes) + 1):
            options = []
            for start in range(end):
                cost, groups = best[start]
                joined = [trial for size in sizes[start:end] for trial in size]
                options.append((cost + self._cost(joined, largest), [*groups, joined]))
            best.append(min(options, key=lambda option: option[0]))
        return best[-1][1]

    def _cost(self, trials: Sequence[Trial], largest: int) -> float:
        """Returns the multiply-adds that training trials in one program takes."""
        cohorts = -(-len(trials) // largest)
        step = cohorts * CALL_COST + len(trials) * self._work(trials)
        batch_size = trials[0].config.batch_size
        epochs = max(trial.config.limit("epochs", self.epochs) for trial in trials)
        steps = epochs * max(self.data.num_train // batch_size, 1)
        return COMPILATION_WORK + steps * step

    def _work(self, trials: Sequence[Trial]) -> float:
        """Returns the multiply-adds of a step of one trial in the program of all of these."""
        return program_work(padded([trial.config for trial in trials]), self.data)


def alike(trials: Iterable[Trial], key: Callable[[Trial], Any]) -> list[list[Trial]]:
    """Returns trials in groups of equal key, in the order given."""
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(key(trial), []).append(trial)
    return list(groups.values())
