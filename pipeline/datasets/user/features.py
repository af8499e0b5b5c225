"""Reads the features of a user's table: types each column, leaves out what is of no use, tells all.

Where all columns are numbers that float32 can hold, without gaps, they are the inputs as they are.
Otherwise the inputs are raw rows, and an encoding is fitted on the training part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.datasets.dataset import PLAIN, ColumnType, Encoding, RawColumn
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.raw_values import ColumnError
from pipeline.datasets.formats.table import Table
from pipeline.datasets.limits import check_memory
from pipeline.datasets.raw_rows import RawRows, Words
from pipeline.datasets.table_encoding import MOST_WORDS, fit
from pipeline.datasets.user.column_types import FEATURES, TypedColumn, typed_column
from pipeline.datasets.user.date_forms import CENTURY, TWO_DIGITS
from pipeline.datasets.user.labels import differing_in_case
from pipeline.errors import DatasetError, first_ones, listed
from pipeline.records import DataOptions

SHOWN_COLUMNS = 20
COMPARED_WORDS = 1_000
"""Of a column with more words it is not looked for those that are probably one."""
LEFT_OUT = {
    "constant": "left out, because every row has the same value: {}",
    "id": "left out, because the values name the rows (--ignore id keeps numbers): {}",
    "text": "left out, because the values are texts (--text COLUMN makes features of words): {}",
}
"""Kind of a column that is no feature, and code of its finding -> what is told."""


@dataclass(frozen=True, eq=False)
class Features:
    """What a model is trained on.

    Attributes:
        names: The columns, in the file's order.
        inputs: float32 ``[num_rows, num_columns]``, or :class:`RawRows`.
        fit_encoding: Raw training rows -> their encoding; None where the inputs are numbers.
        types: Every candidate's type, those that are left out, too.
        findings: What was left out.
    """

    names: tuple[str, ...]
    inputs: Any
    fit_encoding: Callable[[Any], Encoding] | None
    types: tuple[ColumnType, ...]
    findings: tuple[Finding, ...]


def read_features(table: Table, names: Sequence[str], options: DataOptions) -> Features:
    """Returns the columns that can be features.

    Args:
        table: The table.
        names: Its columns that are neither the label nor dropped.
        options: Says which columns are categories, and whether ids are kept.

    Raises:
        DatasetError: Columns cannot be used (all of them are named), or none varies.
    """
    rows = table.num_rows
    check_memory(f"{table.path}, {rows:,} rows of {len(names):,} columns,", 12 * rows * len(names))
    typed, unusable = [], []
    for name in names:
        try:
            keep_ids = "id" in options.ignore
            typed.append(typed_column(table, name, name in options.categorical, keep_ids))
        except ColumnError as error:
            unusable.append(f"column '{name}' {error}")
    if unusable:
        more = len(unusable) - SHOWN_COLUMNS
        raise DatasetError(
            f"{table.path}: {'; '.join(unusable[:SHOWN_COLUMNS])}"
            f"{f'; and {more} columns more' if more > 0 else ''}. Mend the values, or leave the"
            " columns out with --drop."
        )
    used = [column for column in typed if column.kind in FEATURES]
    findings = []
    for code, sentence in LEFT_OUT.items():
        if left := [column.name for column in typed if column.kind == code]:
            findings.append(Finding(code, sentence.format(listed(left))))
    if not used:
        told = "; ".join(finding.message for finding in findings)
        raise DatasetError(f"{table.path}: {told}; expected features that vary.")
    findings += _alike_words(used)
    if two_digits := [column.name for column in used if TWO_DIGITS in column.form]:
        findings.append(Finding("century", CENTURY.format(listed(two_digits))))
    inputs, fit_encoding = _inputs(table, used)
    types = tuple(_described(column, fit_encoding is None) for column in typed)
    return Features(
        tuple(column.name for column in used), inputs, fit_encoding, types, tuple(findings)
    )


def _alike_words(used: Sequence[TypedColumn]) -> list[Finding]:
    """Names words of categories that are probably one."""
    found = []
    for column in used:
        if not isinstance(column.values, Words) or column.distinct > COMPARED_WORDS:
            continue
        if alike := differing_in_case(column.values.distinct):
            found.append(f"'{column.name}' ({', '.join(map(repr, alike[:4]))})")
    if not found:
        return []
    told = f"words that differ in capitals, blanks or zeros only stay apart: {first_ones(found)}"
    return [Finding("case", told)]


def _inputs(
    table: Table, used: Sequence[TypedColumn]
) -> tuple[Any, Callable[[Any], Encoding] | None]:
    rows = table.num_rows
    if all(column.plain for column in used):
        inputs = np.empty((rows, len(used)), dtype=np.float32)
        for place, column in enumerate(used):
            inputs[:, place] = np.asarray(column.values)
        return inputs, None
    places = sum(
        min(column.distinct, MOST_WORDS) + 2 if column.kind == "category" else 2 for column in used
    )
    check_memory(
        f"{table.path}, {rows:,} rows that become {places:,} numbers each,", 4 * rows * places
    )
    raw = RawRows({column.name: column.values for column in used if column.values is not None})
    comma = "," if table.written is not None and table.written.decimal == "," else ""
    forms = [comma if column.kind == "number" else column.form for column in used]
    columns = (RawColumn(c.name, c.kind, form) for c, form in zip(used, forms, strict=True))
    return raw, partial(fit, tuple(columns))


def _described(column: TypedColumn, plain: bool) -> ColumnType:
    """Returns what a column is taken for and what is done with it."""
    gaps = "; gaps filled with the median and marked" if column.gaps else ""
    gap_word = "; gaps are a word" if column.gaps else ""
    done = {
        "number": f"scaled{gaps}",
        "boolean": f"0 and 1{gaps}",
        "date": f"scaled, and places in year, week and day as they vary{gaps}",
        "category": f"a one per word, rare ones share one{gap_word}",
    }
    said = done.get(column.kind, "left out")
    if plain and column.kind in FEATURES:
        said = PLAIN
    return ColumnType(column.name, column.kind, column.gaps, column.distinct, said)
