"""Says where the winner lies in the search space, and whether at an edge of it.

The space of the study's definition and a configuration in, a :class:`Place` per numeric
hyperparameter out. A winner at an edge says that the space may end too early. Ends that cannot be
passed (one layer, no dropout, a limit so large that it is off) are no edges.

Source: Google's Deep Learning Tuning Playbook (search space boundaries).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.records import StudyRecord, TrialConfig
from pipeline.training.techniques import hyperparameters

EDGE_SHARE = 0.05
"""Share of a range, from either end, that counts as its edge."""


@dataclass(frozen=True)
class Place:
    """Where one hyperparameter of a configuration lies in its range.

    Attributes:
        name: The hyperparameter.
        value: The configuration's value; None is off, or not asked for.
        low: The smallest searched value.
        high: The largest searched value.
        log: Whether the range is searched by its logarithm.
        position: 0 at ``low``, 1 at ``high``; below or above where it lies outside; None for off.
        edge: ``low`` or ``high`` where it lies at that end, or beyond; empty elsewhere.
        choices: The ordered values, where the space lists them; empty for a range.
    """

    name: str
    value: float | None
    low: float
    high: float
    log: bool
    position: float | None
    edge: str
    choices: tuple[float, ...] = ()


def places(study: StudyRecord, config: TrialConfig) -> tuple[Place, ...]:
    """Returns the place of every searched numeric hyperparameter, in the order of the space."""
    searched = study.definition.get("space", {}).get("search", {})
    found = (place_of(name, getattr(config, name, None), entry) for name, entry in searched.items())
    return tuple(place for place in found if place is not None)


def place_of(name: str, value: Any, entry: Mapping[str, Any]) -> Place | None:
    """Returns the place of a value in one entry of a space; None for what has no order.

    Args:
        name: The hyperparameter.
        value: The configuration's value; None for off.
        entry: ``{low, high, log}`` or ``{choices}``, as in the definition of a search space.
    """
    if "choices" in entry:
        return _among(name, value, entry["choices"])
    low, high, log = float(entry["low"]), float(entry["high"]), bool(entry.get("log"))
    if value is None or not low < high:
        return Place(name, value, low, high, log, None, "")
    if log and value == _off(name):
        # No range of orders of magnitude reaches 0: a reference without the technique is off.
        return Place(name, None, low, high, log, None, "")
    position = _position(float(value), low, high, log)
    edge = ""
    # Of two values one is always an end, which says nothing.
    two_values = isinstance(entry["low"], int) and high - low < 2
    if not two_values and position <= EDGE_SHARE and low > _lowest(name):
        edge = "low"
    elif not two_values and position >= 1 - EDGE_SHARE and high < _highest(name):
        edge = "high"
    return Place(name, float(value), low, high, log, position, edge)


def _among(name: str, value: Any, choices: Sequence[Any]) -> Place | None:
    """The place among listed values: one in three or more has an order that can end too early."""
    numbers = [c for c in choices if c is not None]
    if len(numbers) < 2 or any(isinstance(c, bool | str) for c in numbers):
        return None
    ordered = tuple(sorted(map(float, numbers)))
    low, high = ordered[0], ordered[-1]
    if value is None:
        return Place(name, None, low, high, False, None, "", ordered)
    position = _position(float(value), low, high, log=False)
    edge = ""
    if position <= 0 and len(ordered) > 2 and low > _lowest(name):
        edge = "low"
    elif position >= 1 and len(ordered) > 2 and None not in choices and high < _highest(name):
        # Where off is among the choices, it is what lies beyond the largest limit.
        edge = "high"
    return Place(name, float(value), low, high, False, position, edge, ordered)


def _lowest(name: str) -> float:
    """Returns the smallest valid value: a winner there cannot ask for a wider space."""
    entry = hyperparameters().get(name)
    return -math.inf if entry is None or entry.least is None else entry.least


def _off(name: str) -> Any:
    """Returns the value that means off; None where there is none."""
    entry = hyperparameters().get(name)
    return None if entry is None else entry.off


def _highest(name: str) -> float:
    """Returns the largest valid value."""
    entry = hyperparameters().get(name)
    return math.inf if entry is None or entry.most is None else entry.most


def _position(value: float, low: float, high: float, log: bool) -> float:
    if log and value > 0:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
