"""Turns label values as a user's file holds them into class numbers and names.

Labels are classes: whole numbers (``1``, ``1.0``, ``"1"`` are the same one), booleans (``True`` and
``"true"`` are), a few decimal numbers, or text, whose outer blanks do not count. The distinct
values, sorted, become classes 0, 1, ...; gaps between numbers do not matter. Missing labels are
refused (``NA`` and ``?`` are missing beside numbers or booleans alone), and so is what looks like
targets of a regression (``regression``).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

import numpy as np

from pipeline.datasets.formats import raw_values
from pipeline.datasets.user.regression import quantity
from pipeline.errors import DatasetError

MAX_NAME = 100
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,17}))(?:\.0*)?", re.ASCII)
_FRACTION = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
MOST_FRACTIONS = 10
"""So many different decimal numbers may be classes (doses, versions); more are a regression's."""

INSIST = "--classes takes them for classes nevertheless"

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


def read_labels(
    distinct: Sequence[Any],
    codes: np.ndarray,
    where: str,
    *,
    insist: bool = False,
    example: str = "row",
) -> tuple[Classes, np.ndarray]:
    """Returns the classes of the examples to be split, and the class number of each example.

    Args:
        distinct: Each label value once, in any order, in Python's own types.
        codes: Integer ``[n]``, each example's position in ``distinct``.
        where: File, and array or column, for messages.
        insist: Whether what looks like targets of a regression are classes nevertheless.
        example: ``row`` (counted from 1) or ``example`` (from 0), for messages.

    Raises:
        DatasetError: A label is missing, or they are no classes.
    """
    check_complete(distinct, codes, where, example)
    counts = np.bincount(codes, minlength=len(distinct))
    classes = classes_of(distinct, len(codes), where, counts=counts, insist=insist)
    return classes, encode(distinct, codes, classes, where)


def check_complete(
    distinct: Sequence[Any],
    codes: np.ndarray,
    where: str,
    example: str = "row",
    known: Sequence[str] = (),
) -> None:
    """Checks that no label is missing.

    Args:
        distinct: Each label value once.
        codes: Integer ``[n]``, each example's position in ``distinct``.
        where: File, and array or column, for messages.
        example: ``row`` (counted from 1) or ``example`` (from 0), for messages.
        known: Names of the classes that a test part's labels come from.

    Raises:
        DatasetError: One is; the message names its row.
    """
    texts = [value for value in (*distinct, *known) if isinstance(value, str)]
    no_class = means_missing if _beside_words(texts) else raw_values.means_missing
    for place, value in enumerate(distinct):
        if not no_class(value):
            continue
        number = int(np.argmax(codes == place)) + (example == "row")
        raise DatasetError(
            f"{where} holds {value!r} in {example} {number}, which means a missing label; expected"
            f" a class in every {example}. Fill in or drop those {example}s."
        )


def _beside_words(texts: Sequence[str]) -> bool:
    """Whether one is a word: beside numbers or booleans alone, ``NA`` and ``?`` are no classes."""
    said = (text.strip() for text in texts if not raw_values.means_missing(text))
    return not all(
        _FRACTION.fullmatch(text) or text.lower() in raw_values.BOOLEANS for text in said
    )


def classes_of(
    distinct: Sequence[Any],
    num_examples: int,
    where: str,
    *,
    counts: Sequence[int] | np.ndarray | None = None,
    insist: bool = False,
) -> Classes:
    """Returns the classes of the distinct label values of the examples to be split.

    Args:
        distinct: Each label value once, in any order, in Python's own types.
        num_examples: Number of examples.
        where: File, and array or column, for messages.
        counts: Number of examples of each value; None where they are surely classes.
        insist: Whether what looks like targets of a regression are classes nevertheless.

    Raises:
        DatasetError: They are no classes: fewer than two, too many, a regression's, no names.
    """
    read = _values(distinct, where, insist)
    values = sorted(set(read))
    if len(values) < 2:
        raise DatasetError(
            f"{where} has {len(values)} class {_some(list(map(str, values)))}; expected at least 2."
        )
    if len(values) > num_examples / 2:
        raise DatasetError(
            f"{where} has {len(values)} classes in {num_examples} examples; expected two or more"
            " examples per class. Targets of a regression cannot be used."
        )
    if counts is not None and not insist and all(type(value) is int for value in values):
        _check_no_quantity(read, counts, where)
    for value in values:
        check_name(str(value), where)
    return Classes({value: number for number, value in enumerate(values)})


def _check_no_quantity(
    values: Sequence[Value], counts: Sequence[int] | np.ndarray, where: str
) -> None:
    totals: Counter[Any] = Counter()
    for value, count in zip(values, counts, strict=True):
        totals[value] += int(count)
    whole = sorted(totals)
    if why := quantity(whole, [totals[value] for value in whole]):
        raise DatasetError(
            f"{where} holds {len(whole)} whole numbers from {whole[0]} to {whole[-1]} {why}, which"
            f" look like targets of a regression; expected classes. {INSIST}; or put them into a"
            " few ranges, each a class."
        )


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
    texts = all(isinstance(value, str) for value in classes.numbers)
    values = [_value_among(value, classes, where, texts) for value in distinct]
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
    """Whether a label beside words is none; ``NA`` may be a region, ``-`` the other of ``+``."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "null", "<na>", "nat")
    return value is None or bool(value != value)


def differing_in_case(names: Sequence[str]) -> list[str]:
    """Returns the names that another one equals but for capitals, blanks and zeros, sorted."""
    spelled = {name: _spelling(name) for name in names}
    times = Counter(spelled.values())
    return sorted(name for name in names if times[spelled[name]] > 1)


def _spelling(name: str) -> str | Decimal:
    """Returns what names that are probably one have in common; numbers may be versions."""
    if _FRACTION.fullmatch(name):
        with suppress(InvalidOperation):  # an exponent of twenty digits
            return Decimal(name)
    return "".join(name.casefold().split())


def plain_text(text: str) -> str:
    """Returns a text without blanks around it, in Unicode's form NFC: ``ö`` is one sign or two."""
    return unicodedata.normalize("NFC", text.strip())


def _values(distinct: Sequence[Any], where: str, insist: bool = False) -> list[Value]:
    if not all(isinstance(value, str) for value in distinct):
        return _numbers(distinct, where, insist)
    texts = [plain_text(value) for value in distinct]
    if {text.lower() for text in texts} <= {"true", "false"}:
        return [text.lower() == "true" for text in texts]
    whole = [_WHOLE.fullmatch(text) for text in texts]
    if all(whole):
        return [int(match[1]) for match in whole if match]
    if all(map(_FRACTION.fullmatch, texts)):
        _check_few(texts, where, insist)
    return list(texts)


def _value_among(value: Any, classes: Classes, where: str, texts: bool) -> Value:
    """Returns a label as these classes hold it: ``1`` is text beside words, else a number."""
    if not texts:
        return _values([value], where)[0]
    text = plain_text(str(value))
    return text if text in classes.numbers or isinstance(value, str) else str(float(value))


def _numbers(distinct: Sequence[Any], where: str, insist: bool) -> list[Value]:
    """Returns numbers as whole ones where all are, else as the texts that a CSV file has."""
    for value in distinct:
        if not isinstance(value, bool | int) and (
            not isfinite(value) or (float(value).is_integer() and abs(value) >= 2**53)
        ):
            raise DatasetError(
                f"{where} holds {value}, which is no class; expected whole numbers or text, a class"
                " per example. Targets of a regression cannot be used."
            )
    if all(isinstance(value, bool | int) or float(value).is_integer() for value in distinct):
        return [value if isinstance(value, bool) else int(value) for value in distinct]
    _check_few([str(value) for value in distinct], where, insist)
    return [str(float(value)) for value in distinct]


def _check_few(numbers: Sequence[str], where: str, insist: bool) -> None:
    if len(numbers) > MOST_FRACTIONS and not insist:
        raise DatasetError(
            f"{where} holds {len(numbers)} numbers such as '{numbers[0]}', which look like targets"
            f" of a regression; expected classes. {INSIST}; or put them into a few ranges, each a"
            " class."
        )


def _some(names: Sequence[str]) -> str:
    shown = [name[:MAX_NAME] for name in names[:8]]
    return str(shown) if len(names) <= len(shown) else f"{str(shown)[:-1]}, ...] ({len(names)})"
