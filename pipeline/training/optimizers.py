"""Keras's optimizers, and their stacked form: penalty, update and max-norm of a kernel in one pass.

A config's optimizer comes out plain (:func:`plain`, for the exported model) or stacked
(:func:`stacked`, for a cohort). The stacked one runs Keras's own update rule; around it, it adds
the penalty's gradient and applies the max-norm limit, so that a large kernel is read and written
once a step, not a dozen times. (10,000 words x 32 trials x 64 units, RMSprop: 27 ms instead of 114
as regularizer and constraint; docs/experiments.md.) To add an optimizer: an entry in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.records import TrialConfig
from pipeline.training import backend
from pipeline.training.regularization import vector
from pipeline.training.techniques import penalty_gradient, projected

FUSED_SIZE = 2**17
"""Entries of a kernel from which compiling its update pays: smaller ones stay in the cache."""


class Stacked:
    """What a stacked optimizer adds to Keras's own; mixed in before one of its optimizers.

    Attributes:
        numbers: Technique -> variable [K]; of the optimizer, because with JAX no other variable is
            in reach where weights are updated.
    """

    numbers: dict[str, Any]

    def dress(self, trials: int, kernels: Sequence[Any], variables: Sequence[Any]) -> None:
        """Builds the optimizer and tells it which kernels carry which techniques.

        Args:
            trials: Number of trials K.
            kernels: Stacked layers with ``kernel``, ``trial_axis`` and ``techniques``.
            variables: The network's trainable variables.
        """
        optimizer: Any = self
        optimizer.build(variables)
        names = sorted({name for layer in kernels for name in layer.techniques})
        self.numbers = {name: optimizer.add_variable((trials,), name=name) for name in names}
        # With TensorFlow an update gets the backend's variable, with JAX Keras's own.
        self._layers = {
            id(one): layer for layer in kernels for one in (layer.kernel, layer.kernel.value)
        }

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable by its rule, with the techniques of its kernel around it."""
        layer = self._layers.get(id(variable))
        if layer is None:
            super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]
            return

        def step(gradient: Any, rate: Any) -> None:
            self._update(layer, gradient, variable, rate)

        large = int(np.prod(layer.kernel.shape)) >= FUSED_SIZE
        rate = ops.cast(learning_rate, "float32")
        (backend.fused(step) if large else step)(gradient, rate)

    def _update(self, layer: Any, gradient: Any, variable: Any, rate: Any) -> None:
        optimizer: Any = self
        numbers = {name: self.numbers[name] for name in layer.techniques}
        axis = layer.trial_axis
        weights = ops.convert_to_tensor(variable)
        gradient += penalty_gradient(weights, numbers.get("l1"), numbers.get("l2"), axis)
        super().update_step(gradient, variable, rate)  # type: ignore[misc]
        if "max_norm" in numbers:
            limited = projected(ops.convert_to_tensor(variable), numbers["max_norm"], axis)
            optimizer.assign(variable, limited)

    def start(self, configs: Sequence[TrialConfig]) -> None:
        """Forgets all earlier steps and takes the techniques' numbers of a new cohort."""
        optimizer: Any = self
        for variable in optimizer.variables:
            if variable is not optimizer.learning_rate:
                variable.assign(zeros(variable))
        for name, variable in self.numbers.items():
            variable.assign(vector(name, configs))


class StackedAdam(Stacked, keras.optimizers.Adam):
    """Adam on stacked kernels."""


class StackedRMSprop(Stacked, keras.optimizers.RMSprop):
    """RMSprop on stacked kernels."""


class StackedSGD(Stacked, keras.optimizers.SGD):
    """SGD on stacked kernels."""


def zeros(variable: Any) -> Any:
    """Returns zeros of the variable's shape and type."""
    return ops.zeros(variable.shape, dtype=variable.dtype)


RULES: Mapping[str, tuple[Any, Any]] = {
    "adam": (keras.optimizers.Adam, StackedAdam),
    "rmsprop": (keras.optimizers.RMSprop, StackedRMSprop),
    "sgd": (keras.optimizers.SGD, StackedSGD),
}
"""Name of an optimizer -> Keras's class and its stacked form."""


def plain(config: TrialConfig) -> Any:
    """Returns the config's optimizer with Keras's defaults but for the learning rate."""
    return RULES[config.optimizer][0](learning_rate=learning_rate(config))


def stacked(config: TrialConfig) -> Any:
    """Returns the same for stacked weights; its ``dress`` comes before its first step."""
    return RULES[config.optimizer][1](learning_rate=learning_rate(config))


def learning_rate(config: TrialConfig) -> Any:
    """Returns the config's learning rate, or its schedule where it decays."""
    if not config.learning_rate_decay:
        return config.learning_rate
    return keras.optimizers.schedules.InverseTimeDecay(
        config.learning_rate, 1, config.learning_rate_decay
    )
