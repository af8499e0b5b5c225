"""The user's own ``.npz``: checked arrays in, :class:`RawData` out; nothing is ever unpickled.

Either ``x`` and ``y``, which are split 60/20/20, or ``x_train``, ``y_train``, ``x_test`` and
``y_test``: then ``x_test`` stays sealed (only its header is read before) and train is split 80/20.

- ``x``: numbers, ``[n, features]``, images ``[n, h, w]`` or ``[n, h, w, channels]``; uint8 stays
  uint8, everything else becomes float32.
- ``y``: ``[n]`` whole numbers or text; the distinct values, sorted, become classes 0, 1, ...
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import Kind, Part
from pipeline.datasets.formats.npz import members, read_array, read_header
from pipeline.datasets.source import RawData
from pipeline.errors import DatasetError

POOLED = ("x", "y")
PARTED = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> RawData:
    """Returns the examples of a user's archive.

    Raises:
        DatasetError: The archive cannot be used; the message names file, array and remedy.
    """
    inputs_name, labels_name, *test_names = _array_names(path)
    inputs, kind = _inputs(path, inputs_name)
    values = _label_values(path, labels_name, len(inputs))
    classes = np.unique(values)
    _check_classes(path, labels_name, classes, len(values))
    labels = np.searchsorted(classes, values).astype(np.int32)
    names = tuple(str(value) for value in classes)
    if not test_names:
        return RawData(kind, names, inputs, labels)
    num_test = _check_test_headers(path, inputs.shape[1:])
    read_test = partial(_read_test, path, classes)
    return RawData(kind, names, inputs, labels, num_test=num_test, read_test=read_test)


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
        with np.errstate(over="ignore"):
            inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            row = int(np.argwhere(~np.isfinite(inputs))[0, 0])
            raise DatasetError(
                f"{path}: '{name}' holds values that are not finite in float32, first in example"
                f" {row}. Fill in or drop those examples before saving."
            )
    return inputs, kind


def _shape_inputs(path: Path, name: str, inputs: np.ndarray) -> tuple[np.ndarray, Kind]:
    if inputs.size == 0 or inputs.ndim not in (2, 3, 4):
        hint = f" One feature? Save {name}.reshape(-1, 1)." if inputs.ndim == 1 else ""
        raise DatasetError(
            f"{path}: '{name}' has shape {inputs.shape}; expected [n, features], [n, height, width]"
            f" or [n, height, width, channels], not empty.{hint}"
        )
    if inputs.ndim == 2:
        return inputs, "features"
    if inputs.ndim == 3:
        return inputs[..., None], "image"
    if inputs.shape[1] in (1, 3) and inputs.shape[3] > 4:
        raise DatasetError(
            f"{path}: '{name}' has shape {inputs.shape}, which looks like channels first; expected"
            f" [n, height, width, channels]. Save np.moveaxis({name}, 1, -1)."
        )
    return inputs, "image"


def _label_values(path: Path, name: str, num_examples: int) -> np.ndarray:
    values = read_array(path, name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        hint = f" One-hot labels? Save {name}.argmax(axis=1)." if values.ndim == 2 else ""
        raise DatasetError(
            f"{path}: '{name}' has shape {values.shape}; expected [n], one class per example.{hint}"
        )
    if values.dtype.kind not in "biuU":
        raise DatasetError(
            f"{path}: '{name}' has dtype {values.dtype}; expected whole numbers or text, a class"
            f" per example. Save {name}.astype(int) if they are classes; targets of a regression"
            " cannot be used."
        )
    if len(values) != num_examples:
        raise DatasetError(
            f"{path}: {num_examples} inputs, but '{name}' has {len(values)} labels; expected as"
            " many labels as inputs, in the same order."
        )
    return values


def _check_classes(path: Path, name: str, classes: np.ndarray, num_examples: int) -> None:
    if len(classes) < 2:
        raise DatasetError(
            f"{path}: '{name}' has {len(classes)} class ({', '.join(map(str, classes))}); expected"
            " at least 2."
        )
    if len(classes) > num_examples / 2:
        raise DatasetError(
            f"{path}: '{name}' has {len(classes)} classes in {num_examples} examples; expected two"
            " or more examples per class. Targets of a regression cannot be used."
        )


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


def _read_test(path: Path, classes: np.ndarray) -> Part:
    inputs, _ = _inputs(path, "x_test")
    values = _label_values(path, "y_test", len(inputs))
    unknown = sorted({str(value) for value in values} - {str(value) for value in classes})
    if unknown:
        raise DatasetError(
            f"{path}: 'y_test' has the classes {unknown}, which 'y_train' lacks; expected only"
            f" {[str(value) for value in classes]}."
        )
    labels = np.searchsorted(classes, values.astype(classes.dtype))
    return Part(inputs, labels.astype(np.int32))
