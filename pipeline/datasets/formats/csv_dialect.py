"""Says how a text file of a table is written: its text, delimiter, header and decimal mark.

What can be read in two ways is refused with the option that says which one is meant.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.formats.number_texts import decimal_mark
from pipeline.datasets.formats.table import check_names, reads_as_number
from pipeline.datasets.limits import COPIES, available_bytes, check_memory
from pipeline.errors import DatasetError

DELIMITERS = (",", ";", "\t", "|")
SAMPLED_ROWS = 1_000
GROWTH = 4
"""Bytes in memory for a byte of text: the two of ``0,`` become a number of eight."""
_CHUNK = 2**20
_DECIMAL = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
"""What no column is called; nan, inf and 1e3 may be names."""


@dataclass(frozen=True)
class Dialect:
    """How a text file is written.

    Attributes:
        names: The header's names.
        delimiter: What separates columns.
        decimal: The decimal mark, ``.`` or ``,``; None where the first rows do not say.
        unclear: A number of the first rows that was read with the usual mark; empty for none.
        header_bytes: Where the first row begins.
        header_lines: Lines that the header takes.
    """

    names: tuple[str, ...]
    delimiter: str
    decimal: str | None
    unclear: str
    header_bytes: int
    header_lines: int


def text_of(path: Path) -> tuple[bytes, str]:
    """Returns a file's text in UTF-8, without a byte order mark, and the encoding that it had.

    ``.gz`` is unpacked.

    Raises:
        DatasetError: It is too large for memory, damaged, or in another encoding.
    """
    size = path.stat().st_size
    check_memory(f"{path}, {size:,} bytes of text,", size * GROWTH)
    content = _unpacked(path) if path.suffix.lower() == ".gz" else path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16").removeprefix("\ufeff").encode(), "UTF-16"
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{path} begins as UTF-16 text, but byte {error.start:,} is none; save the file as"
                " UTF-8."
            ) from error
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        for start in range(0, len(content), 64 * _CHUNK):
            _check_utf8(content, start, start + 64 * _CHUNK)
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise DatasetError(
            f"{path}: line {line} is not UTF-8 text (byte {content[error.start]:#04x}), and which"
            " encoding it has cannot be told; save the file as UTF-8 (spreadsheets: 'CSV UTF-8';"
            " iconv -f latin1 -t utf-8)."
        ) from error
    return content, "UTF-8"


def dialect_of(
    path: Path,
    content: bytes,
    delimiter: str | None,
    decimal: str | None,
    expected: Sequence[str] | None,
    usual_decimal: str | None = None,
) -> Dialect:
    """Returns how a text is written.

    Args:
        path: Its file, for messages.
        content: The text, UTF-8.
        delimiter: What separates its columns; None to detect it.
        decimal: Its decimal mark; None to detect it.
        expected: Columns that are known to be in such a file; None where none are. They may be
            called by numbers, and one of them may stand alone.
        usual_decimal: The decimal mark where numbers do not say it; None where unknown.

    Raises:
        DatasetError: It has no header, or can be read in two ways.
    """
    mark = delimiter or _delimiter(path, content)
    try:
        lines = _lines(content)
        reader = csv.reader(lines, delimiter=mark)
        names = tuple(" ".join(name.split()) for name in next(reader, []))
        num_lines = reader.line_num
        sample = list(itertools.islice(reader, SAMPLED_ROWS))
    except csv.Error as error:
        raise DatasetError(f"{path}: the first line is no CSV header ({error}).") from error
    _check_header(path, names, expected, mark)
    start = sum(len(line.encode()) for line in itertools.islice(_lines(content), num_lines))
    columns = itertools.zip_longest(*sample, fillvalue="")
    found, unclear = (decimal, "") if decimal else decimal_mark(path, columns, usual_decimal)
    return Dialect(names, mark, found, unclear, start, num_lines)


def _unpacked(path: Path) -> bytes:
    """Returns what a gzip file holds, up to what fits in memory."""
    limit = available_bytes() // COPIES // GROWTH
    parts, size = [], 0
    try:
        with gzip.open(path) as file:
            while chunk := file.read(_CHUNK):
                parts.append(chunk)
                size += len(chunk)
                if size > limit:
                    check_memory(f"{path}, unpacked,", size * GROWTH)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path} cannot be unpacked ({error}); expected a file that gzip wrote."
        ) from error
    return b"".join(parts)


def _check_utf8(content: bytes, start: int, stop: int) -> None:
    """Checks a piece of a text; one that is cut by its end is left to the next piece."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while start > 0 and content[start] & 0xC0 == 0x80:  # within a sign that began before
        start -= 1
    try:
        decoder.decode(content[start:stop], final=stop >= len(content))
    except UnicodeDecodeError as error:
        raise UnicodeDecodeError(
            error.encoding, content, start + error.start, start + error.end, error.reason
        ) from error


def _lines(content: bytes) -> Iterable[str]:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")


def _delimiter(path: Path, content: bytes) -> str:
    """Returns what separates the columns.

    Raises:
        DatasetError: Two signs could.
    """
    rows: dict[str, list[list[str]]] = {}
    for mark in DELIMITERS:
        try:
            found = list(itertools.islice(csv.reader(_lines(content), delimiter=mark), 100))
        except csv.Error:
            continue
        rows[mark] = [row for row in found if row]
    widths = {mark: {len(row) for row in found} for mark, found in rows.items()}
    fitting = [mark for mark, counts in widths.items() if len(counts) == 1 and max(counts) > 1]
    if len(fitting) > 1:
        shown = " and ".join(map(_shown, fitting))
        raise DatasetError(
            f"{path}: columns could be separated by {shown}; say which with --delimiter."
        )
    if fitting:
        return fitting[0]
    # Ragged, or one column: what makes most of the header, so that a message can name the row.
    wide = [mark for mark in rows if rows[mark] and len(rows[mark][0]) > 1]
    return max(wide, key=lambda mark: len(rows[mark][0]), default=",")


def _shown(mark: str) -> str:
    return "tab" if mark == "\t" else f"'{mark}'"


def _check_header(
    path: Path, names: tuple[str, ...], expected: Sequence[str] | None, mark: str
) -> None:
    if not any(names):
        raise DatasetError(
            f"{path} starts with an empty line; expected a header: a name per column, separated by"
            " commas."
        )
    if len(names) == 1 and expected is None:
        raise DatasetError(
            f"{path}: the header has one column; expected features and labels, separated by"
            f" {', '.join(map(_shown, DELIMITERS))}, or by what --delimiter says."
        )
    if not names[-1] and "" not in names[:-1]:
        raise DatasetError(
            f"{path}: the header ends in a trailing {'comma' if mark == ',' else _shown(mark)},"
            " which makes a column without a name. Remove it at the end of every line."
        )
    check_names(path, names)
    known = expected is not None and set(expected) <= set(names)
    data = [name for name in names if _DECIMAL.fullmatch(name)]
    if not known and (data or all(map(reads_as_number, names))):
        raise DatasetError(
            f"{path}: the first line looks like data ('{(data or names)[0]}'); expected a header"
            " with a name per column."
        )
