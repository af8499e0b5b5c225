"""Every hyperparameter and its valid values: the one table that search spaces are checked against.

To add a hyperparameter: a field of ``records.TrialConfig`` and an entry in :data:`HYPERPARAMETERS`
(after the ones it depends on). Then it can be fixed, searched and used in references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.records import TrialConfig

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Hyperparameter:
    """What values a hyperparameter can have, and when it counts.

    Attributes:
        type: The valid values, as a pydantic type.
        expected: The same in words, for messages.
        number: ``int`` or ``float`` where a range makes sense; None otherwise.
        options: The valid names of one that is a name.
        log_only: A range of it must be logarithmic.
        needs: Another hyperparameter and the values of it with which this one is active; an
            inactive one keeps its default.
        not_in: Families that have no use for it.
    """

    type: Any
    expected: str
    number: type[int] | type[float] | None = None
    options: tuple[str, ...] = ()
    log_only: bool = False
    needs: tuple[str, tuple[Value, ...]] | None = None
    not_in: tuple[str, ...] = ()

    def check(self, value: Any) -> Value:
        """Returns the value in its own type (1 becomes 1.0 for a number).

        Raises:
            ValueError: It is not valid; ``expected`` says what is.
        """
        try:
            return self._adapter.validate_python(value, strict=True)
        except (ValidationError, OverflowError) as error:
            raise ValueError(self.expected) from error

    @cached_property
    def _adapter(self) -> TypeAdapter[Value]:
        return TypeAdapter(self.type)


def _integer(low: int, high: int, **more: Any) -> Hyperparameter:
    kind = Annotated[int, Field(ge=low, le=high)]
    return Hyperparameter(kind, f"a whole number from {low} to {high}", number=int, **more)


def _number(expected: str, off: bool = False, **limits: float) -> tuple[Any, str]:
    """Returns the pydantic type and the words of a finite number, with null for off if asked."""
    kind: Any = Annotated[float, Field(allow_inf_nan=False, **limits)]  # type: ignore[call-overload]
    return (kind | None, f"{expected}, or null for off") if off else (kind, expected)


def _switch(**more: Any) -> Hyperparameter:
    return Hyperparameter(bool, "true or false", **more)


def _one_of(*options: str, **more: Any) -> Hyperparameter:
    return Hyperparameter(Literal[options], "one of " + ", ".join(options), options=options, **more)


_POSITIVE = _number("a finite number above 0", gt=0)
_NO_CNN_LAYERS = ("mlp",)

HYPERPARAMETERS: Mapping[str, Hyperparameter] = {
    "depth": _integer(1, 64),
    "width": _integer(1, 65_536),
    "dense_width": _integer(1, 65_536, not_in=_NO_CNN_LAYERS),
    "regularizer": _one_of("none", "l1", "l2", "l1_l2"),
    "lambda_l1": Hyperparameter(
        *_POSITIVE, number=float, log_only=True, needs=("regularizer", ("l1", "l1_l2"))
    ),
    "lambda_l2": Hyperparameter(
        *_POSITIVE, number=float, log_only=True, needs=("regularizer", ("l2", "l1_l2"))
    ),
    "dropout_rate": Hyperparameter(
        *_number("a number from 0 up to, but not including, 1", ge=0, lt=1), number=float
    ),
    "max_norm": Hyperparameter(*_number("a finite number above 0", off=True, gt=0), number=float),
    "batch_norm": _switch(),
    "pooling": _switch(not_in=_NO_CNN_LAYERS),
    "placement": _one_of("dense", "all", not_in=_NO_CNN_LAYERS),
    "standardize": _switch(),
    "first_activation": _one_of("relu", "linear"),
    "optimizer": _one_of("adam", "rmsprop", "sgd"),
    "learning_rate": Hyperparameter(*_POSITIVE, number=float),
    "learning_rate_decay": Hyperparameter(
        *_number("a finite number of at least 0", ge=0), number=float
    ),
    "batch_size": _integer(1, 65_536),
}

DEFAULTS: Mapping[str, Value] = {
    name: value for name, value in TrialConfig().as_dict().items() if name != "family"
}
"""The value of each hyperparameter that a search space does not mention: techniques are off."""


def is_active(name: str, values: Mapping[str, Value]) -> bool:
    """Whether a hyperparameter counts, given the others; a lambda only with its regularizer."""
    needs = HYPERPARAMETERS[name].needs
    return needs is None or values[needs[0]] in needs[1]


def condition(name: str) -> str:
    """Returns when a hyperparameter is active, in words; empty for always."""
    needs = HYPERPARAMETERS[name].needs
    return "" if needs is None else f"{needs[0]} is {' or '.join(map(formatted, needs[1]))}"


def configure(family: str, values: Mapping[str, Value]) -> TrialConfig:
    """Returns the config with these hyperparameters; inactive ones get their default."""
    chosen = {
        name: values[name] if is_active(name, values) else DEFAULTS[name]
        for name in HYPERPARAMETERS
    }
    return TrialConfig.from_dict({"family": family, **chosen})


def formatted(value: Any) -> str:
    """Returns a value as YAML spells it, cut to a readable length."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
