"""Label values as a user's file holds them in, class numbers and names out.

Labels are classes: whole numbers (``1``, ``1.0``, ``"1"`` are the same one), booleans or text. The
distinct values, sorted, become classes 0, 1, ...; gaps between numbers do not matter.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import DatasetError

MAX_NAME = 100
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,17}))(?:\.0*)?", re.ASCII)
_FRACTION = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
MOST_FRACTIONS = 10
"""So many different decimal numbers may be classes (doses, versions); more are a regression's."""

Value = int | str | bool


@dataclass(frozen=True)
class Classes:
    """The classes of a user's data.

    Attributes:
        numbers: Label value -> class number, in the order of the numbers.
    """

    numbers: Mapping[Value, int]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, by class number."""
        return tuple(str(value) for value in self.numbers)


def classes_of(distinct: Sequence[Any], num_examples: int, where: str) -> Classes:
    """Returns the classes of the distinct label values of the examples to be split.

    Args:
        distinct: Each label value once, in any order, in Python's own types.
        num_examples: Number of examples.
        where: File, and array or column, for messages.

    Raises:
        DatasetError: They are no classes: fewer than two, too many, not whole, no names.
    """
    values = sorted(set(_values(distinct, where)))
    if len(values) < 2:
        raise DatasetError(
            f"{where} has {len(values)} class {_some(list(map(str, values)))}; expected at least 2."
        )
    if len(values) > num_examples / 2:
        raise DatasetError(
            f"{where} has {len(values)} classes in {num_examples} examples; expected two or more"
            " examples per class. Targets of a regression cannot be used."
        )
    for value in values:
        check_name(str(value), where)
    return Classes({value: number for number, value in enumerate(values)})


def encode(distinct: Sequence[Any], codes: np.ndarray, classes: Classes, where: str) -> np.ndarray:
    """Returns the class number of each example.

    Args:
        distinct: Each label value once.
        codes: Integer ``[n]``, each example's position in ``distinct``.
        classes: The classes; those of the training part for a test part.
        where: File, and array or column, for messages.

    Returns:
        int32 ``[n]``.

    Raises:
        DatasetError: A value is none of the classes.
    """
    values = _values(distinct, where)
    unknown = sorted(str(value) for value in values if value not in classes.numbers)
    if unknown:
        raise DatasetError(
            f"{where} has the classes {_some(unknown)}, which the training part lacks; expected"
            f" only {_some(classes.names)}."
        )
    numbers = np.array([classes.numbers[value] for value in values], dtype=np.int32)
    return numbers[codes]


def check_name(name: str, where: str) -> None:
    """Checks that a class's name can be shown and stored.

    Raises:
        DatasetError: It is too long, or holds signs that cannot be printed.
    """
    if len(name) > MAX_NAME or not name.isprintable():
        raise DatasetError(
            f"{where} has the class {name[:MAX_NAME]!r}, which cannot be a name; expected 1 to"
            f" {MAX_NAME} printable characters. Rename it, or use class numbers."
        )


def means_missing(value: Any) -> bool:
    """Whether a label is a word for a missing value in every language; ``NA`` may be a class."""
    return isinstance(value, str) and value.strip().lower() in ("nan", "null", "<na>", "nat")


def differing_in_case(names: Sequence[str]) -> list[str]:
    """Returns the names that another one equals but for capitals, sorted."""
    folded = Counter(name.casefold() for name in names)
    return sorted(name for name in names if folded[name.casefold()] > 1)


def _values(distinct: Sequence[Any], where: str) -> list[Value]:
    if not all(isinstance(value, str) for value in distinct):
        return [_number(value, where) for value in distinct]
    texts = [value.strip() for value in distinct]
    if "" in texts:
        raise DatasetError(f"{where} has empty labels; expected a class for every example.")
    whole = [_WHOLE.fullmatch(text) for text in texts]
    if all(whole):
        return [int(match[1]) for match in whole if match]
    if all(map(_FRACTION.fullmatch, texts)) and len(texts) > MOST_FRACTIONS:
        raise DatasetError(
            f"{where} holds {len(texts)} numbers such as '{texts[0]}', which look like targets of a"
            " regression; expected classes. Name them by words if they are classes."
        )
    return list(texts)


def _number(value: Any, where: str) -> Value:
    if isinstance(value, bool | int):
        return value
    if value != value:
        raise DatasetError(f"{where} has missing labels (NaN); expected a class for every example.")
    if not float(value).is_integer() or abs(value) >= 2**53:
        raise DatasetError(
            f"{where} holds {value}, which is no class; expected whole numbers or text, a class per"
            " example. Targets of a regression cannot be used."
        )
    return int(value)


def _some(names: Sequence[str]) -> str:
    shown = [name[:MAX_NAME] for name in names[:8]]
    return str(shown) if len(names) <= len(shown) else f"{str(shown)[:-1]}, ...] ({len(names)})"
