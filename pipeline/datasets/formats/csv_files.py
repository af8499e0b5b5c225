"""A CSV file in, a table out: UTF-8, commas, a header; every departure refused with its line."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.datasets.formats.table import (
    Table,
    arrow_errors,
    check_names,
    checked_table,
    reads_as_number,
)
from pipeline.datasets.user.limits import check_memory
from pipeline.errors import DatasetError

_DECIMAL = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
"""What no column is called; nan, inf and 1e3 may be names."""
GROWTH = 4
"""Bytes in memory for a byte of text: the two of ``0,`` become a number of eight."""


def read_csv_table(
    path: Path,
    label_of: Callable[[tuple[str, ...]], str | None],
    expected: Sequence[str] | None = None,
) -> Table:
    """Returns the columns of a CSV file.

    Args:
        path: UTF-8 text with a header, comma-separated.
        label_of: Names of the columns -> the one whose values are kept as text; None for none.
        expected: Columns that are known to be in such a file; None where none are. They may be
            called by numbers, and one of them may stand alone.

    Raises:
        DatasetError: It is no such file.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    size = path.stat().st_size
    check_memory(f"{path}, {size:,} bytes of text,", size * GROWTH)
    _check_utf8(path)
    names = _csv_header(path, expected)
    keys = [str(place) for place in range(len(names))]
    label = label_of(names)
    types = {} if label is None else {keys[names.index(label)]: pa.string()}
    with arrow_errors(path, "CSV"):
        table = arrow_csv.read_csv(
            path,
            # In order and one by one, so that a message can name the row.
            arrow_csv.ReadOptions(
                use_threads=False, block_size=1 << 24, skip_rows=1, column_names=keys
            ),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(column_types=types),
        )
    return checked_table(path, names, table)


def _check_utf8(path: Path) -> None:
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        while True:
            chunk = file.read(1 << 20)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                raise DatasetError(
                    f"{path}: line {line} is not UTF-8 text (byte {error.object[error.start]:#04x})"
                    "; save the file as UTF-8 (spreadsheets: 'CSV UTF-8')."
                ) from error
            if not chunk:
                return
            line += chunk.count(b"\n")


def _csv_header(path: Path, expected: Sequence[str] | None) -> tuple[str, ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = next(csv.reader([file.readline()]), [])
    except csv.Error as error:
        raise DatasetError(f"{path}: the first line is no CSV header ({error}).") from error
    names = tuple(name.strip() for name in found)
    if not names:
        raise DatasetError(
            f"{path} starts with an empty line; expected a header: a name per column, separated by"
            " commas."
        )
    if len(names) == 1 and expected is None:
        other = next(
            (f" It looks separated by {mark!r}." for mark in ";\t|" if mark in names[0]), ""
        )
        raise DatasetError(
            f"{path}: the header has one column; expected features and labels, separated by"
            f" commas.{other}"
        )
    if not names[-1] and "" not in names[:-1]:
        raise DatasetError(
            f"{path}: the header ends in a trailing comma, which makes a column without a name."
            " Remove the comma at the end of every line."
        )
    check_names(path, names)
    known = expected is not None and set(expected) <= set(names)
    data = [name for name in names if _DECIMAL.fullmatch(name)]
    if not known and (data or all(map(reads_as_number, names))):
        raise DatasetError(
            f"{path}: the first line looks like data ('{(data or names)[0]}'); expected a header"
            " with a name per column."
        )
    return names
