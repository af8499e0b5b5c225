"""Says what a column of a user's table holds, and reads it as that.

The type is told by all rows, because it is how the file is written; what is fitted (medians, means,
frequent words) is fitted on train, in ``datasets.table_encoding``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.datasets.formats import raw_values
from pipeline.datasets.formats.number_texts import with_another_mark
from pipeline.datasets.formats.raw_values import ColumnError, means_missing
from pipeline.datasets.formats.table import Table
from pipeline.datasets.raw_rows import RawColumnValues, Words
from pipeline.datasets.user.date_forms import ISO, date_form

FIRST_TEXTS = 50
"""So many texts are looked at first."""
WORDS_OF_TEXT = 4
LETTERS_OF_TEXT = 100
"""From so many words or letters on, on average, a value is a text and no category."""
LONGEST_WORD = 1_000
"""What has more letters is a text in any case."""
MOSTLY_NUMBERS = 0.9
"""From this share of numbers on, what else stands among texts is a slip."""
ID_SHARE = 0.9
"""From this share of distinct values on, words are the rows' names, and numbers of an id's name."""
ID_ROWS = 10
"""Below this number of rows, distinct values say nothing."""
ID_NAME = re.compile(r"(.*[\W_])?(id|ids|idx|index|uuid|guid|key|rownames?|unnamed: \d+)")
FLOAT32_LOSS = 1e-4
"""Share of its deviation that a number may lose when it is rounded to float32."""
FEATURES = ("number", "boolean", "date", "category")


@dataclass(frozen=True, eq=False)
class TypedColumn:
    """A column of a table, read as what it holds.

    Attributes:
        name: Its name.
        kind: One of :data:`FEATURES`; or ``text``, ``id`` or ``constant``, which are left out.
        values: float64 with NaN for gaps, or words; None where it is left out unread.
        form: As in :class:`~pipeline.datasets.dataset.RawColumn`.
        gaps: Number of missing values.
        distinct: Number of distinct values that are not missing.
    """

    name: str
    kind: str
    values: RawColumnValues | None
    form: str = ""
    gaps: int = 0
    distinct: int = 0

    @property
    def plain(self) -> bool:
        """Whether it can be a float32 column as it is: no gaps, no information lost."""
        values = self.values
        if not isinstance(values, np.ndarray) or self.kind == "date" or self.gaps:
            return False
        largest = float(np.abs(values).max())
        if largest > float(np.finfo(np.float32).max):
            return False
        return largest * 2.0**-24 <= FLOAT32_LOSS * float(values.std())


def typed_column(table: Table, name: str, categorical: bool, keep_ids: bool) -> TypedColumn:
    """Returns a column, read as what it holds.

    Args:
        table: Its table.
        name: Its name.
        categorical: Whether it is one of words, whatever it looks like.
        keep_ids: Whether numbers that look like an id stay numbers.

    Raises:
        ColumnError: It holds nothing that a feature can be.
    """
    series, kind = table.values(name), table.kind(name)
    if kind == "other":
        raise ColumnError(f"holds values of type {table.type_name(name)}")
    if categorical:
        numeric = kind in ("number", "boolean") or (kind == "text" and _numeric(series))
        return _words(name, series, "number" if numeric and kind != "boolean" else "", forced=True)
    if kind in ("date", "time"):
        return _dates(name, series, "%H:%M:%S" if kind == "time" else ISO)
    if kind == "boolean":
        return _numbers(name, series, "boolean")
    if kind == "number":
        return _without_ids(_exact_numbers(name, series, keep_ids), keep_ids)
    return _texts(table, name, series, keep_ids)


def _numbers(name: str, series: Any, kind: str) -> TypedColumn:
    return _of_numbers(name, kind, raw_values.numbers(series))


def _exact_numbers(name: str, series: Any, keep_ids: bool) -> TypedColumn:
    """Returns a column of numbers; an id where distinct whole ones are equal in float64.

    Raises:
        ColumnError: Such numbers come more than once: they are no quantities, and no rows' names.
    """
    column = _numbers(name, series, "number")
    values: Any = column.values
    if not (np.abs(values) >= raw_values.EXACT).any() or series.dtype.kind == "f":
        return column
    exact = len({*raw_values.words(series, "number")[1]} - {""})
    if exact == column.distinct:
        return column
    if exact >= ID_SHARE * (len(values) - column.gaps) and not keep_ids:
        return TypedColumn(name, "id", None, "", column.gaps, exact)
    raise ColumnError(
        f"holds whole numbers beyond 2^53, of which {exact:,} different ones become"
        f" {column.distinct:,} as decimal numbers of 64 bits (--categorical makes words of them)"
    )


def _of_numbers(name: str, kind: str, values: np.ndarray, form: str = "") -> TypedColumn:
    """Returns a column of float64 values, constant where they are one value without gaps."""
    gaps = int(np.isnan(values).sum())
    present = values if not gaps else values[~np.isnan(values)]
    distinct = len(np.unique(present))
    constant = not distinct or (distinct == 1 and not gaps)
    return TypedColumn(name, "constant" if constant else kind, values, form, gaps, distinct)


def _without_ids(column: TypedColumn, keep_ids: bool) -> TypedColumn:
    if column.kind != "number" or keep_ids or not _is_id(column):
        return column
    return TypedColumn(column.name, "id", None, "", column.gaps, column.distinct)


def _is_id(column: TypedColumn) -> bool:
    """Whether numbers name the rows: whole, distinct, and in steps or under an id's name."""
    values: Any = column.values
    count = len(values)
    if count < ID_ROWS or column.distinct < ID_SHARE * count:
        return False
    present = values[~np.isnan(values)]
    if (present != np.floor(present)).any():
        return False
    if ID_NAME.fullmatch(column.name.lower()):
        return True
    if column.distinct < count:
        return False
    steps = np.diff(values)
    return bool((steps == steps[0]).all() or np.ptp(values) == count - 1)


def _dates(name: str, series: Any, form: str) -> TypedColumn:
    return _of_numbers(name, "date", raw_values.seconds(series, form), form)


def _texts(table: Table, name: str, series: Any, keep_ids: bool) -> TypedColumn:
    """Returns a column of texts: numbers, dates, words, or what is left out."""
    _check_mark(table, series)
    if _numeric(series):
        if _has_leading_zeros(series):
            return _words(name, series, "number")
        return _without_ids(_exact_numbers(name, series, keep_ids), keep_ids)
    form = date_form(series)
    if form is not None:
        return _dates(name, series, form)
    _check_numbers(series)
    return _words(name, series, "")


def _check_mark(table: Table, series: Any) -> None:
    """Checks that texts are not numbers with another decimal mark than the table's.

    Raises:
        ColumnError: They are.
    """
    written = table.written
    decimal = (written.decimal if written is not None else None) or "."
    # A text file's thousands are numbers by now; other files have no way to say what is meant.
    if cell := with_another_mark(_present(series), decimal, thousands=written is not None):
        mark = "comma" if decimal == "." else "point"
        raise ColumnError(
            f"holds numbers such as '{cell}', with a decimal {mark}, while '{decimal}' is the"
            " decimal mark (--categorical makes words of them)"
        )


def _check_numbers(series: Any) -> None:
    """Checks that texts are not numbers but for a few.

    Raises:
        ColumnError: They are.
    """
    numeric = {text: _reads_as_number(text) for text in _present(series)}
    if not any(numeric.values()):
        return
    count = wrong = first = 0
    for row, text in enumerate(series, 1):
        if not means_missing(text):
            count += 1
            if not numeric[str(text).strip()]:
                wrong, first = wrong + 1, first or row
    if count - wrong >= MOSTLY_NUMBERS * count:
        raise ColumnError(
            f"holds text among numbers, first {series.iloc[first - 1]!r:.60} in row {first}"
            " (--categorical makes words of all)"
        )


def _words(name: str, series: Any, form: str, forced: bool = False) -> TypedColumn:
    codes, distinct = raw_values.words(series, form)
    said = [word for word in distinct if word]
    gaps = int((codes == distinct.index("")).sum()) if "" in distinct else 0
    count = len(codes)
    kind = "category"
    if not said or (len(said) == 1 and not gaps):
        kind = "constant"
    elif not forced and _is_text(said, count - gaps):
        kind = "text"
    elif not forced and count >= ID_ROWS and len(said) >= ID_SHARE * (count - gaps) > 2:
        kind = "id"
    values = Words(codes, tuple(distinct)) if kind == "category" else None
    return TypedColumn(name, kind, values, form, gaps, len(said))


def _is_text(words: Sequence[str], count: int) -> bool:
    """Whether distinct values are sentences, few of which come twice, or too long for words."""
    if max(map(len, words)) > LONGEST_WORD:
        return True
    if len(words) < 0.5 * count and len(words) <= LETTERS_OF_TEXT:
        return False
    some = words[:: max(len(words) // 1000, 1)]
    blanks = sum(len(word.split()) for word in some) / len(some)
    return blanks >= WORDS_OF_TEXT or sum(map(len, some)) / len(some) >= LETTERS_OF_TEXT


def _present(series: Any) -> list[str]:
    return [str(value).strip() for value in series.unique() if not means_missing(value)]


def _numeric(series: Any) -> bool:
    """Whether texts are numbers, all of them, and some are there."""
    for text in itertools.islice((t for t in series if not means_missing(t)), FIRST_TEXTS):
        if not _reads_as_number(text):
            return False
    present = _present(series)
    return bool(present) and all(map(_reads_as_number, present))


def _reads_as_number(text: Any) -> bool:
    try:
        return str(text).isascii() and "_" not in str(text) and float(text) == float(text)
    except ValueError:
        return False


def _has_leading_zeros(series: Any) -> bool:
    return any(re.fullmatch(r"0\d+", text) for text in _present(series))
