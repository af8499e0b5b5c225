"""Gives columns of numbers or labels of pyarrow's table, and checks what every table has to be.

``csv_files`` and ``parquet_files`` read one each. Missing values, text among numbers and infinities
are refused with column and row. Rows count from 1, a header is not counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.formats.raw_values import EXACT
from pipeline.errors import DatasetError, printable

MAX_COLUMNS = 100_000


@dataclass(frozen=True)
class TextForm:
    """How a text file of a table is written.

    Attributes:
        encoding: ``UTF-8`` or ``UTF-16``.
        delimiter: What separates columns.
        decimal: The decimal mark, ``.`` or ``,``; None where no number has one.
        unclear: A number such as ``1,061`` that was read with a mark known from elsewhere.
    """

    encoding: str
    delimiter: str
    decimal: str | None
    unclear: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """A table whose columns are looked at one by one.

    Attributes:
        path: The file, for messages.
        names: Names of the columns; distinct, printable.
        columns: A pyarrow array per column.
        num_rows: Number of rows, at least 1.
        written: How a text file is written; None for others.
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[Any, ...]
    num_rows: int
    written: TextForm | None = None

    def numbers(self, name: str) -> np.ndarray:
        """Returns a column of finite numbers, float32 ``[num_rows]``.

        Raises:
            DatasetError: A value is missing, no number, or not finite in float32.
        """
        import pyarrow as pa

        column = self.columns[self.names.index(name)]
        kind = column.type
        self._check_complete(name, column)
        if pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
            column, kind = column.cast(pa.float32()), pa.float32()
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DatasetError(
                f"{self.path}: column '{name}' holds {self._first_text(column)}; expected numbers"
                " only. Encode it (one-hot, ordinal) or leave it out."
            )
        with np.errstate(over="ignore"):  # out of float32's range becomes inf, reported below
            values: np.ndarray = column.to_numpy().astype(np.float32)
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values))) + 1
            raise DatasetError(
                f"{self.path}: column '{name}' holds a value that is not finite in float32, first"
                f" in row {row}. Fill in or drop those rows."
            )
        return values

    def values(self, name: str) -> Any:
        """Returns a column as pandas' ``Series``."""
        column = self.columns[self.names.index(name)]
        # Beside gaps pandas would make floats of whole numbers, which may lose digits.
        return column.to_pandas(integer_object_nulls=column.null_count > 0 and _is_long(column))

    def kind(self, name: str) -> str:
        """Returns what a column holds by its type in the file.

        Returns:
            ``number``, ``boolean``, ``date``, ``time``, ``text``, or ``other``, such as lists.
        """
        import pyarrow as pa

        kind = self.columns[self.names.index(name)].type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        checks = {
            "boolean": (pa.types.is_boolean,),
            "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
            "date": (pa.types.is_date, pa.types.is_timestamp),
            "time": (pa.types.is_time,),
            # A column of nothing but gaps may be of any type.
            "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_null),
        }
        found = (name for name, tests in checks.items() if any(test(plain) for test in tests))
        return next(found, "other")

    def type_name(self, name: str) -> str:
        """Returns what Arrow calls a column's type."""
        return str(self.columns[self.names.index(name)].type)[:60]

    def is_text(self, name: str) -> bool:
        """Whether a column holds text."""
        import pyarrow as pa

        kind = self.columns[self.names.index(name)].type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))

    def classes(self, name: str) -> tuple[list[Any], np.ndarray]:
        """Returns each value of a label column once, and each row's position among them.

        Raises:
            DatasetError: A label is missing, or of a type that cannot be a class.
        """
        import pyarrow as pa

        column = self.columns[self.names.index(name)]
        self._check_complete(name, column)
        plain = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not _is_label(plain):
            raise DatasetError(
                f"{self.path}: the label column '{name}' holds {plain}; expected whole numbers or"
                " text, a class per row. Name the column of the classes with --label."
            )
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        whole = column.unify_dictionaries().combine_chunks()
        if isinstance(whole, pa.ChunkedArray):
            whole = whole.chunk(0)
        distinct = [_plain(value) for value in whole.dictionary.to_pylist()]
        codes = whole.indices.to_numpy(zero_copy_only=False)
        # A dictionary may hold values twice, or ones that no row has.
        used, codes = np.unique(codes, return_inverse=True)
        distinct = [distinct[code] for code in used]
        if "" in distinct:
            row = int(np.argmax(codes == distinct.index(""))) + 1
            self._refuse_missing(name, row)
        return distinct, codes

    def _check_complete(self, name: str, column: Any) -> None:
        if column.null_count:
            missing = column.is_null().to_numpy()
            self._refuse_missing(name, int(np.argmax(missing)) + 1, column.null_count)

    def _refuse_missing(self, name: str, row: int, count: int = 1) -> None:
        many = f"misses {count:,} values, first" if count > 1 else "misses a value"
        raise DatasetError(
            f"{self.path}: column '{name}' {many} in row {row}; expected a value in every row."
            " Fill in or drop those rows."
        )

    def _first_text(self, column: Any) -> str:
        import pyarrow as pa

        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return f"values of type {str(column.type)[:60]}"
        for row, value in enumerate(column, 1):
            text = value.as_py()
            if not reads_as_number(text):
                return f"text, first '{text[:40]}' in row {row}"
        return "numbers as text"


def checked_table(
    path: Path, names: tuple[str, ...], table: Any, written: TextForm | None = None
) -> Table:
    """Returns pyarrow's table under these names.

    Raises:
        DatasetError: It has no rows, or not these columns.
    """
    if table.num_rows == 0 or table.num_columns != len(names):
        raise DatasetError(
            f"{path} has {table.num_rows} rows of {table.num_columns} columns; expected a row per"
            f" example, a value for each of the {len(names)} columns."
        )
    return Table(path, names, tuple(table.columns), table.num_rows, written)


def check_names(path: Path, names: Sequence[str]) -> None:
    """Checks the names of the columns.

    Raises:
        DatasetError: One is missing, given twice, or cannot be printed; or there are too many.
    """
    if len(names) > MAX_COLUMNS:
        raise DatasetError(f"{path} has {len(names):,} columns; at most {MAX_COLUMNS:,} are read.")
    seen: set[str] = set()
    for place, name in enumerate(names, 1):
        if not name or not name.isprintable() or len(name) > 200:
            hint = " Row numbers of pandas? Save with index=False." if not name else ""
            raise DatasetError(
                f"{path}: column {place} has the name {name[:40]!r}; expected 1 to 200 printable"
                f" characters.{hint}"
            )
        if name in seen:
            raise DatasetError(
                f"{path}: two columns are named '{name}'; expected distinct names. Rename or drop"
                " one."
            )
        seen.add(name)


def _is_long(column: Any) -> bool:
    """Whether a column holds whole numbers that float64 does not hold exactly."""
    import pyarrow as pa
    from pyarrow import compute

    if not pa.types.is_integer(column.type):
        return False
    ends = compute.min_max(column).as_py()
    return ends["min"] is not None and max(-ends["min"], ends["max"]) >= EXACT


def _plain(value: Any) -> Any:
    """Returns a label in Python's own types: a decimal that is whole is a whole number."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _is_label(kind: Any) -> bool:
    import pyarrow as pa

    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return text or any(check(kind) for check in checks)


def reads_as_number(text: str) -> bool:
    """Whether Python reads this text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextlib.contextmanager
def arrow_errors(path: Path, kind: str) -> Iterator[None]:
    """Turns what pyarrow raises on a damaged file of this format into a DatasetError."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowMemoryError as error:
        raise MemoryError(str(error)) from error
    # ArrowInvalid and others; OSError without a number is Arrow's for what it cannot decode.
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = printable((str(error).splitlines() or [""])[0])[:200]
        raise DatasetError(
            f"{path} cannot be read as {kind} ({reason}). Mend that place, or write the file again."
        ) from error
