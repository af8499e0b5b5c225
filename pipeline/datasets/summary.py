"""Describes a dataset in numbers, without its examples, for a search and ``datasets show``.

A :class:`DatasetSpec` in, a :class:`DatasetSummary` out. Large datasets are loaded in a process of
their own, which ends: only workers keep examples in memory, and the supervisor stays small.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from pipeline.datasets import registry
from pipeline.datasets.dataset import (
    PLAIN,
    Columns,
    ColumnType,
    Dataset,
    Kind,
    Part,
    RawColumn,
)
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.table import TextForm
from pipeline.errors import InputError, printable
from pipeline.records import ChanceLevel, DataNotes, DatasetSpec

SHOWN_FEATURES = 12
"""Names of features that a line shows."""
SHOWN_TYPES = 40
"""Columns whose types are shown, a line each."""
SMALL_BYTES = 2**24
"""A file up to this size is read in this process: starting another one costs a second."""


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset's description; the attributes are those of :class:`Dataset`.

    Attributes:
        row_size: Numbers that one example is made of: for ``multi_hot`` the mean of its ones.
        raw_columns: Columns that the delivered model takes as they are in the data.
    """

    name: str
    kind: Kind
    num_classes: int
    input_shape: tuple[int, ...]
    split_id: str
    split_sizes: Mapping[str, int]
    chance: ChanceLevel
    row_size: tuple[int, ...]
    columns: Columns | None = None
    findings: tuple[Finding, ...] = ()
    raw_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetSummary:
        """Returns the summary of a loaded dataset."""
        row_size = dataset.input_shape
        if dataset.kind == "multi_hot":
            row_size = (max(round(dataset.train.inputs.nnz / len(dataset.train)), 1),)
        return cls(
            dataset.name,
            dataset.kind,
            dataset.num_classes,
            dataset.input_shape,
            dataset.split_id,
            dict(dataset.split_sizes),
            dataset.chance,
            row_size,
            dataset.columns,
            dataset.findings,
            raw_columns(dataset.encoding.columns if dataset.encoding is not None else ()),
        )


def raw_columns(columns: Iterable[RawColumn]) -> tuple[str, ...]:
    """Returns the names of columns that are words, texts or numbers of 64 bits."""
    return tuple(column.name for column in columns)


def check_backend(names: Sequence[str], backend: str) -> None:
    """Checks that a backend of Keras takes strings and float64, where a model is given such.

    Args:
        names: Columns that the delivered model takes as they are in the data.
        backend: Name of the backend.

    Raises:
        InputError: There are such columns, and it takes none.
    """
    if names and backend != "tensorflow":
        raise InputError(
            f"the delivered model takes words, texts, dates or exact numbers as they are"
            f" ({shown_names(names)}), which Keras does with TensorFlow only, but its backend is"
            f" {backend}: unset KERAS_BACKEND"
        )


def shown_names(names: Sequence[str]) -> str:
    """Returns the first names in quotes, separated by commas."""
    return ", ".join(f"'{name}'" for name in names[:5]) + ", ..." * (len(names) > 5)


def summarize(spec: DatasetSpec) -> DatasetSummary:
    """Returns the summary of a dataset.

    Raises:
        DatasetError: As :func:`pipeline.datasets.load`.
    """
    if is_small(spec):
        return read(spec)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as reader:
        return reader.submit(read, spec).result()


def read(spec: DatasetSpec) -> DatasetSummary:
    """Loads a dataset in this process; returns its summary."""
    return DatasetSummary.of(registry.load(spec))


def describe(dataset: Dataset) -> dict[str, Any]:
    """Returns a dataset in plain values, ready for JSON; nothing of the test part but its size.

    Returns:
        ``name``, ``kind``, ``input_shape``, ``dtype``, ``num_classes``, ``split_sizes``,
        ``split_id``, ``fingerprint``, ``num_measured``, ``classes`` (per class its name and number
        of train and validation examples), ``chance_accuracy``, ``chance_ce`` (nats) and
        ``memory_bytes`` of the train and validation parts; ``columns`` of a table, else None;
        ``findings`` (``code`` and ``message`` each).
    """
    train, validation = (_counts(dataset, part) for part in (dataset.train, dataset.validation))
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "input_shape": list(dataset.input_shape),
        "dtype": str(dataset.train.inputs.dtype),
        "num_classes": dataset.num_classes,
        "split_sizes": dict(dataset.split_sizes),
        "split_id": dataset.split_id,
        "fingerprint": dataset.fingerprint,
        "num_measured": len(dataset.measured),
        "classes": [
            {"name": name, "train": train[number], "validation": validation[number]}
            for number, name in enumerate(dataset.class_names)
        ],
        "columns": None if dataset.columns is None else asdict(dataset.columns),
        "findings": [asdict(finding) for finding in dataset.findings],
        "chance_accuracy": dataset.chance.accuracy,
        "chance_ce": dataset.chance.ce,
        "memory_bytes": _num_bytes(dataset.train) + _num_bytes(dataset.validation),
    }


def as_lines(description: dict[str, Any]) -> list[str]:
    """Returns a description (:func:`describe`) in lines for a terminal."""
    sizes, classes = description["split_sizes"], description["classes"]
    lines = [
        f"{description['name']}: {description['kind']}, inputs {description['input_shape']} "
        f"({description['dtype']}), {description['num_classes']} classes",
        f"train {sizes['train']:,}, validation {sizes['validation']:,}, test {sizes['test']:,} "
        f"(sealed); split {description['split_id']}; "
        f"{description['memory_bytes'] / 2**20:.1f} MiB in memory",
        f"without skill: accuracy {description['chance_accuracy']:.3f}, cross-entropy "
        f"{description['chance_ce']:.3f}",
    ]
    if description["columns"]:
        told = dict(description["columns"])
        types = tuple(ColumnType(**one) for one in told.pop("types"))
        if told["written"]:
            told["written"] = TextForm(**told["written"])
        lines += _column_lines(Columns(**told | {"types": types}), len(classes))
    lines += _finding_lines([Finding(**finding) for finding in description["findings"]])
    width = max(len(entry["name"]) for entry in classes)
    lines.append(f"{'class':<{width}}  {'train':>8}  {'validation':>10}")
    lines += [
        f"{entry['name']:<{width}}  {entry['train']:>8,}  {entry['validation']:>10,}"
        for entry in classes
    ]
    return lines


def data_lines(dataset: DatasetSummary) -> list[str]:
    """Returns what a table's columns are used for and what was found, in lines for a terminal."""
    columns = dataset.columns
    about = [] if columns is None else _column_lines(columns, dataset.num_classes)
    return about + _finding_lines(dataset.findings)


def data_notes(dataset: DatasetSummary) -> DataNotes:
    """Returns the same for the study's record, in sentences."""
    about, columns = [], dataset.columns
    if columns is not None:
        if columns.written is not None:
            about.append(_written_line(columns.written))
        about.append(_column_line(columns, dataset.num_classes))
        features = [one for one in columns.types if one.name in columns.features]
        kinds = Counter(one.kind for one in features)
        gaps = [f"{one.name} ({one.gaps:,})" for one in features if one.gaps]
        if kinds:
            counts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())
            about.append(f"features by type: {counts}")
        if gaps:
            shown = ", ".join(gaps[:SHOWN_FEATURES]) + ", ..." * (len(gaps) > SHOWN_FEATURES)
            about.append(printable(f"features with gaps: {shown}"))
    found = ((finding.code, printable(finding.message)) for finding in dataset.findings)
    return DataNotes(tuple(about), tuple(found))


def _finding_lines(findings: Iterable[Finding]) -> list[str]:
    return [printable(f"{finding.message} [{finding.code}]") for finding in findings]


def _column_lines(columns: Columns, num_classes: int) -> list[str]:
    """Returns the label and the features; where they are more than numbers, a line for each."""
    lines = [_column_line(columns, num_classes)]
    if columns.written is not None:
        lines.insert(0, _written_line(columns.written))
    types = columns.types[:SHOWN_TYPES]
    if all(one.done == PLAIN or one.name not in columns.features for one in columns.types):
        return lines
    width = min(max(len(name) for name in ("column", *(one.name for one in types))), 30)
    lines.append(f"{'column':<{width}}  {'type':<8}  {'gaps':>8}  {'distinct':>8}  what is done")
    for one in types:
        counts = f"{one.gaps:>8,}  {one.distinct:>8,}"
        lines.append(printable(f"{one.name:<{width}}  {one.kind:<8}  {counts}  {one.done}"))
    if len(types) < len(columns.types):
        lines.append(f"... and {len(columns.types) - len(types):,} columns more")
    return lines


def _written_line(written: TextForm) -> str:
    delimiter = "tab" if written.delimiter == "\t" else f"'{written.delimiter}'"
    decimal = f", decimal mark '{written.decimal}'" if written.decimal else ""
    return printable(f"text in {written.encoding}, columns separated by {delimiter}{decimal}")


def _column_line(columns: Columns, num_classes: int) -> str:
    names = columns.features
    shown = ", ".join(names[:SHOWN_FEATURES]) + ", ..." * (len(names) > SHOWN_FEATURES)
    return printable(
        f"label '{columns.label}' ({num_classes} classes); features ({len(names)}): {shown}"
    )


def is_small(spec: DatasetSpec) -> bool:
    """Whether a dataset takes little memory: it comes with a library, or is a small file."""
    if registry.is_path(spec.name):
        path = Path(spec.name)
        return not path.is_dir() and (not path.exists() or path.stat().st_size <= SMALL_BYTES)
    source = registry.catalogue().get(spec.name)
    return source is None or bool(source.ships_with)


def _counts(dataset: Dataset, part: Part) -> list[int]:
    counts: list[int] = np.bincount(part.labels, minlength=dataset.num_classes).tolist()
    return counts


def _num_bytes(part: Part) -> int:
    arrays = [part.inputs]
    if sparse.issparse(part.inputs):
        arrays = [part.inputs.data, part.inputs.indices, part.inputs.indptr]
    return sum(int(array.nbytes) for array in arrays) + int(part.labels.nbytes)
