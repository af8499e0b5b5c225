"""Goes through the points of a search space in an order that learns nothing: a grid, or Sobol's.

In: a space and a seed. Out: configurations, always the same ones. Optuna's own samplers of these
names do not serve: ``GridSampler`` repeats points that differ in inactive hyperparameters only, and
``QMCSampler`` draws whatever its first trial did not have (the lambdas) at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.errors import SearchSpaceError
from pipeline.records import TrialConfig, Value
from pipeline.search.space.parameters import Choice, FloatRange
from pipeline.search.space.points import num_points, points
from pipeline.search.space.space import SearchSpace

GRID_VALUES = 5
"""Values of a decimal range on a grid, both ends included; by their logarithm where it is log."""
LARGEST_GRID = 100_000
"""Points; a larger grid is hardly begun by any study, and this process lists them."""
SOBOL_BITS = 30
"""Of SciPy's sequence, which so has 2**30 different points."""


def grid_of(space: SearchSpace) -> SearchSpace:
    """Returns the space with :data:`GRID_VALUES` values of each decimal range.

    Raises:
        SearchSpaceError: It has more than :data:`LARGEST_GRID` points.
    """
    parameters = {
        name: Choice(grid_values(entry)) if isinstance(entry, FloatRange) else entry
        for name, entry in space.parameters.items()
    }
    grid = replace(space, parameters=parameters)
    if (count := num_points(grid)) > LARGEST_GRID:
        raise SearchSpaceError(
            f"{space.path}: its grid has {count:,.0f} points, {GRID_VALUES} for each decimal "
            f"range; expected at most {LARGEST_GRID:,}: give lists of choices or a step, search "
            "fewer hyperparameters, or use --sampler qmc"
        )
    return grid


def grid_values(entry: FloatRange) -> tuple[float, ...]:
    """Returns evenly spaced values of a decimal range, its ends exactly as they are."""
    spaced = np.geomspace if entry.log else np.linspace
    between = spaced(entry.low, entry.high, GRID_VALUES)[1:-1]
    # Three digits: 0.00031623 says no more than 0.000316, and reads worse in every table.
    return (entry.low, *(float(f"{value:.3g}") for value in between), entry.high)


def grid_lines(space: SearchSpace) -> list[str]:
    """Returns how many points the grid has, and what it takes of each decimal range."""
    grid = grid_of(space)
    lines = [
        f"  {name}: {grid.parameters[name]}"
        for name, entry in space.parameters.items()
        if isinstance(entry, FloatRange)
    ]
    return [f"grid: {num_points(grid):,.0f} points, in a random order", *lines]


def grid_points(space: SearchSpace, seed: int) -> Iterator[TrialConfig]:
    """Yields every point of the grid once, in a random order."""
    every = list(points(grid_of(space)))
    for place in np.random.default_rng(seed).permutation(len(every)):
        yield every[place]


def sobol_points(space: SearchSpace, seed: int) -> Iterator[TrialConfig]:
    """Yields points that fill the space evenly: Owen-scrambled Sobol points (SciPy's ``qmc``).

    Every hyperparameter has a dimension of its own, whether it is active or not.
    """
    from scipy.stats import qmc

    names = tuple(space.parameters)
    engine = qmc.Sobol(len(names), scramble=True, bits=SOBOL_BITS, rng=np.random.default_rng(seed))
    for _ in range(2**SOBOL_BITS):
        place = engine.random(1)[0]
        yield space.suggest(PlacedSuggester(dict(zip(names, place, strict=True))))


SEQUENCES = {"grid": grid_points, "qmc": sobol_points}
"""Name of a sampler -> its points, from a space and a seed."""


class PlacedSuggester:
    """Suggests the values at a place of the unit cube, a coordinate per hyperparameter."""

    def __init__(self, place: Mapping[str, float]) -> None:
        self._place = place

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Returns the number so far between low and high."""
        share = self._place[name]
        if log:
            return min(max(float(low * (high / low) ** share), low), high)
        return float(low + (high - low) * share)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Returns the whole number so far between low and high; each has the same share."""
        if log:
            value = np.exp(np.log(low) + (np.log(high + 1) - np.log(low)) * self._place[name])
            return min(int(value), high)
        return low + step * self._index(name, (high - low) // step + 1)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Returns the choice at this place; each has the same share."""
        return choices[self._index(name, len(choices))]

    def _index(self, name: str, count: int) -> int:
        return min(int(self._place[name] * count), count - 1)
