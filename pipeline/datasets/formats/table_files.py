"""Reads a file of a table by its ending; searching and predicting read the same files alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from pipeline.datasets.formats.csv_files import read_csv_table
from pipeline.datasets.formats.feather_files import read_feather_table
from pipeline.datasets.formats.parquet_files import read_parquet_table
from pipeline.datasets.formats.table import Table
from pipeline.errors import DatasetError

TEXTS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
BINARIES: dict[str, Callable[[Path], Table]] = {
    ".parquet": read_parquet_table,
    ".feather": read_feather_table,
}
ENDINGS = (*TEXTS, *BINARIES)
"""Endings of files that hold a table."""


def ending(path: Path) -> str:
    """Returns the ending of a file's name in small letters, ``.csv.gz`` as one."""
    endings = [one.lower() for one in path.suffixes[-2:]]
    return "".join(endings) if endings[-1:] == [".gz"] else "".join(endings[-1:])


def read_table(
    path: Path,
    label_of: Callable[[tuple[str, ...]], str | None],
    expected: Sequence[str] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    words: Collection[str] = (),
    usual_decimal: str | None = None,
) -> Table:
    """Returns the columns of a file whose ending is one of :data:`ENDINGS`.

    Args:
        path: The file.
        label_of: As :func:`~pipeline.datasets.formats.csv_files.read_csv_table` takes it, and so
            are the others.
        expected: Columns that are known to be in the file; None where none are.
        delimiter: What separates the columns of a text; None to detect it.
        decimal: The decimal mark of a text; None to detect it.
        words: Columns of a text that are words, whatever their cells look like.
        usual_decimal: The decimal mark of a text that leaves it open; None where unknown.

    Raises:
        DatasetError: It is no such file, or can be read in two ways.
    """
    if ending(path) in TEXTS:
        return read_csv_table(path, label_of, expected, delimiter, decimal, words, usual_decimal)
    for option, given in (("delimiter", delimiter), ("decimal", decimal)):
        if given is not None:
            raise DatasetError(
                f"--{option} is for text files such as .csv, but {path} is none; leave it out."
            )
    return BINARIES[ending(path)](path)
