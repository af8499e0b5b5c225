"""Computes the plain cross-entropy of stacked logits, which is minimised, watched and measured.

Shapes: labels [B], logits [B, K, C] for B examples, K trials, C classes. Nats.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

SCORES = ("nll", "correct", "predicted", "confidence")
"""Columns of :class:`Scores`."""


class StackedCrossEntropy(keras.losses.Loss):
    """Sum over trials of each trial's mean cross-entropy: labels [B], logits [B, K, C].

    A sum, so that no trial's gradient depends on its company; the mean is over the examples.
    """

    def __init__(self) -> None:
        super().__init__(name="cross_entropy", reduction="sum")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns each trial's mean cross-entropy, [K]."""
        return ops.mean(cross_entropy(y_true, y_pred), axis=0)


class RunningCrossEntropy(keras.metrics.Metric):
    """Each trial's running mean of the training cross-entropy, dropout on; a diagnostic only."""

    def __init__(self, trials: int) -> None:
        super().__init__(name="running_ce")
        self.total = self.add_variable((trials,), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch."""
        # As Keras gives them to the loss: TensorFlow then computes both once.
        batch = cross_entropy(ops.cast(y_true, "float32"), y_pred)
        self.total.assign(self.total + ops.sum(batch, axis=0))
        self.count.assign(self.count + ops.cast(ops.shape(batch)[0], self.count.dtype))

    def result(self) -> Any:
        """Returns the mean over trials, for Keras's logs."""
        return ops.mean(self.total) / ops.maximum(self.count, 1.0)

    def per_trial(self) -> np.ndarray:
        """Returns each trial's running mean, float64 [K], nats."""
        total = np.asarray(self.total, dtype=np.float64)
        return total / max(float(np.asarray(self.count)), 1.0)


def cross_entropy(labels: Any, logits: Any) -> Any:
    """Returns -log softmax(logits)[label] for labels [B], logits [B, K, C]: [B, K], nats."""
    logits = ops.cast(logits, "float32")
    labels = ops.cast(ops.reshape(labels, (-1, 1)), "int32")
    chosen = ops.broadcast_to(labels, ops.shape(logits)[:2])
    return ops.sparse_categorical_crossentropy(chosen, logits, from_logits=True)


class LogProbabilities(keras.layers.Layer):
    """Logarithms of every trial's probabilities: logits [B, K, C] -> [B, K, C], nats."""

    def call(self, logits: Any) -> Any:
        """Returns them as float32."""
        return ops.log_softmax(ops.cast(logits, "float32"), axis=-1)


class Scores(keras.layers.Layer):
    """Per-example results of every trial: (logits [B, K, C], labels [B]) -> [B, K, 4]."""

    def call(self, logits: Any, labels: Any) -> Any:
        """Returns the columns of :data:`SCORES` as float32."""
        predicted = ops.argmax(logits, axis=-1)
        correct = ops.equal(predicted, ops.cast(ops.expand_dims(labels, 1), predicted.dtype))
        confidence = ops.max(ops.softmax(logits, axis=-1), axis=-1)
        columns = (cross_entropy(labels, logits), correct, predicted, confidence)
        return ops.stack([ops.cast(column, "float32") for column in columns], axis=-1)
