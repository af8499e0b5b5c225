"""Makes a split, standardized and sealed :class:`Dataset` of raw data and a specification.

Mean and deviation are fitted on the training part alone; the chance level and the fingerprint also
look at validation; nothing here reads the test part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import sparse

from pipeline.datasets.checks import Case, examine
from pipeline.datasets.dataset import Dataset, Encoding, Kind, Part, RawData, SealedTest
from pipeline.datasets.equal_rows import equal_inputs, kept_together
from pipeline.datasets.findings import Finding, told
from pipeline.datasets.raw_rows import RawRows
from pipeline.datasets.splits import (
    Constraints,
    Sizes,
    Split,
    measured_examples,
    split_examples,
    split_id,
    validation_order,
)
from pipeline.errors import DatasetError
from pipeline.records import ChanceLevel, DatasetSpec
from pipeline.selection.guessing import log10_p_all_right

CHUNK = 1024
IMAGE_FLOOR = 0.25
"""Smallest deviation of a pixel, as a share of the root mean square deviation of all pixels."""
FEATURE_FLOOR = 1e-6
"""Below this share of its own magnitude, a feature's deviation is rounding: it is constant."""


def assemble(
    name: str, raw: RawData, spec: DatasetSpec, *, own: bool = False, examined: bool = False
) -> Dataset:
    """Returns the dataset: split as the specification says, everything fitted on train only.

    Args:
        name: The dataset's name.
        raw: What its source read.
        spec: Seed and number of training examples.
        own: Whether they are a user's own data, whose equal inputs are kept in one part; official
            ones keep their published split.
        examined: Whether such data are examined for what the user should know.

    Raises:
        DatasetError: There are too few classes or examples, or too many were asked for.
    """
    try:
        split, findings = _split(raw, spec, own, examined)
    except DatasetError as error:
        raise DatasetError(f"Dataset '{name}': {error}") from None
    everything = Part(raw.inputs, raw.labels)
    train, validation = everything.take(split.train), everything.take(split.validation)
    # Of the raw examples: the last digit of what an encoding computes differs between machines.
    data = fingerprint(train, validation)
    encoding = raw.fit_encoding(train.inputs) if raw.fit_encoding is not None else None
    raw_validation = validation.inputs if encoding is not None else None
    train, validation = encoded(encoding, train), encoded(encoding, validation)
    sparse_inputs = raw.kind == "multi_hot"
    mean, deviation = (None, None) if sparse_inputs else standardization(train.inputs, raw.kind)
    return Dataset(
        name=name,
        kind=raw.kind,
        num_classes=len(raw.class_names),
        class_names=raw.class_names,
        input_shape=tuple(int(size) for size in train.inputs.shape[1:]),
        train=train,
        validation=validation,
        test=_seal(name, raw, split, encoding),
        split=split,
        split_id=split_id(split, spec.seed, data),
        split_sizes={
            "train": len(train),
            "validation": len(validation),
            "test": len(split.test),
        },
        measured=measured_examples(train.labels, len(validation), spec.seed),
        validation_order=validation_order(validation.labels, spec.seed),
        mean=mean,
        deviation=deviation,
        chance=chance_level(train.labels, validation.labels, len(raw.class_names)),
        fingerprint=data,
        columns=raw.columns,
        pictures=raw.pictures,
        encoding=encoding,
        raw_validation=raw_validation,
        findings=told((*raw.findings, *findings), spec.options.ignore),
    )


def _split(
    raw: RawData, spec: DatasetSpec, own: bool, examined: bool
) -> tuple[Split, tuple[Finding, ...]]:
    sizes = Sizes(raw.num_validation, raw.num_test, spec.train_examples)
    if not own:
        return split_examples(raw.labels, spec.seed, sizes), ()
    equal = equal_inputs(raw.inputs)
    together = kept_together(raw.groups, equal)
    says = Constraints(together, raw.order, raw.given_parts)
    split = split_examples(raw.labels, spec.seed, sizes, says)
    return split, examine(Case(raw, split, equal, spec.options)) if examined else ()


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
        is added to every class's count (Laplace), or the cross-entropy would be infinite. And
        what guessing every label of validation has for a probability.
    """
    counts = np.bincount(train, minlength=num_classes).astype(np.float64)
    largest = int(counts.argmax())
    accuracy = max(counts[largest] / counts.sum(), float(np.mean(validation == largest)))
    if counts.min() == 0:
        counts += 1.0
    log_prior = np.log(counts / counts.sum())
    return ChanceLevel(
        accuracy=float(accuracy),
        ce=float(-log_prior[validation].mean()),
        log10_p_all_right=log10_p_all_right(np.bincount(validation, minlength=num_classes)),
    )


def fingerprint(*parts: Part) -> str:
    """Returns the SHA-256 of the parts' arrays: values, dtypes and shapes."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (*_arrays(part.inputs), part.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def encoded(encoding: Encoding | None, part: Part) -> Part:
    """Returns a part with its inputs encoded; as it is where there is no encoding."""
    return part if encoding is None else Part(encoding.apply(part.inputs), part.labels)


def _seal(name: str, raw: RawData, split: Split, encoding: Encoding | None) -> SealedTest:
    if raw.read_test is not None:
        return SealedTest(name, len(split.test), partial(_read, raw.read_test, encoding))
    # A copy of the test examples alone, so that the whole array can be freed.
    part = Part(raw.inputs, np.asarray(raw.labels)).take(split.test)
    return SealedTest(name, len(part), partial(encoded, encoding, part))


def _read(read_test: Callable[[], Part], encoding: Encoding | None) -> Part:
    return encoded(encoding, read_test())


def _arrays(inputs: object) -> tuple[np.ndarray, ...]:
    if isinstance(inputs, RawRows):
        return tuple(inputs.arrays())
    if not sparse.issparse(inputs):
        return (np.asarray(inputs),)
    # scipy picks the index dtype by size; the fingerprint must not depend on it.
    indices, starts = inputs.indices.astype(np.int64), inputs.indptr.astype(np.int64)  # type: ignore[attr-defined]
    return (np.array(inputs.shape), starts, indices, inputs.data)  # type: ignore[attr-defined]


def _chunks(inputs: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(inputs), CHUNK):
        yield inputs[start : start + CHUNK].astype(np.float64)
