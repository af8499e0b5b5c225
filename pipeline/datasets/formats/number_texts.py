"""Reads numbers as people write them: which decimal mark, and marks of thousands.

``1,061`` alone may be either; what cannot be told is refused with the option that says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.datasets.formats.raw_values import means_missing
from pipeline.errors import DatasetError

_LIKE = re.compile(r"[-+]?[.,]?\d[\d.,]*(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_OTHER = {".": ",", ",": "."}
_FRACTION = {
    mark: re.compile(rf"[-+]?\d*\{mark}\d+(e[-+]?\d+)?", re.ASCII | re.IGNORECASE) for mark in ".,"
}
_GROUPED = {mark: re.compile(rf"[-+]?[1-9]\d{{0,2}}(\{mark}\d{{3}})+", re.ASCII) for mark in ".,"}


def decimal_mark(
    path: Path, columns: Iterable[Iterable[str | None]], usual: str | None = None
) -> tuple[str | None, str]:
    """Returns the decimal mark of the columns that hold nothing but numbers.

    Args:
        path: Their file, for messages.
        columns: The texts of each column.
        usual: The mark where nothing but numbers such as ``1,061`` has one; None where unknown.

    Returns:
        ``.`` or ``,``, or None where no number has one; and the number that was read with the usual
        mark, or nothing.

    Raises:
        DatasetError: Both marks are used as such, or ``1,061`` may mean either.
    """
    clear: dict[str, str] = {}
    unclear: dict[str, str] = {}
    for column in columns:
        _note_marks(column, clear, unclear)
    if len(clear) == 2:
        raise DatasetError(
            f"{path} holds numbers such as '{clear['.']}' and '{clear[',']}', one with a decimal"
            " point and one with a decimal comma; say which is meant with --decimal."
        )
    if clear:
        return next(iter(clear)), ""
    if unclear and usual is not None:
        return usual, next(iter(unclear.values()))
    if "," in unclear:
        raise DatasetError(
            f"{path} holds numbers such as '{unclear[',']}', whose comma is a decimal mark or one"
            " of thousands; say which with --decimal , or --decimal ."
        )
    return None, ""


def with_another_mark(
    texts: Iterable[str | None], decimal: str, *, thousands: bool = True
) -> str | None:
    """Returns the first text whose decimal mark is not this one; None where there is none.

    Args:
        texts: What a column holds; nothing is found unless all of it is numbers, or missing.
        decimal: The decimal mark that numbers are read with.
        thousands: Whether the other mark may part thousands.
    """
    clear: dict[str, str] = {}
    unclear: dict[str, str] = {}
    _note_marks(texts, clear, unclear)
    found = clear if thousands else unclear | clear
    return found.get(_OTHER[decimal])


def _note_marks(
    texts: Iterable[str | None], clear: dict[str, str], unclear: dict[str, str]
) -> None:
    """Adds what a column says of the decimal mark, where all of it is numbers."""
    cells = [text.strip() for text in texts if not means_missing(text) and text is not None]
    if all(map(_LIKE.fullmatch, cells)):
        for cell in cells:
            _note_mark(cell, clear, unclear)


def _note_mark(cell: str, clear: dict[str, str], unclear: dict[str, str]) -> None:
    """Adds what a number says of the decimal mark."""
    marks = {mark for mark in ".," if mark in cell}
    if len(marks) == 2:
        last = max(".,", key=cell.rfind)
        if _GROUPED[_OTHER[last]].fullmatch(cell[: cell.rindex(last)]):
            clear.setdefault(last, cell)  # 1.061,5
    elif marks:
        (mark,) = marks
        if not _GROUPED[mark].fullmatch(cell):
            if _FRACTION[mark].fullmatch(cell):
                clear.setdefault(mark, cell)  # 0,5
        elif cell.count(mark) > 1:
            clear.setdefault(_OTHER[mark], cell)  # 1,061,000
        else:
            unclear.setdefault(mark, cell)


def grouped_numbers(texts: Sequence[str | None], decimal: str) -> list[float | None] | None:
    """Returns texts as numbers, where all are numbers; None where one is not.

    Args:
        texts: Numbers, whose thousands the mark that is not decimal may part.
        decimal: The decimal mark.

    Returns:
        None in the place of a missing value.
    """
    group = _OTHER[decimal]
    found: list[float | None] = []
    for text in texts:
        if text is None or means_missing(text):
            found.append(None)
            continue
        cell = text.strip()
        whole, mark, rest = cell.partition(decimal)
        if group in whole and not _GROUPED[group].fullmatch(whole):
            return None
        if not _LIKE.fullmatch(cell) or group in rest or decimal in rest:
            return None
        found.append(float(f"{whole.replace(group, '')}{'.' if mark else ''}{rest}"))
    return found if any(number is not None for number in found) else None
