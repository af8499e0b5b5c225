"""What is fitted on the training part alone, and what identifies the data.

Training parts in; mean and deviation, chance level and fingerprint out. Nothing here ever sees
the test part, and mean and deviation never see validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from pipeline.records import ChanceLevel

if TYPE_CHECKING:
    from pipeline.datasets.dataset import Kind, Part

CHUNK = 1024
IMAGE_FLOOR = 0.25
"""Smallest deviation of a pixel, as a share of the root mean square deviation of all pixels."""
FEATURE_FLOOR = 1e-6
"""Below this share of its own magnitude, a feature's deviation is rounding: it is constant."""


def standardization(inputs: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and deviation per input feature, fitted on these inputs.

    Deviations are the population's (divisor n), in two passes in float64. Nearly constant inputs
    would explode when divided by their deviation, so it has a floor. Pixels share one unit: theirs
    is a quarter of the typical deviation (a border pixel of MNIST that is lit once in 50,000
    images, deviation 1 of 255, stays within about 15 instead of 220). Features have units of
    their own: a constant one is divided by 1.

    Args:
        inputs: ``[num_examples, *input_shape]``, the training inputs.
        kind: ``image`` or ``features``.

    Returns:
        float32 arrays of ``input_shape``; no deviation is 0.
    """
    mean = sum(chunk.sum(axis=0) for chunk in _chunks(inputs)) / len(inputs)
    squares = sum(((chunk - mean) ** 2).sum(axis=0) for chunk in _chunks(inputs))
    deviation = np.sqrt(squares / len(inputs))
    if kind == "image":
        typical = float(np.sqrt(np.mean(deviation**2)))
        deviation = np.maximum(deviation, IMAGE_FLOOR * typical) if typical else deviation + 1.0
    else:
        constant = deviation <= FEATURE_FLOOR * np.abs(mean)
        deviation = np.where(constant | (deviation == 0.0), 1.0, deviation)
    tiny = np.finfo(np.float32).tiny
    return mean.astype(np.float32), np.maximum(deviation, tiny).astype(np.float32)


def chance_level(train: np.ndarray, validation: np.ndarray, num_classes: int) -> ChanceLevel:
    """Returns what predicting the class prior of train reaches on validation.

    Args:
        train: int32 ``[n_train]``, labels.
        validation: int32 ``[n_validation]``, labels.
        num_classes: Number of classes.

    Returns:
        Accuracy in [0, 1] and cross-entropy in nats. Where a class has no training example, one
        is added to every class's count (Laplace), or the cross-entropy would be infinite.
    """
    counts = np.bincount(train, minlength=num_classes).astype(np.float64)
    largest = int(counts.argmax())
    accuracy = max(counts[largest] / counts.sum(), float(np.mean(validation == largest)))
    if counts.min() == 0:
        counts += 1.0
    log_prior = np.log(counts / counts.sum())
    return ChanceLevel(accuracy=float(accuracy), ce=float(-log_prior[validation].mean()))


def fingerprint(*parts: Part) -> str:
    """Returns the SHA-256 of the parts' arrays: values, dtypes and shapes."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (*_arrays(part.inputs), part.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _arrays(inputs: object) -> tuple[np.ndarray, ...]:
    if not sparse.issparse(inputs):
        return (np.asarray(inputs),)
    # scipy picks the index dtype by size; the fingerprint must not depend on it.
    indices, starts = inputs.indices.astype(np.int64), inputs.indptr.astype(np.int64)  # type: ignore[attr-defined]
    return (np.array(inputs.shape), starts, indices, inputs.data)  # type: ignore[attr-defined]


def _chunks(inputs: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(inputs), CHUNK):
        yield inputs[start : start + CHUNK].astype(np.float64)
