"""Reads a text file of a table: a header and a row per line; every departure is refused.

How it is written (``csv_dialect``) is detected, or said by options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.formats.csv_dialect import Dialect, dialect_of, text_of
from pipeline.datasets.formats.number_texts import decimal_mark, grouped_numbers
from pipeline.datasets.formats.raw_values import EXACT, MISSING
from pipeline.datasets.formats.table import Table, TextForm, arrow_errors, checked_table
from pipeline.errors import DatasetError

_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
NULLS = sorted(
    MISSING | {word.upper() for word in MISSING} | {"NaN", "Nan", "-NaN", "NaT", "None", "Null"}
)
"""What arrow reads as missing among numbers; it looks at capitals."""


def read_csv_table(
    path: Path,
    label_of: Callable[[tuple[str, ...]], str | None],
    expected: Sequence[str] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    words: Collection[str] = (),
    usual_decimal: str | None = None,
) -> Table:
    """Returns the columns of a text file.

    Args:
        path: Text with a header, UTF-8 or UTF-16; ``.gz`` is unpacked.
        label_of: Names of the columns -> the one whose values are kept as text; None for none.
        expected: Columns that are known to be in such a file; None where none are. They may be
            called by numbers, and one of them may stand alone.
        delimiter: What separates the columns; None to detect it.
        decimal: The decimal mark, ``.`` or ``,``; None to detect it.
        words: Columns that are words, whatever their cells look like.
        usual_decimal: The decimal mark where the file leaves it open; None where unknown.

    Raises:
        DatasetError: It is no such file, or can be read in two ways.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    content, encoding = text_of(path)
    dialect = dialect_of(path, content, delimiter, decimal, expected, usual_decimal)
    names = dialect.names
    keys = [str(place) for place in range(len(names))]
    label = label_of(names)
    as_text = {label, *words}
    types = {key: pa.string() for key, name in zip(keys, names, strict=True) if name in as_text}
    rows = pa.py_buffer(memoryview(content)[dialect.header_bytes :])
    if not rows.size:
        raise DatasetError(
            f"{path} has 0 rows of {len(names)} columns; expected a row per example."
        )
    mark, unclear, ragged = dialect.decimal, dialect.unclear, []
    settled, read_with = mark is not None and not unclear, mark or usual_decimal or "."

    def keep(row: Any) -> str:
        ragged.append(row)
        return "error"

    exact = False
    while True:
        try:
            with arrow_errors(path, "CSV"):
                table = arrow_csv.read_csv(
                    pa.BufferReader(rows),
                    # In order and one by one, so that a message can name the row.
                    arrow_csv.ReadOptions(use_threads=False, block_size=1 << 24, column_names=keys),
                    arrow_csv.ParseOptions(
                        delimiter=dialect.delimiter,
                        newlines_in_values=True,
                        invalid_row_handler=keep,
                    ),
                    arrow_csv.ConvertOptions(
                        column_types=types,
                        decimal_point=read_with,
                        null_values=NULLS,
                        true_values=["true", "True", "TRUE"],
                        false_values=["false", "False", "FALSE"],
                    ),
                )
        except DatasetError as error:
            if ragged:
                raise _ragged(path, ragged[0], dialect, b'"' in content) from error
            raise
        texts = {
            place: column.unique().to_pylist()
            for place, column in enumerate(table.columns)
            if pa.types.is_string(column.type) and names[place] not in as_text
        }
        if not exact and (long := _long_numbers(keys, table.columns)):
            types |= dict.fromkeys(long, pa.string())
            exact = True
            continue
        if settled:
            break
        # Rows beyond the sample may say it.
        settled, (found, unclear_here) = True, decimal_mark(path, texts.values(), usual_decimal)
        if found is not None:
            mark, unclear = found, unclear_here
        if mark in (None, read_with):
            break
        read_with = mark
    if mark is None and any(pa.types.is_floating(column.type) for column in table.columns):
        mark = read_with
    columns = list(table.columns)
    for place, distinct in texts.items():
        numbers = grouped_numbers(distinct, read_with)
        if numbers is not None and not _loses_digits(distinct, numbers):
            indices = table.column(place).combine_chunks().dictionary_encode()
            number_of = dict(zip(distinct, numbers, strict=True))
            values = [number_of[text] for text in indices.dictionary.to_pylist()]
            columns[place] = pa.chunked_array(
                [pa.array(values, pa.float64()).take(indices.indices)]
            )
    written = TextForm(encoding, dialect.delimiter, mark, unclear)
    return checked_table(path, names, pa.table(columns, keys), written)


def _long_numbers(keys: Sequence[str], columns: Sequence[Any]) -> list[str]:
    """Returns the columns of decimal numbers that may be whole ones of too many digits."""
    import pyarrow as pa

    floats = (
        (key, one) for key, one in zip(keys, columns, strict=True) if pa.types.is_floating(one.type)
    )
    return [key for key, one in floats if (np.abs(one.to_numpy()) >= EXACT).any()]


def _loses_digits(texts: Sequence[str | None], numbers: Sequence[float | None]) -> bool:
    """Whether a whole number is another one in float64."""
    pairs = zip(texts, numbers, strict=True)
    return any(
        text is not None
        and abs(number) >= EXACT
        and _WHOLE.fullmatch(text.strip()) is not None
        and int(text) != int(number)
        for text, number in pairs
        if number is not None
    )


def _ragged(path: Path, row: Any, dialect: Dialect, quoted: bool) -> DatasetError:
    """Returns the refusal of a row that has not as many cells as the header."""
    # A quoted cell may take more than a line.
    place = f"row {row.number}" + ("" if quoted else f", line {row.number + dialect.header_lines},")
    return DatasetError(
        f"{path}: {place} has {row.actual_columns} cells, the header {row.expected_columns}:"
        f" {row.text[:60]!r}. Mend that row, or name another separator with --delimiter."
    )
