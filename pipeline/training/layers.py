"""Stacks layers: every trial of a cohort in one Keras model, a leading trial axis on the weights.

Shapes: ``K`` trials, ``B`` examples, activations ``[K, B, ...]``, weights ``[K, ...]``. Until the
first layer with weights the trials share their input, ``[B, ...]``.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.training import backend, convolutions
from pipeline.training.multi_hot import embedding_bag
from pipeline.training.random_layers import along_trials, per_trial_weight


class Weighted(keras.layers.Layer):
    """A stacked layer with kernel and bias, and the techniques on its kernel.

    Args:
        trials: Number of trials K.
        units: Units or filters per trial.
        activation: Keras's name of it.
        techniques: Which of ``l1``, ``l2`` and ``max_norm`` some trial uses on this kernel; the
            optimizer applies them (``training.optimizers``).
    """

    trial_axis = 0
    """Where the kernel has its trials."""

    def __init__(
        self,
        trials: int,
        units: int,
        activation: str = "linear",
        techniques: frozenset[str] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.trials, self.units = trials, units
        self.techniques = techniques
        self.activation = keras.activations.get(activation)

    def add_kernel(self, shape: tuple[int, ...]) -> None:
        """Creates the kernel, an ordinary one's shape with the trial axis put in, and the bias."""
        self.kernel = self.add_weight(
            shape=(*shape[: self.trial_axis], self.trials, *shape[self.trial_axis :]),
            initializer="zeros",
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.trials, self.units), initializer="zeros", name="bias"
        )

    @property
    def stacked(self) -> tuple[Any, ...]:
        """The per-trial variables in the order of the ordinary layer's weights."""
        return (self.kernel, self.bias)

    @property
    def trial_axes(self) -> tuple[int, ...]:
        """The trial axis of each of the stacked variables."""
        return (self.trial_axis, 0)


class StackedDense(Weighted):
    """Dense: inputs [K, B, in], outputs [K, B, units], kernel [K, in, units]."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of this shape."""
        self.add_kernel((int(input_shape[-1] or 0), self.units))

    def call(self, inputs: Any) -> Any:
        """Returns activation(inputs @ kernel + bias)."""
        return self.activation(ops.matmul(inputs, self.kernel) + ops.expand_dims(self.bias, 1))


class SharedDense(Weighted):
    """Dense on inputs that all trials share: [B, in] -> [K, B, units], kernel [in, K, units].

    The trials' units stand side by side: one large matrix product serves all of them.
    """

    trial_axis = 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of this shape."""
        self.add_kernel((int(input_shape[-1] or 0), self.units))

    def call(self, inputs: Any) -> Any:
        """Returns activation(inputs @ kernel + bias)."""
        wide = ops.reshape(self.kernel, (-1, self.trials * self.units))
        outputs = ops.reshape(self.product(inputs, wide), (-1, self.trials, self.units))
        return self.activation(ops.transpose(outputs + self.bias, (1, 0, 2)))

    def product(self, inputs: Any, wide: Any) -> Any:
        """Returns inputs @ wide for a kernel [in, K * units]."""
        return ops.matmul(inputs, wide)


class SharedBag(SharedDense):
    """:class:`SharedDense` on multi-hot inputs given as token lists, int32 [B, max_tokens].

    Args:
        num_words: Columns of the multi-hot rows.
    """

    def __init__(self, trials: int, units: int, num_words: int, **options: Any) -> None:
        super().__init__(trials, units, **options)
        self.num_words = num_words

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights."""
        self.add_kernel((self.num_words, self.units))

    def product(self, inputs: Any, wide: Any) -> Any:
        """Returns the sum of the kernel's rows of each example's tokens."""
        return embedding_bag(wide, inputs)


class StackedConv(Weighted):
    """3x3 convolution without padding: inputs [B, h, w, c] (shared) or [K, B, h, w, c].

    Trials that share their input make one wide convolution; those with inputs of their own are
    convolved in the form that the device computes fastest (``training.convolutions``).

    Args:
        examples: The training batch B, for which that form is chosen.
    """

    def __init__(
        self, trials: int, units: int, kernel: int = 3, examples: int = 1, **options: Any
    ) -> None:
        super().__init__(trials, units, **options)
        self.kernel_size, self.examples = kernel, examples

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of this shape."""
        self.add_kernel((self.kernel_size, self.kernel_size, int(input_shape[-1] or 0), self.units))
        if len(input_shape) == 5 and self.trials > 1:
            image = tuple(int(size or 0) for size in input_shape[2:])
            self.separate = convolutions.fastest(
                (self.trials, self.examples, *image), tuple(self.kernel.shape), self.compute_dtype
            )

    def call(self, inputs: Any) -> Any:
        """Returns activation(convolution + bias), [K, B, h - 2, w - 2, units]."""
        shared = len(inputs.shape) == 4
        if self.trials == 1:
            outputs = ops.conv(inputs if shared else inputs[0], self.kernel[0])
            outputs = self.activation(backend.add_bias(outputs, self.bias[0]))
            return ops.expand_dims(outputs, 0)
        outputs = self.shared(inputs) if shared else self.separate(inputs, self.kernel)
        return self.activation(outputs + self.bias[:, None, None, None, :])

    def shared(self, inputs: Any) -> Any:
        """Returns the convolution of one input with every trial's kernel."""
        _, height, width, channels, units = self.kernel.shape
        wide = ops.reshape(
            ops.transpose(self.kernel, (1, 2, 3, 0, 4)),
            (height, width, channels, self.trials * units),
        )
        outputs = ops.conv(inputs, wide)
        shape = (-1, *outputs.shape[1:3], self.trials, units)
        return ops.transpose(ops.reshape(outputs, shape), (3, 0, 1, 2, 4))


class StackedBatchNorm(keras.layers.Layer):
    """Batch normalization with statistics of its own per trial: inputs [K, B, ..., c].

    Source: ``keras.layers.BatchNormalization`` with its defaults (momentum 0.99, epsilon 1e-3,
    biased variance in training and in the moving average).
    """

    momentum, epsilon = 0.99, 1e-3

    def __init__(self, trials: int, **options: Any) -> None:
        super().__init__(**options)
        self.trials = trials

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates scale, offset and moving statistics, [K, c] each."""
        shape = (self.trials, int(input_shape[-1] or 0))
        options: dict[str, Any] = {"shape": shape, "autocast": False}
        self.gamma = self.add_weight(initializer="ones", name="gamma", **options)
        self.beta = self.add_weight(initializer="zeros", name="beta", **options)
        options["trainable"] = False
        self.mean = self.add_weight(initializer="zeros", name="moving_mean", **options)
        self.variance = self.add_weight(initializer="ones", name="moving_variance", **options)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the normalized inputs, in the inputs' precision."""
        rank = len(inputs.shape)
        values = ops.cast(inputs, "float32")
        if training:
            mean, variance = ops.moments(values, axes=tuple(range(1, rank - 1)))
            for moving, current in ((self.mean, mean), (self.variance, variance)):
                moving.assign(moving * self.momentum + current * (1.0 - self.momentum))
        else:
            mean, variance = self.mean, self.variance
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        spread = (self.trials, *(1,) * (rank - 2), int(inputs.shape[-1]))
        outputs = values * ops.reshape(scale, spread)
        outputs += ops.reshape(self.beta - mean * scale, spread)
        return ops.cast(outputs, inputs.dtype)

    @property
    def stacked(self) -> tuple[Any, ...]:
        """The per-trial variables in the order of the ordinary layer's weights."""
        return (self.gamma, self.beta, self.mean, self.variance)

    @property
    def trial_axes(self) -> tuple[int, ...]:
        """The trial axis of each of the stacked variables."""
        return (0, 0, 0, 0)


class StackedSwitch(keras.layers.Layer):
    """What some trials skip: (inputs, outputs) of a layer, [K, B, ...] -> the same shape.

    Attributes:
        active: The trials that have the layer; the others' inputs pass.
    """

    def __init__(self, trials: int, **options: Any) -> None:
        super().__init__(**options)
        self.active = per_trial_weight(self, "active", trials)

    def call(self, inputs: Any, outputs: Any) -> Any:
        """Returns each trial's outputs where it has the layer, else its inputs."""
        return ops.where(along_trials(self.active, len(outputs.shape)) > 0, outputs, inputs)


class StackedFlatten(keras.layers.Layer):
    """Flatten: [B, h, w, c] -> [B, h * w * c], or the same behind a trial axis."""

    def call(self, inputs: Any) -> Any:
        """Returns the flattened inputs."""
        leading, image = leading_and_image(inputs)
        return ops.reshape(inputs, (*leading, image[0] * image[1] * image[2]))


class StackedMaxPool(keras.layers.Layer):
    """2x2 max-pooling: [B, h, w, c] -> [B, h / 2, w / 2, c], or the same behind a trial axis."""

    def call(self, inputs: Any) -> Any:
        """Returns the pooled inputs."""
        leading, image = leading_and_image(inputs)
        pooled = ops.max_pool(ops.reshape(inputs, (-1, *image)), 2, 2)
        return ops.reshape(pooled, (*leading, *pooled.shape[1:]))


def leading_and_image(inputs: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the axes before an image as a target of reshape, and the image's own."""
    shape = tuple(inputs.shape)
    return (-1,) if len(shape) == 4 else (shape[0], -1), shape[-3:]


def standardization(mean: np.ndarray, deviation: np.ndarray) -> Any:
    """Returns the layer (x - mean) / deviation for inputs [B, *mean.shape]."""
    axes = tuple(range(1, mean.ndim + 1))
    return keras.layers.Normalization(
        axis=axes, mean=mean, variance=np.square(deviation), dtype="float32"
    )


def glorot_uniform(shape: tuple[int, ...], seed: int, salt: int) -> np.ndarray:
    """Returns Keras's default initialization of a kernel from a counter-based generator.

    Source: Glorot & Bengio 2010; fans as in ``keras.initializers.GlorotUniform``.
    """
    receptive = int(np.prod(shape[:-2]))
    limit = np.sqrt(6.0 / (receptive * (shape[-2] + shape[-1])))
    generator = np.random.Generator(np.random.Philox(key=[seed, salt]))
    return ((2.0 * generator.random(shape, dtype=np.float32) - 1.0) * limit).astype(np.float32)
