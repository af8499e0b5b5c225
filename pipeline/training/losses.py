"""Computes the plain cross-entropy of stacked logits, which is minimised, watched and measured.

Shapes: labels [B], logits [B, K, C] for B examples, K trials, C classes. Nats.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.training.random_layers import per_trial_weight
from pipeline.training.technique_forms import ExampleWeights, LossTerm
from pipeline.training.techniques import acting

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


class AddedLoss(keras.layers.Layer):
    """Adds what techniques change of the training loss; logits [B, K, C] pass through.

    A layer and not a loss: with JAX no variable of a loss is in reach of a compiled step, and a
    trial's numbers must be variables.

    Args:
        trials: Number of trials K.
        terms: Technique -> (logits, labels, numbers [K]) -> its term for each example, [B, K].
        weights: Technique -> (labels, numbers [K], classes) -> each example's weight, [B, K].
        classes: What makes all classes count alike, [C].
    """

    def __init__(
        self,
        trials: int,
        terms: Mapping[str, Callable[..., Any]],
        weights: Mapping[str, Callable[..., Any]],
        classes: np.ndarray,
    ) -> None:
        super().__init__(dtype="float32", name="added_loss")
        self.terms, self.classes = dict(terms), classes
        self.example_weights = dict(weights)
        names = (*terms, *weights)
        self.numbers = {name: per_trial_weight(self, name, trials) for name in names}

    def call(self, logits: Any, labels: Any, training: bool = False) -> Any:
        """Returns the logits."""
        if training:
            plain = cross_entropy(labels, logits)
            whole = plain
            for name, term in self.terms.items():
                whole += term(logits, labels, self.numbers[name])
            for name, weight in self.example_weights.items():
                whole *= weight(labels, self.numbers[name], self.classes)
            # The plain part is the model's own loss.
            self.add_loss(ops.sum(ops.mean(whole - plain, axis=0)))
        return logits


def changed_loss(
    logits: Any, labels: Any, trials: int, techniques: Iterable[str], classes: np.ndarray
) -> tuple[Any, dict[str, Any]]:
    """Returns the logits, and technique -> its numbers [K], which change the loss on the way.

    Args:
        logits: [B, K, C].
        labels: [B].
        trials: Number of trials K.
        techniques: Those that at least one trial uses.
        classes: What makes all classes count alike, [C].
    """
    terms = {name: entry.form.added for name, entry in acting(LossTerm, techniques).items()}
    found = acting(ExampleWeights, techniques)
    weights = {name: entry.form.weights for name, entry in found.items()}
    if not (terms or weights):
        return logits, {}
    layer = AddedLoss(trials, terms, weights, classes)
    return layer(logits, labels), layer.numbers


class RunningCrossEntropy(keras.metrics.Metric):
    """Each trial's running mean of the training cross-entropy, dropout on; a diagnostic only."""

    def __init__(self, trials: int) -> None:
        super().__init__(name="running_ce")
        self.total = self.add_variable((trials,), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds one batch."""
        batch = cross_entropy(y_true, y_pred)
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
