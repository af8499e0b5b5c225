"""Defines random layers of stacked networks: dropout and noise, numbers and streams per trial.

Shapes as in ``training.layers``: ``K`` trials, activations ``[K, B, ...]``. Per-trial numbers are
variables, so that one compiled program serves every cohort of its structure. Random numbers are a
function of the trial's seed, the layer's salt, the step and the position alone: a trial draws the
same ones alone or in company, in whatever slot.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

GOLDEN = 0x9E3779B9
"""2^32 divided by the golden ratio: spreads consecutive counters over all bits (Knuth)."""


def per_trial_weight(
    layer: keras.layers.Layer, name: str, trials: int, dtype: str = "float32"
) -> Any:
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
    if rank:  # a number alone has room for one trial only
        shape[axis] = -1
    return ops.reshape(ops.convert_to_tensor(vector), shape)


class StackedRandom(keras.layers.Layer):
    """A layer with one number and one random stream per trial.

    Args:
        trials: Number of trials K.
        salt: Tells the random layers of one network apart.
    """

    def __init__(self, trials: int, salt: int, **options: Any) -> None:
        super().__init__(**options)
        self.trials, self.salt = trials, salt
        self.numbers = per_trial_weight(self, "numbers", trials)
        self.seed = per_trial_weight(self, "seed", trials, dtype="uint32")
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="uint32", trainable=False, name="step"
        )

    def start(self, numbers: Any, seeds: Any) -> None:
        """Takes the numbers and seeds of a new cohort."""
        self.numbers.assign(numbers)
        self.seed.assign(seeds)
        self.step.assign(ops.zeros((), dtype="uint32"))

    def streams(self) -> Any:
        """Returns each trial's stream at this step, uint32 [K], and moves on to the next step."""
        moment = self.step * ops.cast(GOLDEN, "uint32") + ops.cast(self.salt, "uint32")
        # Never `^`: on a Keras variable it is the logical, not the bitwise, exclusive or.
        streams = hash32(ops.bitwise_xor(self.seed, hash32(moment)))
        self.step.assign(self.step + ops.cast(1, "uint32"))
        return streams


class StackedDropout(StackedRandom):
    """Dropout with a rate per trial: inputs [K, B, ...]; ``numbers`` are the rates."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns inputs in inference, masked and rescaled inputs in training."""
        if not training:
            return inputs
        rate = along_trials(self.numbers, len(inputs.shape))
        # A rate of 0 keeps every number in [0, 1).
        kept = uniform(self.streams(), inputs) >= rate
        scale = ops.where(kept, 1.0 / (1.0 - rate), 0.0)
        return inputs * ops.cast(scale, inputs.dtype)


class StackedGaussianNoise(StackedRandom):
    """Normal noise per trial on inputs [B, ...] that the trials share, or [K, B, ...].

    ``numbers`` are the standard deviations; outputs are [K, B, ...] in training and inference.
    """

    def __init__(self, trials: int, salt: int, shared: bool = True, **options: Any) -> None:
        super().__init__(trials, salt, **options)
        self.shared = shared

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns each trial's inputs, with noise in training."""
        if self.shared:
            shape = (self.trials, *ops.shape(inputs))
            inputs = ops.broadcast_to(ops.expand_dims(inputs, 0), shape)
        if not training:
            return inputs
        deviation = along_trials(self.numbers, len(inputs.shape))
        noise = deviation * normal(self.streams(), inputs)
        return inputs + ops.cast(noise, inputs.dtype)


def uniform(streams: Any, like: Any) -> Any:
    """Returns float32 numbers in [0, 1), a function of stream [K] and position in [K, B, ...]."""
    positions = ops.cast(ops.arange(size(like), dtype="int32"), "uint32")
    positions = ops.reshape(positions * ops.cast(GOLDEN, "uint32"), ops.shape(like)[1:])
    bits = ops.bitwise_xor(along_trials(streams, len(like.shape)), ops.expand_dims(positions, 0))
    # 24 bits fill a float32 exactly.
    return ops.cast(ops.right_shift(hash32(bits), ops.cast(8, "uint32")), "float32") * 2.0**-24


def normal(streams: Any, like: Any) -> Any:
    """Returns standard normal numbers, a function of stream [K] and position in [K, B, ...].

    Source: Box & Muller 1958. The largest is 5.8: 24 bits go no further.
    """
    first = 1.0 - uniform(streams, like)  # in (0, 1]: 0 has no logarithm
    second = uniform(hash32(streams + ops.cast(GOLDEN, "uint32")), like)
    return ops.sqrt(-2.0 * ops.log(first)) * ops.cos(2.0 * math.pi * second)


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
