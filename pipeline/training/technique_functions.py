"""Computes what techniques do to stacked kernels and logits; Keras is imported at the first call.

They are named in :data:`training.techniques.TECHNIQUES`, which is easier to read without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def l1_gradient(kernels: Any, factors: Any) -> Any:
    """Returns the gradient of factor * sum|w|; at 0 it is 0."""
    from keras import ops

    return factors * ops.sign(kernels)


def l2_gradient(kernels: Any, factors: Any) -> Any:
    """Returns the gradient of factor * sum w^2: Keras's convention, without 1/2."""
    return 2.0 * factors * kernels


def limited_norms(kernels: Any, limits: Any, axes: tuple[int, ...]) -> Any:
    """Returns the kernels with each unit's incoming weights scaled to a norm within its limit.

    Source: ``keras.constraints.MaxNorm`` with its axes: 0 for Dense, (0, 1, 2) for Conv2D.
    """
    import keras
    from keras import ops

    norms = ops.sqrt(ops.sum(ops.square(kernels), axis=axes, keepdims=True))
    scale = ops.minimum(norms, limits) / (keras.config.epsilon() + norms)
    # Off must be exactly off: the epsilon above would shrink the weights at every step.
    return kernels * ops.where(ops.isinf(limits), ops.ones_like(scale), scale)


def smoothing(logits: Any, labels: Any, shares: Any) -> Any:
    """Returns what label smoothing adds to each example's cross-entropy, [B, K].

    Keras's target is (1 - share) * one-hot + share / C, and cross-entropy is linear in the target:
    share * (mean over classes of -log p - cross-entropy).
    """
    from keras import ops

    from pipeline.training.losses import cross_entropy

    uniform = -ops.mean(ops.log_softmax(ops.cast(logits, "float32"), axis=-1), axis=-1)
    return shares * (uniform - cross_entropy(labels, logits))


def balancing(labels: Any, shares: Any, classes: Any) -> Any:
    """Returns each example's weight, [B, K]: its class's where a trial's share is 1, 1 where 0."""
    from keras import ops

    weights = ops.take(classes, ops.cast(labels, "int32"))
    return 1.0 + shares * (ops.expand_dims(weights, 1) - 1.0)


def stacked(name: str) -> Callable[[int, int], Any]:
    """Returns what builds a class of ``training.random_layers`` for K trials and a salt."""

    def build(trials: int, salt: int) -> Any:
        from pipeline.training import random_layers

        return getattr(random_layers, name)(trials, salt)

    return build


def keras_class(path: str) -> Any:
    """Returns a class of Keras by its name, such as ``layers.Dropout``."""
    import keras

    module, _, name = path.partition(".")
    return getattr(getattr(keras, module), name)
