"""Stacks Keras's optimizers: penalty, decay, update and limit in one pass.

A config's optimizer comes out plain (:func:`keras_optimizer`, for the exported model) or stacked
(:func:`stacked_optimizer`, for a cohort). The stacked one runs Keras's own update rule with a
learning rate per trial; around it, it adds the penalty's gradient and applies the max-norm limit,
so that a large kernel is read and written once a step, not a dozen times. (10,000 words x 32 trials
x 64 units, RMSprop: 27 ms instead of 114 as regularizer and constraint; docs/experiments.md.) To
add an optimizer: an entry in ``OPTIMIZERS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.records import TrialConfig
from pipeline.training import backend
from pipeline.training.random_layers import along_trials
from pipeline.training.technique_forms import (
    KernelConstraint,
    KernelPenalty,
    WeightAverage,
    WeightUpdate,
)
from pipeline.training.techniques import acting, in_use, vector

FUSED_SIZE = 2**17
"""Entries of a kernel from which compiling its update pays: smaller ones stay in the cache."""


class LearningRates(keras.optimizers.schedules.LearningRateSchedule):
    """Every trial's learning rate [K] at a step, or the one that all share [1].

    As Keras's ``InverseTimeDecay`` of 1 decay step.
    """

    rate: Any
    decay: Any

    def __call__(self, step: Any) -> Any:
        """Returns rate / (1 + decay * step)."""
        return self.rate / (1.0 + self.decay * ops.cast(step, "float32"))


class StackedOptimizer:
    """What a stacked optimizer adds to Keras's own; mixed in before one of its optimizers.

    Attributes:
        rates: The trials' learning rates.
        numbers: Technique -> variable [K]; these and the rates are the optimizer's, because with
            JAX no other variable is in reach where weights are updated.
        updates: The techniques that change every variable before its update.
        averages: A variable's id -> its moving average, and where its trials are; empty where no
            trial has one.
    """

    rates: LearningRates
    numbers: dict[str, Any]
    updates: dict[str, Any]
    averages: dict[int, tuple[Any, int]]

    def __init__(self) -> None:
        rates = LearningRates()
        super().__init__(learning_rate=rates)  # type: ignore[call-arg]
        self.rates = rates

    def build_for(
        self,
        trials: int,
        kernels: Sequence[Any],
        variables: Sequence[Any],
        *,
        updates: Sequence[str],
        num_rates: int,
        averaging: str = "",
    ) -> None:
        """Builds the optimizer and tells it which variables carry which techniques.

        Args:
            trials: Number of trials K.
            kernels: Stacked layers with ``kernel``, ``trial_axis`` and ``techniques``.
            variables: The network's trainable variables.
            updates: Techniques that change every variable before its update.
            num_rates: Learning rates: K, or 1 that all trials share.
            averaging: The technique that averages weights; empty for none.
        """
        optimizer: Any = self
        optimizer.build(variables)
        others = {*updates, averaging} - {""}
        names = sorted({name for layer in kernels for name in layer.techniques} | others)
        self.numbers = {name: optimizer.add_variable((trials,), name=name) for name in names}
        self.updates = acting(WeightUpdate, updates)
        self.averaging, self.averages = averaging, {}
        axes = {id(layer.kernel): layer.trial_axis for layer in kernels}
        for variable in variables if averaging else ():
            average = optimizer.add_variable_from_reference(variable, name="average")
            for one in (variable, variable.value):
                self.averages[id(one)] = average, axes.get(id(variable), 0)
        self.rates.rate = optimizer.add_variable((num_rates,), name="rate")
        self.rates.decay = optimizer.add_variable((num_rates,), name="decay")
        # With TensorFlow an update gets the backend's variable, with JAX Keras's own.
        self._layers = {
            id(one): layer for layer in kernels for one in (layer.kernel, layer.kernel.value)
        }

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable by its rule, with what techniques do around it, and its average.

        Args:
            gradient: The loss's.
            variable: Has the trials along its first axis, a kernel along its layer's.
            learning_rate: [K] or [1].
        """
        self._update_step(gradient, variable, learning_rate)
        if self.averaging:
            average, axis = self.averages[id(variable)]
            momenta = along_trials(self.numbers[self.averaging], len(variable.shape), axis)
            optimizer: Any = self
            # As Keras's `use_ema`: the first average is the first weights.
            kept = momenta * ops.cast(ops.not_equal(optimizer.iterations, 0), momenta.dtype)
            weights = ops.convert_to_tensor(variable)
            optimizer.assign(average, kept * average + (1.0 - kept) * weights)

    def _update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        layer = self._layers.get(id(variable))
        if layer is None:
            rate = along_trials(learning_rate, len(variable.shape))
            self._update_before(variable, rate, 0)
            super().update_step(gradient, variable, rate)  # type: ignore[misc]
            return

        def step(gradient: Any, rate: Any) -> None:
            self._update(layer, gradient, variable, rate)

        large = int(np.prod(layer.kernel.shape)) >= FUSED_SIZE
        rate = along_trials(learning_rate, len(variable.shape), layer.trial_axis)
        (backend.fused(step) if large else step)(gradient, rate)

    def _update(self, layer: Any, gradient: Any, variable: Any, rate: Any) -> None:
        optimizer: Any = self
        axis = layer.trial_axis
        # Of the weights before any update, as Keras takes the gradient of the whole loss.
        gradient += self._penalty_gradient(layer, ops.convert_to_tensor(variable))
        self._update_before(variable, rate, axis)
        super().update_step(gradient, variable, rate)  # type: ignore[misc]
        rank = len(variable.shape)
        for name, entry in acting(KernelConstraint, layer.techniques).items():
            limits = along_trials(self.numbers[name], rank, axis)
            axes = tuple(other for other in range(rank - 1) if other != axis)
            limited = entry.form.project(ops.convert_to_tensor(variable), limits, axes)
            optimizer.assign(variable, limited)

    def _penalty_gradient(self, layer: Any, weights: Any) -> Any:
        total = ops.zeros((), dtype=weights.dtype)
        for name, entry in acting(KernelPenalty, layer.techniques).items():
            factors = along_trials(self.numbers[name], len(weights.shape), layer.trial_axis)
            total += entry.form.gradient(weights, factors)
        return total

    def _update_before(self, variable: Any, rate: Any, axis: int) -> None:
        optimizer: Any = self
        for name, entry in self.updates.items():
            weights = ops.convert_to_tensor(variable)
            numbers = along_trials(self.numbers[name], len(weights.shape), axis)
            optimizer.assign(variable, entry.form.before(weights, numbers, rate))

    def start(self, configs: Sequence[TrialConfig]) -> None:
        """Forgets all earlier steps and takes the numbers of a new cohort."""
        optimizer: Any = self
        for variable in optimizer.variables:
            variable.assign(zeros(variable))
        for name, variable in self.numbers.items():
            variable.assign(vector(name, configs))
        own = configs[: self.rates.rate.shape[0]]
        self.rates.rate.assign(np.array([c.learning_rate for c in own], np.float32))
        self.rates.decay.assign(np.array([c.learning_rate_decay for c in own], np.float32))


class StackedAdam(StackedOptimizer, keras.optimizers.Adam):
    """Adam on stacked kernels."""


class StackedRMSprop(StackedOptimizer, keras.optimizers.RMSprop):
    """RMSprop on stacked kernels."""


class StackedSGD(StackedOptimizer, keras.optimizers.SGD):
    """SGD on stacked kernels."""


def zeros(variable: Any) -> Any:
    """Returns zeros of the variable's shape and type."""
    return ops.zeros(variable.shape, dtype=variable.dtype)


OPTIMIZERS: Mapping[str, tuple[Any, Any]] = {
    "adam": (keras.optimizers.Adam, StackedAdam),
    "rmsprop": (keras.optimizers.RMSprop, StackedRMSprop),
    "sgd": (keras.optimizers.SGD, StackedSGD),
}
"""Name of an optimizer -> Keras's class and its stacked form."""


def keras_optimizer(config: TrialConfig) -> Any:
    """Returns the config's optimizer: Keras's defaults but for learning rate and techniques."""
    options: dict[str, Any] = {}
    techniques = in_use([config])
    found: list[Any] = [*acting(WeightUpdate, techniques).values()]
    for entry in [*found, *acting(WeightAverage, techniques).values()]:
        options |= entry.form.keras(entry.number(config))
    return OPTIMIZERS[config.optimizer][0](learning_rate=learning_rate(config), **options)


def stacked_optimizer(config: TrialConfig) -> Any:
    """Returns the same rule for stacked weights: ``build_for`` and ``start`` come before a step."""
    return OPTIMIZERS[config.optimizer][1]()


def learning_rate(config: TrialConfig) -> Any:
    """Returns the config's learning rate, or its schedule where it decays."""
    if not config.learning_rate_decay:
        return config.learning_rate
    return keras.optimizers.schedules.InverseTimeDecay(
        config.learning_rate, 1, config.learning_rate_decay
    )
