"""Reads a file of a table for a model of raw values: its columns by name.

The file is read as ``pipeline search`` reads it. What the model does not take is ignored, what it
fills in or never saw in training is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.formats.raw_values import ColumnError, model_input
from pipeline.datasets.formats.table import Table, TextForm
from pipeline.datasets.formats.table_files import ENDINGS, ending, read_table
from pipeline.datasets.raw_rows import input_names
from pipeline.errors import InputError, closest, first_ones, listed
from pipeline.predict.text_inputs import tell_wordless

Note = Callable[[str], None]


def read_columns(
    path: Path,
    names: Sequence[str],
    note: Note,
    delimiter: str | None,
    decimal: str | None,
    words: Collection[str] = (),
    usual_decimal: str | None = None,
) -> Table:
    """Returns a table that has these columns; tells which others it has, and another decimal mark.

    Args:
        path: The file.
        names: The columns that are wanted.
        note: Takes a sentence on what of the file was ignored, or how it was read.
        delimiter: What separates the columns of a text; None to detect it.
        decimal: The decimal mark of a text; None to detect it.
        words: Columns of a text that are words, whatever their cells look like.
        usual_decimal: The decimal mark of training; None where unknown.

    Raises:
        InputError: It cannot be read, or lacks one of them.
    """
    if ending(path) not in ENDINGS:
        raise InputError(
            f"{path}: the model takes a table's columns by name; expected a file ending in"
            f" {', '.join(ENDINGS)}"
        )
    table = read_table(path, lambda _: None, names, delimiter, decimal, words, usual_decimal)
    if missing := [name for name in names if name not in table.names]:
        raise InputError(
            f"{path} lacks {len(missing)} of the model's {len(names)} columns:"
            f" {listed(missing)}{closest(missing[0], table.names)}; it has {listed(table.names)}"
        )
    if extra := [name for name in table.names if name not in names]:
        note(f"{path}: columns that the model does not take were ignored: {listed(extra)}")
    _tell_decimal(path, table.written, decimal, usual_decimal, note)
    return table


def read_raw_inputs(
    path: Path,
    columns: Sequence[RawColumn],
    note: Note,
    delimiter: str | None = None,
    decimal: str | None = None,
    usual_decimal: str | None = None,
) -> dict[str, np.ndarray]:
    """Returns the raw values that a model takes, an array ``[n, 1]`` per input.

    Args:
        path: The file.
        columns: What the model takes.
        note: Takes a sentence on what of the file was ignored or filled in.
        delimiter: What separates the columns of a text; None to detect it.
        decimal: The decimal mark of a text; None to detect it.
        usual_decimal: The decimal mark of training; None where unknown.

    Raises:
        InputError: The file lacks a column, or holds values that do not fit; all are named.
    """
    names = [column.name for column in columns]
    # In the file of training they were words; here their cells may all look like numbers.
    words = [one.name for one in columns if _are_words(one)]
    table = read_columns(path, names, note, delimiter, decimal, words, usual_decimal)
    found: dict[str, np.ndarray] = {}
    wrong = []
    for name, column in zip(input_names(names), columns, strict=True):
        try:
            form = column.form
            if column.kind == "number" and table.written is not None:
                form = "," if table.written.decimal == "," else ""
            found[name] = model_input(column.kind, form, table.values(column.name))
        except ColumnError as error:
            wrong.append(f"column '{column.name}' {error}")
    if wrong:
        raise InputError(f"{path}: {first_ones(wrong, '; ')}")
    _tell_gaps(path, columns, found, note)
    return found


def tell_unseen(
    path: Path,
    columns: Sequence[RawColumn],
    inputs: Mapping[str, np.ndarray],
    vocabularies: Mapping[int, frozenset[str]],
    note: Note,
) -> None:
    """Tells which words are none that the model knows.

    Args:
        path: The file.
        columns: What the model takes.
        inputs: An array ``[n, 1]`` per input, in the order of the columns.
        vocabularies: Place of a column -> the words that the model has a place for.
        note: Takes the sentence.
    """
    unseen = []
    for place, (column, values) in enumerate(zip(columns, inputs.values(), strict=True)):
        if column.kind == "category":
            words = set(np.unique(values)) - {""} - vocabularies.get(place, frozenset())
            if words:
                unseen.append(f"'{column.name}' ({listed(sorted(words)[:5])})")
    if unseen:
        note(
            f"{path}: words that were rare or absent in training count as others:"
            f" {first_ones(unseen)}"
        )


def _are_words(column: RawColumn) -> bool:
    return column.kind == "text" or (column.kind == "category" and column.form != "number")


def _tell_decimal(
    path: Path, written: TextForm | None, asked: str | None, usual: str | None, note: Note
) -> None:
    """Tells where numbers have another decimal mark than in training, or only that one says it."""
    if written is None or asked is not None or usual is None:
        return
    if written.unclear:
        note(
            f"{path}: numbers such as '{written.unclear}' were read with the decimal mark of the"
            f" training file, '{usual}'; --decimal says another"
        )
    elif written.decimal not in (None, usual):
        note(
            f"{path}: numbers have the decimal mark '{written.decimal}', in the training file"
            f" '{usual}'; they were read with their own"
        )


def _tell_gaps(
    path: Path, columns: Sequence[RawColumn], inputs: Mapping[str, np.ndarray], note: Note
) -> None:
    filled = []
    for column, values in zip(columns, inputs.values(), strict=True):
        if column.kind == "text":
            tell_wordless(path, values[:, 0], lambda row: f"in row {row + 1}", note)
            continue
        gaps = values == "" if column.dtype == "string" else np.isnan(values)
        if gaps.any() and not column.gaps:
            filled.append(f"'{column.name}' ({int(gaps.sum())})")
    if filled:
        note(
            f"{path}: missing values in columns that had none in training were filled in:"
            f" {first_ones(filled)}"
        )
