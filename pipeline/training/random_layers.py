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
import numpy as np
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

    Attributes:
        own_lengths: Whether trials use only the beginning of the last axis, each as much of it as
            ``start`` says; set before the layer is called.
    """

    def __init__(self, trials: int, salt: int, **options: Any) -> None:
        super().__init__(**options)
        self.trials, self.salt = trials, salt
        self.own_lengths = False
        self.salts = per_trial_weight(self, "salts", trials, dtype="uint32")
        self.salts.assign(np.full(trials, salt, np.uint32))
        self.lengths = per_trial_weight(self, "lengths", trials, dtype="uint32")
        self.numbers = per_trial_weight(self, "numbers", trials)
        self.seed = per_trial_weight(self, "seed", trials, dtype="uint32")
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="uint32", trainable=False, name="step"
        )

    def start(self, numbers: Any, seeds: Any, salts: Any = None, lengths: Any = None) -> None:
        """Takes the numbers and seeds of a new cohort.

        Args:
            numbers: The technique's, [K].
            seeds: The trials', [K].
            salts: Those of each trial's own network, [K]; None for the layer's.
            lengths: How much of the last axis each trial uses, [K]; None for all of it.
        """
        self.numbers.assign(numbers)
        self.seed.assign(seeds)
        if salts is not None:
            self.salts.assign(np.asarray(salts, np.uint32))
        if lengths is not None:
            self.lengths.assign(np.asarray(lengths, np.uint32))
        self.step.assign(ops.zeros((), dtype="uint32"))

    def streams(self) -> Any:
        """Returns each trial's stream at this step, uint32 [K], and moves on to the next step."""
        moment = self.step * ops.cast(GOLDEN, "uint32") + self.salts
        # Never `^`: on a Keras variable it is the logical, not the bitwise, exclusive or.
        streams = hash32(ops.bitwise_xor(self.seed, hash32(moment)))
        self.step.assign(self.step + ops.cast(1, "uint32"))
        return streams

    @property
    def used(self) -> Any:
        """How much of the last axis each trial uses, [K]; None for all of it."""
        return self.lengths if self.own_lengths else None


class StackedDropout(StackedRandom):
    """Dropout with a rate per trial: inputs [K, B, ...]; ``numbers`` are the rates."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns inputs in inference, masked and rescaled inputs in training."""
        if not training:
            return inputs
        rate = along_trials(self.numbers, len(inputs.shape))
        # A rate of 0 keeps every number in [0, 1).
        kept = uniform(self.streams(), inputs, self.used) >= rate
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
            inputs = for_each_trial(inputs, self.trials)
        if not training:
            return inputs
        deviation = along_trials(self.numbers, len(inputs.shape))
        noise = deviation * normal(self.streams(), inputs)
        return inputs + ops.cast(noise, inputs.dtype)


class StackedPictures(StackedRandom):
    """Changes pictures in training: [B, h, w, c] that the trials share, or [K, B, h, w, c].

    Outputs are [K, B, h, w, c] in training and inference.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns each trial's pictures, changed in training."""
        if len(inputs.shape) == 4:
            inputs = for_each_trial(inputs, self.trials)
        return self.changed(inputs) if training else inputs

    def changed(self, inputs: Any) -> Any:
        """Returns the pictures of a step, changed."""
        raise NotImplementedError


class StackedFlip(StackedPictures):
    """Mirrors each picture left to right with probability 1/2 where ``numbers`` are 1, not 0."""

    def changed(self, inputs: Any) -> Any:
        """Returns the pictures, some of them mirrored."""
        chance = along_trials(self.numbers, 5) / 2.0
        drawn = uniform(self.streams(), inputs[:, :, :1, :1, :1])
        return ops.where(drawn < chance, ops.flip(inputs, axis=3), inputs)


class StackedShift(StackedPictures):
    """Moves each picture by whole pixels, up to a share of its sides; its edges are repeated.

    ``numbers`` are the shares. All shifts are alike likely, along both axes apart.
    """

    def changed(self, inputs: Any) -> Any:
        """Returns the pictures, moved."""
        streams = self.streams()
        for axis, equation in ((2, "kbij,kbjwc->kbiwc"), (3, "kbij,kbhjc->kbhic")):
            side = int(inputs.shape[axis])
            most = ops.round(along_trials(self.numbers, 2) * side)
            drawn = uniform(hash32(streams + ops.cast(axis, "uint32")), inputs[:, :, 0, 0, 0])
            moved = ops.floor(drawn * (2.0 * most + 1.0)) - most
            rows = ops.arange(side, dtype="float32") - ops.expand_dims(moved, -1)
            rows = ops.cast(ops.clip(rows, 0.0, side - 1.0), "int32")
            # A product with zeros and ones: exact, and as fast as looking rows up one by one.
            chosen = ops.one_hot(rows, side, dtype=inputs.dtype)
            inputs = ops.einsum(equation, chosen, inputs)
        return inputs


def for_each_trial(inputs: Any, trials: int) -> Any:
    """Returns inputs [B, ...] that trials share as ones of their own, [K, B, ...]."""
    return ops.broadcast_to(ops.expand_dims(inputs, 0), (trials, *ops.shape(inputs)))


def uniform(streams: Any, like: Any, lengths: Any = None) -> Any:
    """Returns float32 numbers in [0, 1), a function of stream [K] and position in [K, B, ...].

    Args:
        streams: Of each trial.
        like: Has the shape.
        lengths: How much of the last axis each trial uses, [K]: positions are counted as if it
            ended there. None for all of it.
    """
    if lengths is None:
        places = ops.cast(ops.arange(size(like), dtype="int32"), "uint32")
        places = ops.expand_dims(ops.reshape(places, ops.shape(like)[1:]), 0)
    else:
        rank, last = len(like.shape), int(like.shape[-1])
        rows = ops.cast(ops.arange(size(like) // last, dtype="int32"), "uint32")
        rows = ops.reshape(rows, (1, *ops.shape(like)[1:-1], 1))
        columns = ops.cast(ops.arange(last, dtype="int32"), "uint32")
        places = rows * along_trials(lengths, rank) + columns
    positions = places * ops.cast(GOLDEN, "uint32")
    bits = ops.bitwise_xor(along_trials(streams, len(like.shape)), positions)
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
