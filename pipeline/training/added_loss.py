"""Adds to the training loss what techniques change of it: terms, and weights of the examples.

Shapes: labels [B], logits [B, K, C] for B examples, K trials, C classes. Nats.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.training.losses import cross_entropy
from pipeline.training.random_layers import per_trial_weight
from pipeline.training.technique_forms import ExampleWeights, LossTerm
from pipeline.training.techniques import acting


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
