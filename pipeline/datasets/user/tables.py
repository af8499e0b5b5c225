"""The user's own ``.csv`` or ``.parquet``: one row per example in, :class:`RawData` out.

All columns but one are features, numbers only; they become float32. The labels stand in the column
named ``label``, ``y``, ``class`` or ``target``, else in the last one; they are classes (see
``datasets.labels``). Everything is split 60/20/20.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import RawData
from pipeline.datasets.formats.csv_files import read_csv_table
from pipeline.datasets.formats.parquet_files import read_parquet_table
from pipeline.datasets.formats.table import Table
from pipeline.datasets.user.labels import classes_of, encode
from pipeline.datasets.user.limits import check_memory
from pipeline.errors import DatasetError

LABEL_NAMES = ("label", "y", "class", "target")


def read_csv(path: Path) -> RawData:
    """Returns the examples of a user's CSV file: UTF-8, commas, a header.

    Raises:
        DatasetError: The file cannot be used; the message names column, row and remedy.
    """
    return _raw(read_csv_table(path, lambda names: _label_column(path, names)))


def read_parquet(path: Path) -> RawData:
    """Returns the examples of a user's Parquet file of flat columns.

    Raises:
        DatasetError: The file cannot be used; the message names column, row and remedy.
    """
    return _raw(read_parquet_table(path))


def _raw(table: Table) -> RawData:
    label = _label_column(table.path, table.names)
    features = [name for name in table.names if name != label]
    if not features:
        raise DatasetError(
            f"{table.path} has one column, '{label}'; expected features and labels, a column each."
        )
    where = f"{table.path}: column '{label}'"
    distinct, codes = table.classes(label)
    classes = classes_of(distinct, table.num_rows, where)
    labels = encode(distinct, codes, classes, where)
    shape = (table.num_rows, len(features))
    check_memory(
        f"{table.path}, {shape[0]:,} rows of {shape[1]:,} columns,", 4 * shape[0] * shape[1]
    )
    inputs = np.empty(shape, dtype=np.float32)
    for place, name in enumerate(features):
        inputs[:, place] = table.numbers(name)
    return RawData("features", classes.names, inputs, labels)


def _label_column(path: Path, names: Sequence[str]) -> str:
    found = [name for name in names if name.lower() in LABEL_NAMES]
    if len(found) > 1:
        raise DatasetError(
            f"{path}: the columns {found} could each be the labels, and one left among the features"
            " would give them away. Rename or drop all but one."
        )
    return found[0] if found else names[-1]
