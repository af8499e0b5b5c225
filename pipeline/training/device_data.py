"""Keeps the data on the device, once: models take example indices and look the examples up.

No input pipeline per trial, no copy per step: ``fit`` moves indices only. Train and validation
stand in one table, the training examples first; the test part never comes here.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from scipy import sparse

from pipeline.datasets.dataset import Dataset
from pipeline.datasets.formats.tokens import token_rows

PADDING = -1


class DeviceInputs(keras.layers.Layer):
    """Rows of a table kept on the device: indices [B] -> inputs [B, ...], float32.

    Args:
        table: Dense rows [num_examples, ...], uint8 or float.
    """

    def __init__(self, table: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.table = self.add_weight(
            shape=table.shape, dtype=str(table.dtype), trainable=False, autocast=False, name="table"
        )
        self.table.assign(table)

    def call(self, indices: Any) -> Any:
        """Returns the rows as float32."""
        return ops.cast(ops.take(self.table, indices, axis=0), "float32")


class DeviceTokens(keras.layers.Layer):
    """Multi-hot rows kept as token lists: indices [B] -> tokens [B, max_tokens], int32.

    Args:
        tokens: int32 [num_examples, max_tokens], a row's set columns, then :data:`PADDING`.
    """

    def __init__(self, tokens: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.tokens = self.add_weight(
            shape=tokens.shape, dtype="int32", trainable=False, autocast=False, name="tokens"
        )
        self.tokens.assign(tokens)

    def call(self, indices: Any) -> Any:
        """Returns the token lists."""
        return ops.take(self.tokens, indices, axis=0)


class DeviceLabels(keras.layers.Layer):
    """Labels kept on the device: indices [B] -> labels [B], int32."""

    def __init__(self, labels: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.labels = self.add_weight(
            shape=labels.shape, dtype="int32", trainable=False, autocast=False, name="labels"
        )
        self.labels.assign(labels)

    def call(self, indices: Any) -> Any:
        """Returns the labels."""
        return ops.take(self.labels, indices, axis=0)


class DeviceData:
    """A dataset's train and validation parts on the device.

    Attributes:
        dataset: The dataset they come from.
        inputs: The layer that looks inputs up.
        labels: The layer that looks labels up.
        train: int32 [num_train], indices of the training examples, in the table's order.
        validation: int32 [num_validation], indices of the validation examples.
        measured: int32 [m], indices of the training examples that the train side is measured on.
        validation_order: int64 [num_validation], places in ``validation``; prefixes are stratified.
        class_weights: float32 [num_classes], what makes the training part's classes count alike.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        train, validation = dataset.train, dataset.validation
        if sparse.issparse(train.inputs):
            rows = sparse.vstack([train.inputs, validation.inputs], format="csr")
            self.inputs: Any = DeviceTokens(padded(rows), name="inputs")
        else:
            table = np.concatenate([train.inputs, validation.inputs])
            self.inputs = DeviceInputs(table, name="inputs")
        labels = np.concatenate([train.labels, validation.labels]).astype(np.int32)
        self.labels = DeviceLabels(labels, name="labels")
        indices = np.arange(len(labels), dtype=np.int32)
        self.train, self.validation = np.split(indices, [len(train.labels)])
        self.measured = dataset.measured.astype(np.int32)
        self.validation_order = dataset.validation_order
        self.host_labels = labels
        self.class_weights = balanced_weights(train.labels, dataset.num_classes)

    def watched(self, count: int | None) -> np.ndarray:
        """Returns the validation examples that are scored after each epoch, int32 [count].

        Args:
            count: How many; None for all.
        """
        if count is None or count >= len(self.validation):
            return self.validation
        return self.validation[self.validation_order[:count]]

    def full_batches(self, batch_size: int) -> tuple[int, int]:
        """Returns the examples of a step and the steps of an epoch.

        The incomplete last batch is left out: each epoch's order leaves out other examples. A
        batch is smaller than asked for where there are fewer training examples.
        """
        examples = min(batch_size, len(self.train))
        return examples, len(self.train) // examples


def balanced_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns a weight per class, float32 [num_classes]: all together weigh alike, 1 on average.

    Source: scikit-learn's ``class_weight="balanced"``; 0 for a class without an example.
    """
    counts = np.bincount(labels, minlength=num_classes)
    there = max(int((counts > 0).sum()), 1)
    weights = len(labels) / (there * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def padded(rows: sparse.csr_array) -> np.ndarray:
    """Returns each row's columns, padded with :data:`PADDING`, int32 [num_rows, longest]."""
    return token_rows(rows, PADDING)
