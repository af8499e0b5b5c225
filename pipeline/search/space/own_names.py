"""Lets a search space name hyperparameters that only the user's own function reads.

In: a YAML document and the family that ``--family`` names. Out: the family with the kind of every
hyperparameter that is meant for it, as the document's values tell; ``search.space.schema`` then
checks the document as any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipeline.search.space.yaml_document import Document, KeyPath
from pipeline.training import models
from pipeline.training.own import registry
from pipeline.training.own.registry import OwnFamily, OwnHyperparameter
from pipeline.training.techniques import hyperparameters

OWN = "own"
"""What a search space for a model of the user's own has as its family."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
TAKEN = ("family", "more", "get", "keys", "values", "items")
"""Names that a configuration has already, by attribute."""


def name_family(document: Document, own: OwnFamily) -> OwnFamily:
    """Returns the family with what the document gives to its function, and makes it known.

    The document's family becomes the user's one; what is wrong is noted in it.
    """
    values = document.values
    if isinstance(values, dict):
        given = values.get("family")
        if given not in (OWN, own.name, None):
            message = (
                f"'{given}' is a family of this package, but --family names {own.name}; expected "
                f"`family: {OWN}`, or no --family"
            )
            document.problem(("family",), message)
        values["family"] = own.name
    # Hyperparameters of another version of the space must not pass for this one's.
    registry.register(replace(own, kinds=()))
    applied = models.hyperparameters_of(own.name)
    kinds: dict[str, str] = {}
    for where, value in _given(document):
        name = str(where[-1])
        if name in kinds or name in applied:
            continue
        if name in hyperparameters():
            kinds[name] = hyperparameters()[name].kind.__name__
        elif not NAME.fullmatch(name) or name in TAKEN:
            message = "not a name for a hyperparameter; expected letters, digits and `_`"
            document.problem(where, message)
        elif (kind := _kind_of(value)) is not None:
            kinds[name] = kind
        else:
            message = "its values are of different kinds; expected numbers, words or true and false"
            document.problem(where, message)
    found = replace(own, kinds=tuple(kinds.items()))
    registry.register(found)
    return found


def _given(document: Document) -> Iterator[tuple[KeyPath, Any]]:
    """Yields every hyperparameter in the document, what is searched first: it tells the kind."""
    for section in ("search", "fixed", "reference_defaults"):
        for name, value in document.section((section,)).items():
            yield (section, name), value
    for reference in document.section(("references",)):
        for name, value in document.section(("references", reference)).items():
            yield ("references", reference, name), value


def _kind_of(value: Any) -> str | None:
    """Returns the kind of a hyperparameter's values: a range, a list of choices, or one value."""
    if isinstance(value, dict):
        listed = [value.get(key) for key in ("low", "high")]
    else:
        listed = value if isinstance(value, list) else [value]
    kinds = {type(one) for one in listed if one is not None}
    if kinds == {int, float}:
        return "float"
    if len(kinds) == 1 and (kind := kinds.pop()) in registry.KINDS.values():
        return str(kind.__name__)
    return None


def check_references(document: Document) -> None:
    """Notes what leaves some trials without a value: the user's own names have no default."""
    searched, fixed = document.section(("search",)), document.section(("fixed",))
    shared = fixed.keys() | document.section(("reference_defaults",)).keys()
    for (section, *rest), _ in _given(document):
        name = str(rest[-1])
        if (
            str(section).startswith("reference")
            and _is_own(name)
            and name not in {*searched, *fixed}
        ):
            message = "given to references only; expected it under `search` or `fixed`, too"
            document.problem((section, *rest), message)
    for name, parameter in searched.items():
        if not _is_own(name) or (isinstance(parameter, list) and None in parameter):
            continue
        for reference in document.section(("references",)):
            if name not in shared | document.section(("references", reference)).keys():
                message = (
                    f"{name} is missing, and it has no default; expected {name} in each reference "
                    "or under `reference_defaults`"
                )
                document.problem(("references", reference), message)


def _is_own(name: str) -> bool:
    """Whether only the user's function knows this hyperparameter."""
    return isinstance(hyperparameters().get(name), OwnHyperparameter)
