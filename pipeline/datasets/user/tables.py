"""Reads the user's own table (``.csv``, ``.parquet`` and others), a row per example.

One column holds the classes (see ``datasets.labels``): the one that ``--label`` names, else the
only one named ``label``, ``target``, ``class`` or ``y``, else the last where it alone is text. All
others are features (see ``user.features``). Everything is split 60/20/20.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.dataset import Columns, RawData
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats import table_files
from pipeline.datasets.formats.table import Table
from pipeline.datasets.user.features import read_features
from pipeline.datasets.user.labels import read_labels
from pipeline.datasets.user.split_columns import (
    check_test_classes,
    split_columns,
    suspected_groups,
)
from pipeline.datasets.user.text_column import read_text_column
from pipeline.errors import DatasetError, closest, listed
from pipeline.records import DataOptions

LABEL_NAMES = ("label", "y", "class", "target")
DEFAULT = DataOptions()


def read_table(path: Path, options: DataOptions = DEFAULT) -> RawData:
    """Returns the examples of a user's table: a header, and a row per example.

    Raises:
        DatasetError: The file cannot be used; the message names column, row and remedy.
    """
    table = table_files.read_table(
        path,
        lambda names: _named_label(path, names, options),
        delimiter=options.delimiter,
        decimal=options.decimal,
    )
    return _raw(table, options)


def _raw(table: Table, options: DataOptions) -> RawData:
    for option in ("drop", "categorical"):
        for name in getattr(options, option):
            _check_column(table.path, name, table.names, f"--{option}")
    if options.text is not None:
        _check_column(table.path, options.text, table.names, "--text")
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
            else f"{table.path}: no feature is left beside {listed(sorted(apart))}."
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
    read = read_features if options.text is None else read_text_column
    features = read(table, candidates, options)
    findings = [*features.findings, *suspected_groups(table, features.names), *split.findings]
    if options.drop:
        findings.append(Finding("dropped", f"left out by --drop: {listed(options.drop)}"))
    return RawData(
        "features" if options.text is None else "multi_hot",
        *(classes.names, features.inputs, labels),
        columns=Columns(label, features.names, features.types, table.written),
        fit_encoding=features.fit_encoding,
        groups=split.groups,
        order=split.order,
        given_parts=split.given_parts,
        findings=tuple(findings),
    )


def _named_label(path: Path, names: Sequence[str], options: DataOptions) -> str | None:
    """Returns the label column that the options or its name give; None where neither does."""
    if options.label is not None:
        _check_column(path, options.label, names, "--label")
        if options.label in options.drop:
            raise DatasetError(
                f"{path}: '{options.label}' is both --label and --drop. Drop others."
            )
        return options.label
    left = [name for name in names if name not in (*options.drop, options.text)]
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
    left = [name for name in table.names if name not in (*options.drop, options.text)]
    texts = [name for name in left if table.is_text(name)]
    if texts == left[-1:] and texts:
        return texts[0]
    raise DatasetError(
        f"{table.path}: which column holds the classes? Name it with --label COLUMN; the"
        f" columns are {listed(table.names)}. (Without it, the one column named"
        f" {', '.join(LABEL_NAMES[:-1])} or {LABEL_NAMES[-1]} is taken, or the last one where no"
        f" other is text.)"
    )


def _check_column(path: Path, name: str, names: Sequence[str], option: str) -> None:
    if name not in names:
        raise DatasetError(
            f"{path} has no column '{name}' ({option}){closest(name, names)}; the columns are"
            f" {listed(names)}."
        )
