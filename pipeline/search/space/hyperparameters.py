"""Says what values a search space may give a hyperparameter, and when one counts.

In: the table of ``training.techniques``, which names every hyperparameter with its limits. Out:
checked values, conditions in words, and the config that values make. To add a hyperparameter of a
technique: the technique's entry in that table. Then it can be fixed, searched and used in
references.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.records import TrialConfig, Value
from pipeline.training import models
from pipeline.training.hyperparameters import Hyperparameter
from pipeline.training.techniques import hyperparameters


def check(entry: Hyperparameter, value: Any) -> Value:
    """Returns the value in its hyperparameter's own type (1 becomes 1.0 for a number).

    Raises:
        ValueError: It is not valid; ``expected`` says what is.
    """
    try:
        return _adapter(entry).validate_python(value, strict=True)
    except (ValidationError, OverflowError) as error:
        raise ValueError(entry.expected) from error


@cache
def _adapter(entry: Hyperparameter) -> TypeAdapter[Value]:
    kind: Any = entry.kind
    if entry.options:
        kind = Literal[entry.options]
    elif entry.is_number:
        limits = {"ge": entry.least, "le": entry.most, "gt": entry.above, "lt": entry.below}
        known: dict[str, Any] = {key: limit for key, limit in limits.items() if limit is not None}
        if entry.kind is float:
            known["allow_inf_nan"] = False
        kind = Annotated[kind, Field(**known)]
    return TypeAdapter(kind | None if entry.optional else kind)


def defaults() -> dict[str, Value]:
    """Returns the value of each hyperparameter that a search space does not mention."""
    return {name: entry.default for name, entry in hyperparameters().items()}


def taken_by(family: Any) -> frozenset[str]:
    """Returns the hyperparameters that count in a family; all of them in one that is not there."""
    return models.taken_by(str(family))


def is_active(name: str, values: Mapping[str, Value]) -> bool:
    """Whether a hyperparameter counts, given the others; a lambda only with its regularizer."""
    needs = hyperparameters()[name].needs
    return needs is None or values[needs[0]] in needs[1]


def condition(name: str) -> str:
    """Returns when a hyperparameter is active, in words; empty for always."""
    needs = hyperparameters()[name].needs
    return "" if needs is None else f"{needs[0]} is {' or '.join(map(formatted, needs[1]))}"


def configure(family: str, values: Mapping[str, Value]) -> TrialConfig:
    """Returns the config with these hyperparameters; inactive ones get their default."""
    chosen = {
        name: values[name] if is_active(name, values) else default
        for name, default in defaults().items()
    }
    return TrialConfig.from_dict({"family": family, **chosen})


def formatted(value: Any) -> str:
    """Returns a value as YAML spells it, cut to a readable length."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
