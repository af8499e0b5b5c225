"""Says in words what is wrong in a search space file: what was expected, the closest name.

In: a ``yaml_document.Document`` and a place in it. Out: the checked value, or None and a problem
noted in the document. ``search.space.schema`` and ``search.space.parameters`` check their parts
with these.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import closest
from pipeline.search.space.hyperparameters import formatted, taken_by
from pipeline.search.space.yaml_document import Document, KeyPath
from pipeline.training.hyperparameters import Hyperparameter
from pipeline.training.techniques import hyperparameters

_Model = TypeVar("_Model", bound=BaseModel)


def model_of(document: Document, where: KeyPath, model: type[_Model], values: Any) -> _Model | None:
    """Returns the values as this model, or None after noting what is wrong with them."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            key = str(fault["loc"][0])
            place = (*where, *fault["loc"])
            if fault["type"] == "extra_forbidden":
                valid = list(model.model_fields)
                message = f"unknown key; expected one of {', '.join(valid)}{closest(key, valid)}"
            elif fault["type"] == "missing":
                message = f"missing; expected {model.model_fields[key].description}"
            else:
                message = invalid(fault["input"], str(model.model_fields[key].description))
            document.problem(place, message)
        return None


def invalid(value: Any, expected: str, options: tuple[str, ...] = ()) -> str:
    """Returns a message: the value, what was expected, and the closest of the options."""
    shown = repr(value) if isinstance(value, str) and len(value) <= 60 else formatted(value)
    hint = closest(value, options) if isinstance(value, str) else ""
    return f"{shown} is not valid; expected {expected}{hint}"


def hyperparameter_at(document: Document, where: KeyPath) -> Hyperparameter | None:
    """Returns the table's entry for this key, or None after noting why it cannot stand here."""
    name, family = str(where[-1]), document.values.get("family")
    every, taken = hyperparameters(), taken_by(family)
    entry = every.get(name)
    if entry is None:
        message = f"unknown hyperparameter; expected one of {', '.join(every)}"
        document.problem(where, message + closest(name, every))
    elif name not in taken:
        valid = ", ".join(key for key in every if key in taken)
        document.problem(where, f"the family {family} has no {name}; expected one of {valid}")
        return None
    return entry
