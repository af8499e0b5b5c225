"""The techniques on stacked networks: penalty, max-norm and dropout with numbers per trial.

Shapes as in ``training.layers``: ``K`` trials, activations ``[K, B, ...]``. Per-trial numbers are
variables, so that one compiled program serves every cohort of its structure. The optimizer applies
penalty and max-norm (``training.optimizers``), a layer dropout.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

GOLDEN = 0x9E3779B9
"""2^32 divided by the golden ratio: spreads consecutive counters over all bits (Knuth)."""


def numbers(layer: keras.layers.Layer, name: str, trials: int, dtype: str = "float32") -> Any:
    """Adds a non-trainable weight [trials] to a layer, zero until a cohort sets it."""
    return layer.add_weight(
        shape=(trials,),
        initializer="zeros",
        dtype=dtype,
        trainable=False,
        autocast=False,
        name=name,
    )


def along_trials(vector: Any, rank: int, axis: int = 0) -> Any:
    """Returns the vector [K] shaped to broadcast along the trial axis of a tensor of this rank."""
    shape = [1] * rank
    shape[axis] = -1
    return ops.reshape(ops.convert_to_tensor(vector), shape)


def penalty_gradient(weights: Any, l1: Any | None, l2: Any | None, axis: int = 0) -> Any:
    """Returns the gradient of sum over trials of l1[k] * sum|W_k| + l2[k] * sum W_k^2.

    Keras's convention: no 1/2; at 0 the gradient of |w| is 0.

    Args:
        weights: A stacked kernel.
        l1: Factors [K], or None where no trial has any.
        l2: Factors [K], or None where no trial has any.
        axis: The kernel's trial axis.
    """
    rank = len(weights.shape)
    total = ops.zeros((), dtype=weights.dtype)
    if l1 is not None:
        total += along_trials(l1, rank, axis) * ops.sign(weights)
    if l2 is not None:
        total += 2.0 * along_trials(l2, rank, axis) * weights
    return total


def projected(weights: Any, limits: Any, axis: int = 0) -> Any:
    """Returns the kernel with each unit's incoming weights scaled to a norm within its limit.

    Units are the kernel's last axis; infinity leaves a trial's weights alone.
    Source: ``keras.constraints.MaxNorm`` with its axes: 0 for Dense, (0, 1, 2) for Conv2D.

    Args:
        weights: A stacked kernel.
        limits: Per-trial limits [K].
        axis: The kernel's trial axis.
    """
    rank = len(weights.shape)
    axes = tuple(other for other in range(rank - 1) if other != axis)
    limit = along_trials(limits, rank, axis)
    norms = ops.sqrt(ops.sum(ops.square(weights), axis=axes, keepdims=True))
    scale = ops.minimum(norms, limit) / (keras.config.epsilon() + norms)
    # Off must be exactly off: the epsilon above would shrink the weights at every step.
    return weights * ops.where(ops.isinf(limit), ops.ones_like(scale), scale)


class StackedDropout(keras.layers.Layer):
    """Dropout with a rate and a random stream of its own per trial: inputs [K, B, ...].

    The mask is a function of the trial's seed, this layer's salt, the step and the position
    alone: a trial drops the same activations alone or in company, in whatever slot.

    Args:
        trials: Number of trials K.
        salt: Tells the dropout layers of one network apart.
    """

    def __init__(self, trials: int, salt: int, **options: Any) -> None:
        super().__init__(**options)
        self.salt = salt
        self.rate = numbers(self, "rate", trials)
        self.seed = numbers(self, "seed", trials, dtype="uint32")
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="uint32", trainable=False, name="step"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns inputs in inference, masked and rescaled inputs in training."""
        if not training:
            return inputs
        rank = len(inputs.shape)
        moment = self.step * ops.cast(GOLDEN, "uint32") + ops.cast(self.salt, "uint32")
        # Never `^`: on a Keras variable it is the logical, not the bitwise, exclusive or.
        stream = hash32(ops.bitwise_xor(self.seed, hash32(moment)))
        self.step.assign(self.step + ops.cast(1, "uint32"))
        positions = ops.cast(ops.arange(size(inputs), dtype="int32"), "uint32")
        positions = ops.reshape(positions * ops.cast(GOLDEN, "uint32"), ops.shape(inputs)[1:])
        bits = hash32(ops.bitwise_xor(along_trials(stream, rank), ops.expand_dims(positions, 0)))
        # 24 bits fill a float32 exactly; a rate of 0 keeps every one of them.
        uniform = ops.cast(ops.right_shift(bits, ops.cast(8, "uint32")), "float32") * 2.0**-24
        rate = along_trials(self.rate, rank)
        scale = ops.where(uniform >= rate, 1.0 / (1.0 - rate), 0.0)
        return inputs * ops.cast(scale, inputs.dtype)


def size(inputs: Any) -> Any:
    """Returns the number of activations of one trial."""
    total = 1
    for length in ops.shape(inputs)[1:]:
        total = total * length
    return total


def hash32(bits: Any) -> Any:
    """Returns uint32 with every bit depending on every bit of the argument.

    Source: the finalizer "lowbias32" (C. Wellons, hash-prospector, 2018).
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, ops.cast(shift, "uint32")))
        bits = bits * ops.cast(factor, "uint32")
    return ops.bitwise_xor(bits, ops.right_shift(bits, ops.cast(16, "uint32")))
