"""Counts the points of a search space, and finds one that was not tried yet.

A space without a decimal range has finitely many points, and a sampler proposes some of them twice.
A training that is repeated tells nothing but the luck of its seed; the luckiest would be chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import inf, prod
from typing import Any

import numpy as np

from pipeline.records import TrialConfig, Value
from pipeline.search.space.hyperparameters import configure, defaults, is_active
from pipeline.search.space.parameters import Choice, FloatRange, IntRange, Parameter
from pipeline.search.space.space import SearchSpace
from pipeline.training.techniques import hyperparameters

ATTEMPTS = 200
"""So many random points are drawn before all of them are gone through."""


class RandomSuggester:
    """Suggests at random, as Optuna's trials do before there is anything to learn from."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Returns a number in [low, high]."""
        if log:
            return float(np.exp(self._generator.uniform(np.log(low), np.log(high))))
        return float(self._generator.uniform(low, high))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Returns a whole number in [low, high]."""
        return int(self._generator.choice(np.arange(low, high + 1, step)))

    def suggest_categorical(self, name: str, choices: Sequence[object]) -> object:
        """Returns one of the choices."""
        return choices[int(self._generator.integers(len(choices)))]


def num_points(space: SearchSpace) -> float:
    """Returns how many different configurations a space has; infinity with a decimal range."""
    deciding = {entry.needs[0] for entry in hyperparameters().values() if entry.needs}
    decide = [name for name in space.parameters if name in deciding]
    if any(isinstance(space.parameters[name], FloatRange) for name in decide):
        return inf
    others = [name for name in space.parameters if name not in deciding]
    return sum(
        prod(_size(space.parameters[name]) for name in others if is_active(name, values))
        for values in _decisions(space, decide, space.constants)
    )


def num_trials(space: SearchSpace, references: bool = True) -> float:
    """Returns how many trials a study can have that repeat nothing but what references repeat."""
    named = space.references if references else ()
    inside = {entry.config for entry in named if space.parameters_of(entry.config) is not None}
    return num_points(space) + len(named) - len(inside)


def config_of(space: SearchSpace, params: Mapping[str, Any]) -> TrialConfig | None:
    """Returns the configuration of a trial's suggestions; None where one is missing."""
    values = space.constants
    for name in space.parameters:
        if not is_active(name, values):
            values[name] = defaults()[name]
        elif name in params:
            values[name] = params[name]
        else:
            return None
    return configure(space.family, values)


def untried(
    space: SearchSpace, tried: Collection[TrialConfig], generator: np.random.Generator
) -> TrialConfig | None:
    """Returns a random point that is not among the tried ones; None where all of them are."""
    for _ in range(ATTEMPTS):
        config = space.suggest(RandomSuggester(generator))
        if config not in tried:
            return config
    if num_points(space) == inf:
        return None
    left = [config for config in points(space) if config not in tried]
    return left[int(generator.integers(len(left)))] if left else None


def points(space: SearchSpace) -> Iterator[TrialConfig]:
    """Yields every configuration of a space without a decimal range."""
    for values in _decisions(space, list(space.parameters), space.constants):
        yield configure(space.family, values)


def _decisions(
    space: SearchSpace, names: Sequence[str], values: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    """Yields the given values with every combination of these hyperparameters' ones."""
    if not names:
        yield values
        return
    name, *rest = names
    possible: Sequence[Value] = (defaults()[name],)
    if is_active(name, values):
        possible = _values(space.parameters[name])
    for value in possible:
        yield from _decisions(space, rest, {**values, name: value})


def _values(parameter: Parameter) -> Sequence[Value]:
    if isinstance(parameter, Choice):
        return parameter.choices
    assert isinstance(parameter, IntRange), "a decimal range has no list of values"
    return range(parameter.low, parameter.high + 1, parameter.step)


def _size(parameter: Parameter) -> float:
    return inf if isinstance(parameter, FloatRange) else len(_values(parameter))
