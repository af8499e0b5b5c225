"""Counts how much memory a cohort takes while it trains, from its list of layers, without Keras.

In: a config and the shape of the data. Out: a :class:`MemoryNeed`, by which the supervisor sizes
cohorts before anything is trained, and the number of examples that a network scores at once.
Compared with what workers held in docs/experiments.md. A new optimizer: an entry in :data:`SLOTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from pipeline.records import TrialConfig
from pipeline.training import models
from pipeline.training.architecture import (
    Conv,
    Dense,
    Flatten,
    Layer,
    OutputTechnique,
    Shape,
    num_parameters,
    walk,
)
from pipeline.training.technique_forms import WeightAverage
from pipeline.training.techniques import acting, has_own_inputs, in_use

FLOAT_BYTES = 4
SLOTS = {"adam": 2, "rmsprop": 1, "sgd": 0}
"""Numbers that an optimizer keeps per weight (Keras's defaults: plain RMSprop, SGD)."""
ACTIVATION_TENSORS = {"leaky_relu": 2, "silu": 2, "gelu": 5}
"""Activation -> tensors like its output that its gradient keeps, where that is not one."""
COPIES = 3
"""Of every weight: its gradient, the best one so far, one in passing. The weight itself and the
optimizer's numbers exist twice, while an update writes the new ones."""
PASSING = 3
"""Tensors as wide as the widest layer that exist for a moment: an input, a result, a gradient."""
SCORES = 4
"""Columns that scoring gives per example; they exist twice while they are joined."""
SCORED_ACTIVATIONS = 2**24
"""Values of the widest layer that one scoring batch may take (64 MiB in float32)."""
FEWEST_SCORED, MOST_SCORED = 32, 4096


@dataclass(frozen=True)
class DataShape:
    """The shape of a dataset.

    Attributes:
        input_shape: One example's; for multi-hot rows the number of words.
        num_classes: Classes.
        num_scored: Examples that are scored after training: validation and measured train.
    """

    input_shape: Shape
    num_classes: int
    num_scored: int


@dataclass(frozen=True)
class MemoryNeed:
    """What one trial takes, in bytes, and what decides how many examples are scored at once.

    Attributes:
        weights: With gradients, the optimizer's numbers and best copies.
        batch: Activations of a training batch, kept for the gradient, and what exists in passing.
        widest: Most values that a layer makes of one example, the shared input not counted.
        scored: Activations of one scored example.
        scores: Scores of all scored examples.
        shared: Values of one example's input, which all trials share.
    """

    weights: int
    batch: int
    widest: int
    scored: int
    scores: int
    shared: int = 0

    def bytes(self, trials: int) -> int:
        """Returns what a cohort of so many trials takes beside the data and the libraries.

        Training and scoring take turns, but what one frees does not all return to the system.
        """
        at_once = scored_at_once(self.widest, trials, self.shared)
        scoring = at_once * self.scored + self.scores
        return trials * (self.weights + self.batch + scoring) + at_once * self.shared * FLOAT_BYTES

    def most(self, memory: float, trials: int) -> int:
        """Returns how many of so many trials fit into this many bytes together, 1 at least."""
        return next((k for k in range(trials, 1, -1) if self.bytes(k) <= memory), 1)


def memory_need(config: TrialConfig, data: DataShape) -> MemoryNeed:
    """Returns what a trial of this config takes.

    Raises:
        InputError: The network does not fit the inputs.
    """
    layers = (*models.layers_of(config, data.input_shape), Dense(data.num_classes))
    own = [
        (layer, prod(layer.output_shape(shape)))
        for layer, shape in walk(layers, data.input_shape)
        if not isinstance(layer, Flatten)
    ]
    widest = max(values for _, values in own)
    own_inputs = has_own_inputs(config)
    kept = sum(values * _tensors_kept(layer) for layer, values in own)
    if own_inputs:  # a trial's noise and its noisy inputs
        kept += 2 * prod(data.input_shape)
        widest = max(widest, prod(data.input_shape))
    averages = len(acting(WeightAverage, in_use([config])))
    copies = COPIES + 2 * (1 + SLOTS[config.optimizer] + averages)
    return MemoryNeed(
        weights=num_parameters(layers, data.input_shape) * copies * FLOAT_BYTES,
        batch=config.batch_size * (kept + PASSING * widest) * FLOAT_BYTES,
        widest=widest_activation(config, data.input_shape, data.num_classes, own_inputs),
        shared=prod(data.input_shape),
        scored=PASSING * widest * FLOAT_BYTES,
        scores=2 * SCORES * data.num_scored * FLOAT_BYTES,
    )


def _tensors_kept(layer: Layer) -> int:
    """Returns how many tensors like its output a layer keeps for the gradient."""
    if isinstance(layer, Dense | Conv):
        return ACTIVATION_TENSORS.get(layer.activation, 1)
    return 2 if isinstance(layer, OutputTechnique) else 1


def widest_activation(
    config: TrialConfig, input_shape: Shape, num_classes: int, own_inputs: bool = False
) -> int:
    """Returns the largest number of values that a trial's layers make of one example.

    Args:
        config: Its hyperparameters.
        input_shape: One example's.
        num_classes: Classes.
        own_inputs: Whether the trials have inputs of their own: a technique acts on them.
    """
    layers = (*models.layers_of(config, input_shape), Dense(num_classes))
    widest = max(prod(layer.output_shape(shape)) for layer, shape in walk(layers, input_shape))
    return max(widest, prod(input_shape)) if own_inputs else widest


def scored_at_once(widest: int, trials: int, shared: int = 0) -> int:
    """Returns how many examples a network for so many trials scores in one call."""
    values = max(widest * trials, shared)
    return min(max(SCORED_ACTIVATIONS // values, FEWEST_SCORED), MOST_SCORED)
