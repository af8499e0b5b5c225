"""Raw data and a specification in, a split, standardized and sealed :class:`Dataset` out."""

from __future__ import annotations

from functools import partial

import numpy as np

from pipeline.datasets.dataset import Dataset, Part, SealedTest
from pipeline.datasets.preprocessing import chance_level, fingerprint, standardization
from pipeline.datasets.source import RawData
from pipeline.datasets.splits import Sizes, Split, measured_examples, split_examples, split_id
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec


def assemble(name: str, raw: RawData, spec: DatasetSpec) -> Dataset:
    """Returns the dataset: split as the specification says, everything fitted on train only.

    Args:
        name: The dataset's name.
        raw: What its source read.
        spec: Seed and number of training examples.

    Raises:
        DatasetError: There are too few classes or examples, or too many were asked for.
    """
    try:
        split = split_examples(
            raw.labels, spec.seed, Sizes(raw.num_validation, raw.num_test, spec.train_examples)
        )
    except DatasetError as error:
        raise DatasetError(f"Dataset '{name}': {error}") from None
    everything = Part(raw.inputs, raw.labels)
    train, validation = everything.take(split.train), everything.take(split.validation)
    sparse_inputs = raw.kind == "multi_hot"
    mean, deviation = (None, None) if sparse_inputs else standardization(train.inputs, raw.kind)
    data = fingerprint(train, validation)
    return Dataset(
        name=name,
        kind=raw.kind,
        num_classes=len(raw.class_names),
        class_names=raw.class_names,
        input_shape=tuple(int(size) for size in raw.inputs.shape[1:]),
        train=train,
        validation=validation,
        test=_seal(name, raw, split),
        split=split,
        split_id=split_id(split, spec.seed, data),
        split_sizes={
            "train": len(train),
            "validation": len(validation),
            "test": len(split.test),
        },
        measured=measured_examples(train.labels, len(validation), spec.seed),
        mean=mean,
        deviation=deviation,
        chance=chance_level(train.labels, validation.labels, len(raw.class_names)),
        fingerprint=data,
    )


def _seal(name: str, raw: RawData, split: Split) -> SealedTest:
    if raw.read_test is not None:
        return SealedTest(name, len(split.test), raw.read_test)
    # A copy of the test examples alone, so that the whole array can be freed.
    part = Part(raw.inputs, np.asarray(raw.labels)).take(split.test)
    return SealedTest(name, len(part), partial(_keep, part))


def _keep(part: Part) -> Part:
    return part
