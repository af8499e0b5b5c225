"""Builds a cohort's network: from a list of layers to one stacked, compiled Keras model, and back.

A :class:`StackedNetwork` is made once per structure and cohort size; ``start`` gives it the
numbers, seeds and initial weights of one cohort after another. ``stacked`` are its per-trial
weights, in the order of the ordinary model that ``training.export`` builds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.records import Trial, TrialConfig
from pipeline.training import models, optimizers
from pipeline.training.added_loss import changed_loss
from pipeline.training.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    OutputTechnique,
    walk,
)
from pipeline.training.device_data import DeviceData
from pipeline.training.layers import (
    SharedBag,
    SharedDense,
    StackedBatchNorm,
    StackedConv,
    StackedDense,
    StackedFlatten,
    StackedMaxPool,
    StackedSwitch,
    Weighted,
    glorot_uniform,
    standardization,
)
from pipeline.training.losses import (
    RunningCrossEntropy,
    StackedCrossEntropy,
)
from pipeline.training.memory_model import scored_at_once, widest_activation
from pipeline.training.padding import Placement, skippable
from pipeline.training.random_layers import StackedRandom
from pipeline.training.scored_network import ScoredNetwork
from pipeline.training.technique_forms import (
    KernelConstraint,
    KernelPenalty,
    NetworkInput,
    WeightAverage,
    WeightUpdate,
)
from pipeline.training.techniques import TECHNIQUES, acting, check_inputs, structure, vector

LONGEST_EXECUTION = 64
"""Training steps per call into the backend: enough to hide the call, few enough for progress."""
SHORTEST_EXECUTION = 8
INPUT_SALT = 2**20
"""From here on count random layers before the first layer; others count from 0, by their place."""


@dataclass(frozen=True)
class NetworkSpec:
    """What decides a compiled program.

    Attributes:
        config: Any config of the structure; with padding the one of the largest network.
        trials: Number of trials K.
        techniques: The techniques that at least one trial uses.
        own_rates: Whether the trials' learning rates differ; a common one costs a tenth less.
        own_sizes: Whether the trials' networks differ in size (``training.padding``).
        fused: Whether TensorFlow has XLA compile the steps: half the time each, compiled longer.
    """

    config: TrialConfig
    trials: int
    techniques: frozenset[str]
    own_rates: bool = False
    own_sizes: bool = False
    fused: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal keys share one compiled program."""
        kind = (structure(self.config), self.trials, self.techniques)
        return (*kind, self.own_rates, self.own_sizes, self.fused)


class StackedNetwork(ScoredNetwork):
    """One compiled program, used by cohort after cohort.

    Attributes:
        spec: What it was built for.
        steps_per_epoch: Full batches in the training part.
        batch_size: Examples per step; smaller than the config's where the data has fewer.
        scored: Examples per call of the scoring function.
    """

    def __init__(self, spec: NetworkSpec, data: DeviceData) -> None:
        self.spec, self.data = spec, data
        batches = data.full_batches(spec.config.batch_size)
        self.batch_size, self.steps_per_epoch = batches
        shape = data.dataset.input_shape
        own_inputs = bool(acting(NetworkInput, spec.techniques))
        widest = widest_activation(spec.config, shape, data.dataset.num_classes, own_inputs)
        self.scored = scored_at_once(widest, spec.trials, math.prod(shape))
        self.layers: list[Any] = []
        self.switches: dict[int, StackedSwitch] = {}
        self.random: dict[str, list[StackedRandom]] = {}
        self.placements = [self.placement(spec.config)] * spec.trials
        self.added_numbers: dict[str, Any] = {}
        indices = keras.Input(shape=(), dtype="int32", name="indices")
        logits = self._stack(indices)
        self.model = keras.Model(indices, logits)
        self.score_by(indices, logits, data.labels(indices), fused=spec.fused)
        self.running = RunningCrossEntropy(spec.trials)
        self.model.compile(
            optimizer=optimizers.stacked_optimizer(spec.config),
            loss=StackedCrossEntropy(),
            metrics=[self.running],
            steps_per_execution=steps_per_execution(self.steps_per_epoch),
            jit_compile=spec.fused or keras.backend.backend() == "jax",
        )
        self.model.optimizer.build_for(
            spec.trials,
            self.weighted,
            self.model.trainable_variables,
            updates=tuple(acting(WeightUpdate, spec.techniques)),
            num_rates=spec.trials if spec.own_rates else 1,
            averaging=next(iter(acting(WeightAverage, spec.techniques)), ""),
        )

    def _stack(self, indices: Any) -> Any:
        config, dataset = self.spec.config, self.data.dataset
        check_inputs(self.spec.techniques, dataset.kind)
        tensor = self.data.inputs(indices)
        if config.standardize and dataset.mean is not None and dataset.deviation is not None:
            tensor = standardization(dataset.mean, dataset.deviation)(tensor)
        for place, (name, entry) in enumerate(acting(NetworkInput, self.spec.techniques).items()):
            tensor = self.random_layer(name, entry.form.stacked, INPUT_SALT + place)(tensor)
        skipped: frozenset[int] = frozenset()
        if self.spec.own_sizes:
            skipped = skippable(config, dataset.input_shape)
        for index, layer in enumerate(models.layers_of(config, dataset.input_shape)):
            built = BUILDERS[type(layer)](layer, self, index)
            before, tensor = tensor, built(tensor)
            if index in skipped and hasattr(built, "stacked"):
                self.switches[index] = StackedSwitch(self.spec.trials)
                tensor = self.switches[index](before, tensor)
            self.layers.append(built)
        output = StackedDense(self.spec.trials, dataset.num_classes, dtype="float32", name="output")
        self.layers.append(output)
        # Examples first: scores of batches are joined along the first axis.
        logits = ops.transpose(output(tensor), (1, 0, 2))
        logits, self.added_numbers = changed_loss(
            logits,
            self.data.labels(indices),
            self.spec.trials,
            self.spec.techniques,
            self.data.class_weights,
        )
        return logits

    def random_layer(self, name: str, build: Callable[[int, int], Any], salt: int) -> Any:
        """Returns a technique's layer, which :meth:`start` gives its numbers and seeds."""
        layer = build(self.spec.trials, salt)
        layer.own_lengths = self.spec.own_sizes and salt < INPUT_SALT
        self.random.setdefault(name, []).append(layer)
        return layer

    def start(self, trials: Sequence[Trial]) -> None:
        """Sets the numbers, seeds and initial weights of a cohort, and resets the optimizer.

        Slots that are left over train copies of the last trial.
        """
        trials = self.filled(trials)
        configs = [trial.config for trial in trials]
        seeds = np.array([trial.seed for trial in trials], dtype=np.uint32)
        self.placements = [self.placement(config) for config in configs]
        for index, layer in enumerate(self.layers):
            if isinstance(layer, StackedBatchNorm):
                for weight, value in zip(layer.stacked, (1.0, 0.0, 0.0, 1.0), strict=True):
                    weight.assign(np.full(weight.shape, value, dtype=np.float32))
            elif isinstance(layer, Weighted):
                kernel = self._initial_kernels(layer, index, seeds)
                if isinstance(layer, SharedBag):
                    # Padding sets column 0 in the exported model; no example does. Zeros stay
                    # zero: neither the loss nor a penalty has a gradient there.
                    kernel[0] = 0.0
                layer.kernel.assign(kernel)
                layer.bias.assign(np.zeros(layer.bias.shape, dtype=np.float32))
        for index, switch in self.switches.items():
            switch.active.assign(self._has(index).astype(np.float32))
        for name, layers in self.random.items():
            for layer in layers:
                self._start_random(name, layer, vector(name, configs), seeds)
        for name, numbers in self.added_numbers.items():
            numbers.assign(vector(name, configs))
        self.model.optimizer.start(configs)

    def placement(self, config: TrialConfig) -> Placement:
        """Returns where a config's layers are in this network, its output layer included."""
        shape = self.data.dataset.input_shape
        output = Dense(self.data.dataset.num_classes, activation="linear", regularized=False)
        small, large = (models.layers_of(one, shape) for one in (config, self.spec.config))
        placement = Placement.of(small, large, shape)
        own = len(small)
        layers = (*small, output)
        shapes = tuple(shape for _, shape in walk(layers, shape))
        return Placement(layers, shapes, (*placement.places, own))

    def _has(self, index: int) -> np.ndarray:
        """Returns which trials have the layer at a place, bool [K]."""
        return np.array([placement.places[index] is not None for placement in self.placements])

    def _initial_kernels(self, layer: Weighted, index: int, seeds: np.ndarray) -> np.ndarray:
        """Returns the kernels that trials begin with, 0 where a smaller network has no weights."""
        kernels = np.zeros(layer.kernel.shape, dtype=np.float32)
        by_trial = np.moveaxis(kernels, layer.trial_axis, 0)
        for kernel, placement, seed in zip(by_trial, self.placements, seeds, strict=True):
            own = placement.places[index]
            if own is not None:
                mine = placement.cut(kernel, index)
                mine[...] = glorot_uniform(mine.shape, int(seed), own)
        return kernels

    def _start_random(self, name: str, layer: Any, numbers: np.ndarray, seeds: np.ndarray) -> None:
        """Gives a random layer its numbers and streams, as each trial's own network has them."""
        if not layer.own_lengths:
            layer.start(numbers, seeds)
            return
        place, off = layer.salt, TECHNIQUES[name].off
        numbers = np.where(self._has(place), numbers, np.float32(off))
        salts = [placement.places[place] or 0 for placement in self.placements]
        lengths = [placement.length(place) for placement in self.placements]
        layer.start(numbers, seeds, salts, lengths)

    def continue_from(self, other: StackedNetwork, slots: Sequence[int]) -> None:
        """Takes over trials in the middle of their training, optimizer and all.

        Args:
            other: A network of the same structure and techniques, for more trials.
            slots: Where they are in it.
        """
        taken = self.filled(slots)
        for mine, its in zip(self.variables, other.variables, strict=True):
            if mine is its:  # the dataset
                continue
            values = np.asarray(its)
            # What differs is the number of trials; counters and rates have no such axis.
            for axis in np.flatnonzero(np.not_equal(mine.shape, its.shape)):
                values = np.take(values, taken, axis)
            mine.assign(values)

    def filled(self, slots: Sequence[Any]) -> list[Any]:
        """Returns one entry per slot of this network: spare ones repeat the last."""
        return [*slots, *[slots[-1]] * (self.spec.trials - len(slots))]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Puts the moving averages of the weights in their place for a while, where some have."""
        averages = self.model.optimizer.averages
        kept = []
        for variable in self.model.trainable_variables if averages else ():
            kept.append((variable, ops.copy(variable.value)))
            variable.assign(averages[id(variable)][0].value)
        yield
        for variable, value in kept:
            variable.assign(value)

    @property
    def variables(self) -> list[Any]:
        """Everything that training changes or depends on, in an order common to all sizes."""
        return [*self.model.variables, *self.model.optimizer.variables]

    @property
    def parted(self) -> bool:
        """Whether the trials have values of their own at the layer that is built now."""
        return bool(self.weighted or acting(NetworkInput, self.spec.techniques))

    @property
    def weighted(self) -> list[Weighted]:
        """The layers with a kernel."""
        return [layer for layer in self.layers if isinstance(layer, Weighted)]

    @property
    def trial_axes(self) -> list[int]:
        """The trial axis of every stacked variable."""
        return [axis for layer in self.layers for axis in getattr(layer, "trial_axes", ())]

    def per_trial(self) -> list[tuple[np.ndarray, ...]]:
        """Returns every trial's weights, in the order and shapes of its ordinary model."""
        weights: list[list[np.ndarray]] = [[] for _ in self.placements]
        for index, layer in enumerate(self.layers):
            axes = zip(getattr(layer, "stacked", ()), getattr(layer, "trial_axes", ()), strict=True)
            for variable, axis in axes:
                arrays = np.moveaxis(np.asarray(variable), axis, 0)
                for array, own, placement in zip(arrays, weights, self.placements, strict=True):
                    if placement.places[index] is not None:
                        own.append(placement.cut(array, index).copy())
        return [tuple(own) for own in weights]

    @property
    def stacked(self) -> list[Any]:
        """Every per-trial variable, layer by layer, in the order of the ordinary model."""
        return [v for layer in self.layers for v in getattr(layer, "stacked", ())]


def steps_per_execution(steps_per_epoch: int) -> int:
    """Returns how many steps are one call: a divisor of the epoch, so that epochs end on time."""
    divisors = [d for d in range(1, steps_per_epoch + 1) if steps_per_epoch % d == 0]
    longest = max(d for d in divisors if d <= LONGEST_EXECUTION)
    if longest >= min(SHORTEST_EXECUTION, steps_per_epoch):
        return longest
    return min(d for d in divisors if d > LONGEST_EXECUTION)


def _on_kernel(layer: Dense | Conv, network: StackedNetwork) -> dict[str, Any]:
    techniques = network.spec.techniques
    options: dict[str, Any] = {"activation": layer.activation}
    if layer.regularized:
        penalties, limits = acting(KernelPenalty, techniques), acting(KernelConstraint, techniques)
        options["techniques"] = frozenset({*penalties, *limits})
    return options


def _dense(layer: Any, network: StackedNetwork, index: int) -> Any:
    trials, options = network.spec.trials, _on_kernel(layer, network)
    if network.parted:
        return StackedDense(trials, layer.units, **options)
    dataset = network.data.dataset
    if dataset.kind == "multi_hot":
        return SharedBag(trials, layer.units, dataset.input_shape[0], **options)
    return SharedDense(trials, layer.units, **options)


def _conv(layer: Any, network: StackedNetwork, index: int) -> Any:
    trials, options = network.spec.trials, _on_kernel(layer, network)
    return StackedConv(trials, layer.filters, layer.kernel, network.batch_size, **options)


def _output_technique(layer: Any, network: StackedNetwork, index: int) -> Any:
    name = layer.technique
    if name not in network.spec.techniques:
        return keras.layers.Identity()
    form: Any = TECHNIQUES[name].form
    return network.random_layer(name, form.stacked, index)


BUILDERS: dict[type[Layer], Callable[[Any, StackedNetwork, int], Any]] = {
    Dense: _dense,
    Conv: _conv,
    BatchNorm: lambda layer, network, index: StackedBatchNorm(network.spec.trials),
    OutputTechnique: _output_technique,
    Flatten: lambda layer, network, index: StackedFlatten(),
    MaxPool: lambda layer, network, index: StackedMaxPool(),
}
"""Kind of layer -> what builds its stacked form."""
