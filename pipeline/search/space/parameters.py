"""Defines the three ways in which a hyperparameter varies, and reads the ``search`` section.

A mapping ``{low: ..., high: ...}`` is a :class:`FloatRange` or an :class:`IntRange`, a list a
:class:`Choice`. Each asks a trial by the method names of Optuna's ``Trial``; any object with these
methods will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from pipeline.records import Value
from pipeline.search.space.hyperparameters import check, formatted
from pipeline.search.space.problems import hyperparameter_at, invalid, model_of
from pipeline.search.space.yaml_document import Document, KeyPath
from pipeline.training.hyperparameters import Hyperparameter

_MAX_CHOICES = 256


class Suggester(Protocol):
    """What a parameter asks of a trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float:
        """Returns a number in [low, high]."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = ..., log: bool = ...
    ) -> int:
        """Returns an integer in [low, high]."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Returns one of the choices."""


@dataclass(frozen=True)
class FloatRange:
    """All numbers in [low, high], uniformly or by their logarithm."""

    low: float
    high: float
    log: bool = False

    def suggest(self, name: str, trial: Suggester) -> float:
        """Returns the trial's suggestion."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether this value could be suggested."""
        return _is_number(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{formatted(self.low)} to {formatted(self.high)}" + (", log" if self.log else "")


@dataclass(frozen=True)
class IntRange:
    """The whole numbers low, low + step, ..., high; with ``log`` by their logarithm, step 1."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def suggest(self, name: str, trial: Suggester) -> int:
        """Returns the trial's suggestion."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether this value could be suggested."""
        within = _is_number(value) and self.low <= value <= self.high
        return within and (value - self.low) % self.step == 0

    def __str__(self) -> str:
        step = f", step {self.step}" if self.step > 1 else ""
        return f"{self.low} to {self.high}{step}" + (", log" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """One of these values."""

    choices: tuple[Value, ...]

    def suggest(self, name: str, trial: Suggester) -> Value:
        """Returns the trial's suggestion."""
        chosen: Value = trial.suggest_categorical(name, list(self.choices))
        return chosen

    def contains(self, value: Any) -> bool:
        """Whether this value could be suggested."""
        return value in self.choices

    def __str__(self) -> str:
        return ", ".join(formatted(choice) for choice in self.choices)


Parameter = FloatRange | IntRange | Choice


def largest_of(parameter: Parameter) -> float | None:
    """Returns the largest number that a parameter can suggest; None where it suggests none."""
    if not isinstance(parameter, Choice):
        return parameter.high
    numbers = [
        value
        for value in parameter.choices
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return max(numbers, default=None)


class Range(BaseModel):
    """The keys of a range."""

    model_config = ConfigDict(extra="forbid", strict=True)

    low: Any = Field(description="the smallest value of the range")
    high: Any = Field(description="the largest value of the range")
    step: Annotated[int, Field(ge=1)] | None = Field(
        None, description="a whole number of at least 1"
    )
    log: bool = Field(False, description="true or false")


def parameters_in(document: Document) -> dict[str, Parameter]:
    """Returns the valid ones among the hyperparameters that vary."""
    found: dict[str, Parameter] = {}
    for name, value in document.section(("search",)).items():
        where = ("search", name)
        entry = hyperparameter_at(document, where)
        parameter: Parameter | None = None
        if entry is None:
            continue
        if isinstance(value, dict):
            parameter = _range(document, where, entry)
        elif isinstance(value, list):
            parameter = _choice(document, where, entry)
        else:
            ways = "a list of choices" + (
                "" if not entry.is_number else " or {low: ..., high: ...}"
            )
            message = (
                f"{formatted(value)} does not vary; expected {ways}; a constant goes to `fixed`"
            )
            document.problem(where, message)
        if parameter is not None:
            found[name] = parameter
    return found


def _choice(document: Document, where: KeyPath, entry: Hyperparameter) -> Choice | None:
    values = document.section(where[:-1])[str(where[-1])]
    if not values:
        document.problem(where, f"the list of choices is empty; expected {entry.expected}")
    if len(values) > _MAX_CHOICES:
        ways = f"at most {_MAX_CHOICES}" + (", or a range" if entry.is_number else "")
        document.problem(where, f"{len(values):,} choices are too many; expected {ways}")
        return None
    choices: list[Value] = []
    for index, value in enumerate(values):
        place = (*where, index)
        try:
            choice = check(entry, value)
        except ValueError:
            document.problem(place, invalid(value, entry.expected, entry.options))
            continue
        if choice in choices:
            document.problem(
                place, f"{formatted(choice)} is given twice; expected distinct choices"
            )
        choices.append(choice)
    complete = len(choices) == len(values) > 0
    return Choice(tuple(choices)) if complete else None


def _range(document: Document, where: KeyPath, entry: Hyperparameter) -> Parameter | None:
    if not entry.is_number:
        message = f"a range makes no sense here; expected a list of choices, {entry.expected}"
        document.problem(where, message)
        return None
    entered = model_of(document, where, Range, document.section(where))
    if entered is None:
        return None
    ends: list[Any] = []
    for key, value in (("low", entered.low), ("high", entered.high)):
        try:
            if value is None:
                raise ValueError(entry.expected)
            ends.append(check(entry, value))
        except ValueError:
            document.problem((*where, key), invalid(value, entry.expected))
    if len(ends) < 2:
        return None
    low, high = ends
    _check_range(document, where, entry, (low, high, entered))
    if entry.kind is int:
        return IntRange(low, high, entered.step or 1, entered.log)
    return FloatRange(low, high, entered.log)


def _check_range(
    document: Document, where: KeyPath, entry: Hyperparameter, ends: tuple[Any, Any, Range]
) -> None:
    low, high, entered = ends
    shown = f"{formatted(low)} to {formatted(high)}"
    if low > high:
        document.problem(where, f"the range {shown} is inverted; expected low below high")
    if low == high:
        message = f"the range {shown} is empty; expected low below high; a constant goes to `fixed`"
        document.problem(where, message)
    if entered.log and low <= 0:
        document.problem(
            (*where, "low"), f"{formatted(low)} has no logarithm; expected low above 0"
        )
    if entry.log_only and not entered.log:
        document.problem(where, "spans orders of magnitude; expected `log: true` in its range")
    if entered.step is None:
        return
    place = (*where, "step")
    if entry.kind is not int:
        document.problem(place, "only whole numbers have a step; expected low, high and log only")
    elif entered.log and entered.step > 1:
        document.problem(place, "a logarithmic range has no step; expected either step or log")
    elif low < high and (high - low) % entered.step:
        message = f"{entered.step} does not lead from {low} to {high}; expected a step that does"
        document.problem(place, message)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
