"""Finds which inputs are equal, by value, whatever they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pipeline.datasets.raw_rows import RawColumnValues, RawRows, Words

CHUNK = 1024
MOST_KEPT_TOGETHER = 0.1
"""Share of the examples that equal one another and still stay in one part. More cannot be in one
part without emptying the others: such inputs take few values, and repeating is their nature."""


def equal_inputs(inputs: Any) -> np.ndarray:
    """Returns a number per example, the same for examples whose inputs are equal.

    Args:
        inputs: ``[num_examples, ...]``: an array of numbers, a sparse one, or rows of a table.

    Returns:
        int64 ``[num_examples]``, from 0, in no order.
    """
    return np.unique(digests(inputs), return_inverse=True)[1].astype(np.int64)


def digests(inputs: Any) -> np.ndarray:
    """Returns 64 bits per example, the same for examples whose inputs are equal.

    Args:
        inputs: As :func:`equal_inputs` takes them. Of two arrays of one dtype the bits can be
            compared, of rows of two tables not.

    Returns:
        uint64 ``[num_examples]``.
    """
    # Of 200,000 different examples two share 64 bits once in a billion times.
    found = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in _rows(inputs))
    return np.frombuffer(found, "<u8")


def kept_together(groups: np.ndarray | None, equal: np.ndarray) -> np.ndarray | None:
    """Returns groups that hold equal inputs together, too; None where nothing needs holding.

    Args:
        groups: int64 ``[num_examples]`` that the data give; None for none.
        equal: int64 ``[num_examples]`` from :func:`equal_inputs`. Sets of more than
            :data:`MOST_KEPT_TOGETHER` of all examples are not held together.
    """
    counts = np.bincount(equal)
    held = counts[equal] <= MOST_KEPT_TOGETHER * len(equal)
    if not (held & (counts[equal] > 1)).any():
        return groups
    # An example that is not held is a set of its own.
    sets = np.where(held, equal, len(counts) + np.arange(len(equal)))
    if groups is None:
        return np.unique(sets, return_inverse=True)[1].astype(np.int64)
    _, sets = np.unique(sets, return_inverse=True)
    _, groups = np.unique(groups, return_inverse=True)
    # A group and a set that share an example are joined: components of a graph of both.
    size = int(groups.max()) + 1 + int(sets.max()) + 1
    edges = (np.ones(len(sets), bool), (groups, groups.max() + 1 + sets))
    graph = sparse.coo_array(edges, shape=(size, size))
    _, component = connected_components(graph, directed=False)
    joined: np.ndarray = component[groups].astype(np.int64)
    return joined


def _rows(inputs: Any) -> Iterator[bytes]:
    if isinstance(inputs, RawRows):
        numbers = [_numbers(values) for values in inputs.columns.values()]
        for start in range(0, len(inputs), CHUNK):
            yield from _bytes(np.stack([some[start : start + CHUNK] for some in numbers], axis=1))
    elif sparse.issparse(inputs):
        rows = inputs.copy()
        rows.sort_indices()
        indices, data = rows.indices.astype("<i8"), rows.data
        for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
            yield indices[start:end].tobytes() + data[start:end].tobytes()
    else:
        for start in range(0, len(inputs), CHUNK):
            yield from _bytes(inputs[start : start + CHUNK])


def _bytes(rows: np.ndarray) -> Iterator[bytes]:
    if rows.dtype.kind == "f":
        rows = np.where(np.isnan(rows), np.nan, rows + 0.0)  # -0.0 equals 0.0; one kind of NaN
    return (row.tobytes() for row in np.ascontiguousarray(rows).reshape(len(rows), -1))


def _numbers(values: RawColumnValues) -> np.ndarray:
    """Returns a column as float64 ``[num_rows]``, equal where its values are."""
    if isinstance(values, Words):
        return values.codes.astype(np.float64)
    if values.dtype == object:
        return np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)
    return values
