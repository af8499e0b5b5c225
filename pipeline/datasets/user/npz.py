"""Reads the user's own ``.npz`` as :class:`RawData`: checked arrays; nothing is ever unpickled.

Either ``x`` and ``y``, which are split 60/20/20, or ``x_train``, ``y_train``, ``x_test`` and
``y_test``: then train is split 80/20, and the test part stays sealed. Its shapes, whether its
values are finite, and which classes it has are checked at once: a search later, it is too late.

- ``x``: numbers, ``[n, features]``, images ``[n, h, w]`` or ``[n, h, w, channels]``; uint8 stays
  uint8, everything else becomes float32.
- ``y``: ``[n]`` classes: whole numbers, booleans or text (see ``user.labels``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.dataset import Kind, Part, RawData
from pipeline.datasets.equal_rows import digests
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.npz import members, read_array, read_header
from pipeline.datasets.user.column_types import FLOAT32_LOSS
from pipeline.datasets.user.labels import Classes, check_complete, encode, read_labels
from pipeline.errors import DatasetError
from pipeline.records import DataOptions

POOLED = ("x", "y")
LONG = 8
"""Images whose sides differ by more than this factor are rare."""
PARTED = ("x_train", "y_train", "x_test", "y_test")
DEFAULT = DataOptions()
EQUAL = 1e-12
"""Share of its size that a number may differ by in float64 and still be the same."""


def read_npz(path: Path, options: DataOptions = DEFAULT) -> RawData:
    """Returns the examples of a user's archive.

    Args:
        path: The archive.
        options: Say whether what looks like a regression's targets are classes.

    Raises:
        DatasetError: The archive cannot be used; the message names file, array and remedy.
    """
    inputs_name, labels_name, *test_names = _array_names(path)
    inputs, kind = _inputs(path, inputs_name)
    distinct, codes = _label_values(path, labels_name, len(inputs))
    where = f"{path}: '{labels_name}'"
    classes, labels = read_labels(distinct, codes, where, insist=options.classes, example="example")
    findings = _looks_like_series(inputs_name, inputs)
    if not test_names:
        return RawData(kind, classes.names, inputs, labels, findings=findings)
    num_test = _check_test_headers(path, inputs.shape[1:])
    read_test = partial(_read_test, path, classes)
    read_test()
    raw = RawData(kind, classes.names, inputs, labels, num_test=num_test, read_test=read_test)
    count_known = partial(_count_known, path, inputs)
    return replace(raw, findings=findings, count_known=count_known)


def _count_known(path: Path, inputs: np.ndarray) -> int:
    """Returns how many test examples equal one of these inputs."""
    test, _ = _inputs(path, "x_test")
    kind = np.result_type(test, inputs)
    known = digests(inputs.astype(kind, copy=False))
    return int(np.isin(digests(test.astype(kind, copy=False)), known).sum())


def _array_names(path: Path) -> tuple[str, ...]:
    present = set(members(path))
    pooled, parted = set(POOLED) <= present, set(PARTED) <= present
    if pooled != parted:
        return POOLED if pooled else PARTED
    problem = "both layouts" if pooled else f"the arrays {sorted(present)}"
    raise DatasetError(
        f"{path} has {problem}; expected either 'x' and 'y', or all of 'x_train', 'y_train',"
        " 'x_test' and 'y_test'. Save it with np.savez(file, x=inputs, y=labels)."
    )


def _inputs(path: Path, name: str) -> tuple[np.ndarray, Kind]:
    inputs = read_array(path, name)
    if inputs.dtype.kind not in "biuf":
        raise DatasetError(
            f"{path}: '{name}' has dtype {inputs.dtype}; expected numbers. Encode other columns as"
            " numbers first (one-hot, ordinal)."
        )
    inputs, kind = _shape_inputs(path, name, inputs)
    if inputs.dtype != np.uint8:
        # Out of float32's range becomes inf, which is reported below.
        wide = inputs
        with np.errstate(over="ignore"):
            inputs = inputs.astype(np.float32)
        if np.isfinite(inputs).all():
            if kind == "features" and name != "x_test":
                _check_precision(path, name, wide)
        else:
            row = int(np.argwhere(~np.isfinite(inputs))[0, 0])
            raise DatasetError(
                f"{path}: '{name}' holds values that are not finite in float32, first in example"
                f" {row}. Fill in or drop those examples before saving."
            )
    return inputs, kind


def _check_precision(path: Path, name: str, inputs: np.ndarray) -> None:
    """Checks that features still differ when they are rounded to float32.

    Raises:
        DatasetError: One is large and varies little, such as seconds since 1970.
    """
    if inputs.dtype.itemsize <= 2 or inputs.dtype == np.float32:
        return
    for place in range(inputs.shape[1]):
        values = inputs[:, place].astype(np.float64)
        largest, deviation = float(np.abs(values).max()), float(values.std())
        # What varies by less than float64's own rounding is constant.
        if deviation > EQUAL * largest and largest * 2.0**-24 > FLOAT32_LOSS * deviation:
            raise DatasetError(
                f"{path}: '{name}' has a feature (column {place}) near {values.mean():.10g} that"
                f" varies by {deviation:.3g}, which float32 would round away. Subtract its mean"
                " before saving, here and where the model is used; or save a table (.parquet),"
                " whose columns are scaled before."
            )


def _shape_inputs(path: Path, name: str, inputs: np.ndarray) -> tuple[np.ndarray, Kind]:
    if inputs.size == 0 or inputs.ndim not in (2, 3, 4):
        hint = f" One feature? Save {name}.reshape(-1, 1)." if inputs.ndim == 1 else ""
        raise DatasetError(
            f"{path}: '{name}' has shape {inputs.shape}; expected [n, features], [n, height, width]"
            f" or [n, height, width, channels], not empty.{hint}"
        )
    if inputs.ndim == 2:
        return inputs, "features"
    shape = inputs.shape
    if inputs.ndim == 3:
        inputs = inputs[..., None]
    if inputs.shape[1] in (1, 3) and inputs.shape[3] > 4:
        raise DatasetError(
            f"{path}: '{name}' has shape {inputs.shape}, which looks like channels first; expected"
            f" [n, height, width, channels]. Save np.moveaxis({name}, 1, -1)."
        )
    if min(inputs.shape[1:3]) == 1:
        raise DatasetError(
            f"{path}: '{name}' has shape {shape}, which are images one pixel high or wide;"
            " expected [n, height, width, channels], or [n, features]. Series and signals are"
            f" features here: save {name}.reshape(len({name}), -1)."
        )
    return inputs, "image"


def _looks_like_series(name: str, inputs: np.ndarray) -> tuple[Finding, ...]:
    """Returns a finding where images are so long that they may be something else."""
    if inputs.ndim != 4 or max(inputs.shape[1:3]) <= LONG * min(inputs.shape[1:3]):
        return ()
    height, width, channels = inputs.shape[1:]
    told = (
        f"'{name}' was read as images {height} high and {width} wide ({channels} channels); if they"
        f" are series, save {name}.reshape(len({name}), -1): features"
    )
    return (Finding("shape", told),)


def _label_values(path: Path, name: str, num_examples: int) -> tuple[list[Any], np.ndarray]:
    """Returns each label value once, and each example's position among them."""
    if read_header(path, name)[1].hasobject:
        raise DatasetError(
            f"{path}: '{name}' is an object array, stored as a pickle, which could run any code and"
            f" is refused. Save np.asarray({name}, str), or an array of numbers."
        )
    values = read_array(path, name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        hint = f" One-hot labels? Save {name}.argmax(axis=1)." if values.ndim == 2 else ""
        raise DatasetError(
            f"{path}: '{name}' has shape {values.shape}; expected [n], one class per example.{hint}"
        )
    if values.dtype.kind not in "biufU":
        raise DatasetError(
            f"{path}: '{name}' has dtype {values.dtype}; expected whole numbers or text, a class"
            f" per example. Save {name}.astype(int) if they are classes, {name}.astype(str) if they"
            " are bytes."
        )
    if len(values) != num_examples:
        raise DatasetError(
            f"{path}: {num_examples} inputs, but '{name}' has {len(values)} labels; expected as"
            " many labels as inputs, in the same order."
        )
    distinct, codes = np.unique(values, return_inverse=True)
    try:
        # np.asarray(y, str) makes the text None of a missing label.
        found = [None if value == "None" else value for value in distinct.tolist()]
        return found, codes
    except (ValueError, SystemError) as error:  # four bytes that are no Unicode character
        raise DatasetError(
            f"{path}: '{name}' holds text that is no Unicode ({error}). Save class names or"
            " numbers."
        ) from error


def _check_test_headers(path: Path, example_shape: tuple[int, ...]) -> int:
    inputs_shape, _ = read_header(path, "x_test")
    labels_shape, _ = read_header(path, "y_test")
    if len(inputs_shape) == 3 and len(example_shape) == 3:
        inputs_shape = (*inputs_shape, 1)
    if not inputs_shape or inputs_shape[1:] != example_shape:
        raise DatasetError(
            f"{path}: 'x_test' has shape {inputs_shape}, but 'x_train' has examples of shape"
            f" {example_shape}; expected the same."
        )
    if labels_shape[:1] != inputs_shape[:1]:
        raise DatasetError(
            f"{path}: 'x_test' has {inputs_shape[0]} examples, but 'y_test' has shape"
            f" {labels_shape}; expected as many labels as inputs."
        )
    return inputs_shape[0]


def _read_test(path: Path, classes: Classes) -> Part:
    inputs, _ = _inputs(path, "x_test")
    distinct, codes = _label_values(path, "y_test", len(inputs))
    where = f"{path}: 'y_test'"
    check_complete(distinct, codes, where, "example", classes.names)
    return Part(inputs, encode(distinct, codes, classes, where))
