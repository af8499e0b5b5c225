"""Reads the column of texts of a user's table: its words are the features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pipeline.datasets import text_encoding
from pipeline.datasets.dataset import ColumnType
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.raw_values import ColumnError, texts
from pipeline.datasets.formats.table import Table
from pipeline.datasets.raw_rows import RawRows
from pipeline.datasets.user.features import Features
from pipeline.datasets.user.text_folders import wordless
from pipeline.errors import DatasetError, listed
from pipeline.records import DataOptions


def read_text_column(table: Table, names: Sequence[str], options: DataOptions) -> Features:
    """Returns the column that ``--text`` names as the only feature; the others are left out.

    Args:
        table: The table.
        names: Its columns that are neither the label nor dropped.
        options: ``text`` names the column.

    Raises:
        DatasetError: It is the label or dropped, holds no texts, or no word.
    """
    column = str(options.text)
    if column not in names:
        raise DatasetError(
            f"{table.path}: '{column}' is --text and the label or --drop, too. Choose another for"
            " one of them."
        )
    if options.categorical:
        raise DatasetError(
            f"{table.path}: beside --text '{column}' other columns are not used; leave"
            " --categorical out, or --text."
        )
    try:
        if (held := table.kind(column)) != "text":
            raise ColumnError(f"holds values of the type {held}, no texts")
        held_texts = texts(table.values(column))
    except ColumnError as error:
        raise DatasetError(
            f"{table.path}: column '{column}' {error}; expected texts in the column of --text."
        ) from error
    findings = list(wordless(held_texts, lambda row: f"in row {row + 1}"))
    if others := [name for name in names if name != column]:
        told = f"left out, because beside --text no other column is used: {listed(others)}"
        findings.append(Finding("beside_text", told))
    gaps, distinct = int((held_texts == "").sum()), len({*held_texts} - {""})
    done = f"a one per word, the {text_encoding.MOST_WORDS:,} most frequent of train"
    types = (ColumnType(column, "text", gaps, distinct, done),)
    fit = partial(text_encoding.fit, column)
    rows = RawRows({column: held_texts})
    return Features((column,), rows, fit, types, tuple(findings))
