"""What a search has to know of a dataset without holding its examples.

A :class:`DatasetSpec` in, a :class:`DatasetSummary` out. Large datasets are loaded in a process of
their own, which ends: only workers keep examples in memory, and the supervisor stays small.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline import datasets
from pipeline.datasets.dataset import Dataset, Kind
from pipeline.records import ChanceLevel, DatasetSpec

SMALL_BYTES = 2**24
"""A file up to this size is read in this process: starting another one costs a second."""


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset's description; the attributes are those of :class:`Dataset`.

    Attributes:
        row_size: Numbers that one example is made of: for ``multi_hot`` the mean of its ones.
    """

    name: str
    kind: Kind
    num_classes: int
    input_shape: tuple[int, ...]
    split_id: str
    split_sizes: Mapping[str, int]
    chance: ChanceLevel
    row_size: tuple[int, ...]

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
        )


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
    return DatasetSummary.of(datasets.load(spec))


def is_small(spec: DatasetSpec) -> bool:
    """Whether a dataset takes little memory: it comes with a library, or is a small file."""
    if datasets.is_path(spec.name):
        path = Path(spec.name)
        return not path.is_dir() and (not path.exists() or path.stat().st_size <= SMALL_BYTES)
    source = datasets.catalogue().get(spec.name)
    return source is None or bool(source.ships_with)
