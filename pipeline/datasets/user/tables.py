"""The user's own ``.csv`` or ``.parquet``: one row per example in, :class:`RawData` out.

One column holds the classes (see ``datasets.labels``): the one that ``--label`` names, else the
only one named ``label``, ``target``, ``class`` or ``y``, else the last where it alone is text. All
others are features, numbers only, and become float32; a constant one is left out with a note.
Everything is split 60/20/20.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import Columns, RawData
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.csv_files import read_csv_table
from pipeline.datasets.formats.parquet_files import read_parquet_table
from pipeline.datasets.formats.table import Table
from pipeline.datasets.user.labels import read_labels
from pipeline.datasets.user.limits import check_memory
from pipeline.datasets.user.split_columns import (
    check_test_classes,
    split_columns,
    suspected_groups,
)
from pipeline.errors import DatasetError, closest
from pipeline.records import DataOptions

LABEL_NAMES = ("label", "y", "class", "target")
SHOWN_COLUMNS = 20
DEFAULT = DataOptions()


def read_csv(path: Path, options: DataOptions = DEFAULT) -> RawData:
    """Returns the examples of a user's CSV file: UTF-8, commas, a header.

    Raises:
        DatasetError: The file cannot be used; the message names column, row and remedy.
    """
    return _raw(read_csv_table(path, lambda names: _named_label(path, names, options)), options)


def read_parquet(path: Path, options: DataOptions = DEFAULT) -> RawData:
    """Returns the examples of a user's Parquet file of flat columns.

    Raises:
        DatasetError: The file cannot be used; the message names column, row and remedy.
    """
    return _raw(read_parquet_table(path), options)


def _raw(table: Table, options: DataOptions) -> RawData:
    for name in options.drop:
        _check_column(table.path, name, table.names, "--drop")
    label = _named_label(table.path, table.names, options) or _text_label(table, options)
    if len(table.names) == 1:
        raise DatasetError(
            f"{table.path} has one column, '{label}'; expected features and labels, a column each."
        )
    split = split_columns(table, label, options)
    apart = {label, *options.drop, *split.names}
    candidates = [name for name in table.names if name not in apart]
    if not candidates:
        raise DatasetError(
            f"{table.path}: --drop leaves no feature beside the labels '{label}'. Drop fewer."
            if not split.names
            else f"{table.path}: no feature is left beside {_some(sorted(apart))}."
        )
    where = f"{table.path}: column '{label}'"
    distinct, codes = table.classes(label)
    if label in distinct:
        raise DatasetError(
            f"{where} holds '{label}' as a value, too: the first line looks like data; expected a"
            " header with a name per column."
        )
    classes, labels = read_labels(distinct, codes, where, insist=options.classes)
    check_test_classes(split, labels, classes.names, table.path)
    inputs, constant = _numbers(table, candidates)
    features = tuple(name for name in candidates if name not in constant)
    findings = []
    if constant:
        told = f"left out, because every row has the same value: {_some(constant)}"
        findings.append(Finding("constant", told))
    if options.drop:
        findings.append(Finding("dropped", f"left out by --drop: {_some(options.drop)}"))
    findings += suspected_groups(table, features)
    return RawData(
        *("features", classes.names, inputs, labels),
        columns=Columns(label, features),
        groups=split.groups,
        order=split.order,
        given_parts=split.given_parts,
        findings=tuple(findings),
    )


def _numbers(table: Table, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Returns the columns that vary, float32 ``[num_rows, num_columns]``, and the names of others.

    Raises:
        DatasetError: A value cannot be used, or no column varies.
    """
    rows = table.num_rows
    check_memory(f"{table.path}, {rows:,} rows of {len(names):,} columns,", 4 * rows * len(names))
    inputs = np.empty((rows, len(names)), dtype=np.float32)
    constant, place = [], 0
    for name in names:
        values = table.numbers(name)
        if values.min() == values.max():
            constant.append(name)
        else:
            inputs[:, place] = values
            place += 1
    if not place:
        raise DatasetError(
            f"{table.path}: every row has the same value in {_some(constant)}; expected features"
            " that vary."
        )
    return inputs[:, :place] if not constant else inputs[:, :place].copy(), constant


def _named_label(path: Path, names: Sequence[str], options: DataOptions) -> str | None:
    """Returns the label column that the options or its name give; None where neither does."""
    if options.label is not None:
        _check_column(path, options.label, names, "--label")
        if options.label in options.drop:
            raise DatasetError(
                f"{path}: '{options.label}' is both --label and --drop. Drop others."
            )
        return options.label
    left = [name for name in names if name not in options.drop]
    found = [name for name in left if name.lower() in LABEL_NAMES]
    if len(found) > 1:
        raise DatasetError(
            f"{path}: the columns {found} could each be the labels, and one left among the features"
            f" would give them away. Name one with --label, and leave the others out with --drop."
        )
    # Beside x or z, y is a coordinate.
    if found and found[0].lower() == "y" and {"x", "z"} & {name.lower() for name in left[:-1]}:
        return found[0] if left[-1] == found[0] else None
    return found[0] if found else None


def _text_label(table: Table, options: DataOptions) -> str:
    """Returns the last column, where it alone holds text.

    Raises:
        DatasetError: It does not: which column holds the classes cannot be told.
    """
    left = [name for name in table.names if name not in options.drop]
    texts = [name for name in left if table.is_text(name)]
    if texts == left[-1:] and texts:
        return texts[0]
    raise DatasetError(
        f"{table.path}: which column holds the classes? Name it with --label COLUMN; the"
        f" columns are {_some(table.names)}. (Without it, the one column named"
        f" {', '.join(LABEL_NAMES[:-1])} or {LABEL_NAMES[-1]} is taken, or the last one where no"
        f" other is text.)"
    )


def _check_column(path: Path, name: str, names: Sequence[str], option: str) -> None:
    if name not in names:
        raise DatasetError(
            f"{path} has no column '{name}' ({option}){closest(name, names)}; the columns are"
            f" {_some(names)}."
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:SHOWN_COLUMNS])
    return shown if len(names) <= SHOWN_COLUMNS else f"{shown}, ... ({len(names)})"
