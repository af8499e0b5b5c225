"""Checks what a search space file must look like: checked values out, or every fault.

The shape of the file is :class:`File` (pydantic); the hyperparameters in it are checked against the
table of ``training.techniques``. Every fault is noted in the document with its key and
line, then all are raised together.

To extend: a key of the file is a field of :class:`File`, its description what an error says was
expected; a hyperparameter is an entry of the table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import closest
from pipeline.records import TrialConfig, Value
from pipeline.search.space.hyperparameters import (
    check,
    condition,
    configure,
    defaults,
    formatted,
    is_active,
)
from pipeline.search.space.own_names import OWN, check_references
from pipeline.search.space.parameters import Choice, Parameter, largest_of, parameters_in
from pipeline.search.space.problems import hyperparameter_at, invalid, model_of
from pipeline.search.space.strategies import PRUNERS, SAMPLERS
from pipeline.search.space.yaml_document import Document, KeyPath
from pipeline.training.techniques import hyperparameters

_Section = dict[str, Any]
NEEDS_FAMILY = (
    "the space is for a model of your own; give --family FILE.py:FUNCTION, the file and the "
    "function that makes it"
)
LIMITS = {"epochs", "patience"}
"""Of a study, and of trials that have their own."""
_NAME = re.compile(r"[\w.+-]{1,64}")


class File(BaseModel):
    """The keys of a search space file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    family: str = Field(description="a model family")
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="a whole number from 1 to 1000000, the study's total of trials"
    )
    epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="a whole number from 1 to 100000, the largest number of epochs"
    )
    patience: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="a whole number from 1 to 100000, epochs without a smaller val_ce"
    )
    sampler: Literal["tpe", "random", "grid", "qmc"] = Field(
        "tpe", description=f"one of {', '.join(SAMPLERS)}"
    )
    pruner: Literal["percentile", "none"] = Field(
        "percentile", description=f"one of {', '.join(PRUNERS)}"
    )
    search: Annotated[_Section, Field(min_length=1)] = Field(
        description="a mapping with at least one hyperparameter and how it varies"
    )
    fixed: _Section | None = Field(None, description="a mapping of hyperparameters to values")
    references: dict[str, _Section | None] | None = Field(
        None, description="a mapping of names to hyperparameters, such as `baseline: {}`"
    )
    reference_defaults: _Section | None = Field(
        None, description="a mapping of hyperparameters to values"
    )


@dataclass(frozen=True)
class Checked:
    """The content of a valid file."""

    family: str
    trials: int
    epochs: int
    patience: int
    fixed: Mapping[str, Value]
    parameters: Mapping[str, Parameter]
    references: Mapping[str, TrialConfig]
    sampler: str
    pruner: str


def check_file(document: Document, families: Collection[str]) -> Checked:
    """Returns the content of a search space file, hyperparameters in the order of the table.

    Raises:
        SearchSpaceError: With one line for each fault in the document.
    """
    file = model_of(document, (), File, document.values)
    family = document.values.get("family")
    if family == OWN and OWN not in families:
        document.problem(("family",), NEEDS_FAMILY)
        # Every name of theirs would be unknown, too.
        document.raise_problems()
    elif isinstance(family, str) and family not in families:
        known = ", ".join(sorted(families))
        message = f"unknown model family '{formatted(family)}'; expected one of {known}"
        document.problem(("family",), message + closest(family, families))
    fixed = _constants(document, ("fixed",))
    parameters = parameters_in(document)
    _check_both(document)
    _check_conditions(document, fixed, parameters)
    references = _references(document, fixed, _limits(document, file, parameters))
    _check_limits(document, file, parameters)
    check_references(document)
    document.raise_problems()
    assert file is not None  # a file without a model has problems, raised above
    ordered = {name: parameters[name] for name in hyperparameters() if name in parameters}
    constants = {name: fixed[name] for name in hyperparameters() if name in fixed}
    return Checked(
        file.family,
        file.trials,
        file.epochs,
        file.patience,
        constants,
        ordered,
        references,
        file.sampler,
        file.pruner,
    )


def _constants(document: Document, where: KeyPath) -> dict[str, Value]:
    """Returns the valid ones among the hyperparameters given at this place."""
    found: dict[str, Value] = {}
    for name, value in document.section(where).items():
        place = (*where, name)
        entry = hyperparameter_at(document, place)
        if entry is None:
            continue
        try:
            found[name] = check(entry, value)
        except ValueError:
            hint = "; what varies belongs under `search`" if isinstance(value, dict | list) else ""
            document.problem(place, invalid(value, entry.expected, entry.options) + hint)
    return found


def _check_both(document: Document) -> None:
    for name in document.section(("search",)):
        if name in document.section(("fixed",)):
            line = document.line(("fixed", name))
            message = f"also under `fixed` (line {line}); expected either fixed or searched"
            document.problem(("search", name), message)


def _check_conditions(
    document: Document, fixed: Mapping[str, Value], parameters: Mapping[str, Parameter]
) -> None:
    """Notes hyperparameters that nothing activates, and active ones that are missing."""
    given = {
        name: (section, name)
        for section in ("search", "fixed")
        for name in document.section((section,))
    }
    for name, entry in hyperparameters().items():
        if entry.needs is None:
            continue
        key, wanted = entry.needs
        if key in given and key not in fixed and key not in parameters:
            continue
        parameter = parameters.get(key, Choice((fixed.get(key, defaults()[key]),)))
        activating = [formatted(value) for value in wanted if parameter.contains(value)]
        if name in given and not activating:
            message = f"nothing activates it; expected that {condition(name)}, fixed or searched"
            document.problem(given[name], message)
        if name not in given and activating and defaults()[name] is None:
            needed = f"{' and '.join(activating)} needs {name}, which is neither fixed nor searched"
            document.problem(given[key], f"{needed}; expected {name} beside it, {entry.expected}")


def _limits(
    document: Document, file: File | None, parameters: Mapping[str, Parameter]
) -> dict[str, Value]:
    """Returns what references have of the limits that are searched: the study's, the largest."""
    return {name: getattr(file, name) for name in LIMITS if file is not None and name in parameters}


def _check_limits(
    document: Document, file: File | None, parameters: Mapping[str, Parameter]
) -> None:
    """Notes limits of trials that are above the study's: they would be cut without a word."""
    if file is None:
        return
    references = (("references", name) for name in document.section(("references",)))
    sections: list[KeyPath] = [("fixed",), ("reference_defaults",), *references]
    given: dict[KeyPath, Any] = {
        (*where, name): value
        for where in sections
        for name, value in document.section(where).items()
    }
    given |= {("search", name): largest_of(entry) for name, entry in parameters.items()}
    for place, value in given.items():
        name = str(place[-1])
        if name in LIMITS and isinstance(value, int) and value > getattr(file, name):
            largest = getattr(file, name)
            message = (
                f"{value} is above `{name}: {largest}` at the top of the file, the largest of all "
                f"trials; expected at most {largest}, or `{name}: {value}` there"
            )
            document.problem(place, message)


def _references(
    document: Document, fixed: Mapping[str, Value], limits: Mapping[str, Value]
) -> dict[str, TrialConfig]:
    """Returns the configs of the valid references."""
    shared = {**defaults(), **limits, **fixed, **_constants(document, ("reference_defaults",))}
    found: dict[str, TrialConfig] = {}
    for name in document.section(("references",)):
        where = ("references", name)
        if not _NAME.fullmatch(name):
            expected = "1 to 64 letters, digits, `_`, `.`, `+` or `-`"
            document.problem(where, f"not a name for a reference; expected {expected}")
        own = _constants(document, where)
        if own.keys() != document.section(where).keys():
            continue
        values = {**shared, **own}
        for key, entry in hyperparameters().items():
            if key in own and not is_active(key, values):
                message = f"unused; expected that {condition(key)}, or no {key}"
                document.problem((*where, key), message)
            if entry.needs and is_active(key, values) and values[key] is None:
                reason = f"{entry.needs[0]} is {formatted(values[entry.needs[0]])}"
                message = f"{key} is missing where {reason}; expected {key}, {entry.expected}"
                document.problem(where, message)
        found[name] = configure(str(document.values.get("family")), values)
    return found
