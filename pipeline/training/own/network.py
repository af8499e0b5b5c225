"""Hosts the user's model for one trial in the training loop of ours (``training.fit``).

A :class:`OwnNetwork` is to ``fit`` what a ``StackedNetwork`` with one slot is: it takes indices of
examples, gives logits [B, 1, C], scores examples, and has weights that can be kept and restored.
Inputs come to the user's model as to ours: dense float32 rows, standardized where the config says
so. Penalties of its layers are part of the training loss only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.records import Trial, TrialConfig
from pipeline.training.added_loss import changed_loss
from pipeline.training.device_data import DeviceData
from pipeline.training.export import preprocessing
from pipeline.training.losses import (
    RunningCrossEntropy,
    StackedCrossEntropy,
)
from pipeline.training.memory_model import scored_at_once
from pipeline.training.network import steps_per_execution
from pipeline.training.optimizers import keras_optimizer
from pipeline.training.own.checks import PROBABILITIES, PROBED, check_outputs
from pipeline.training.own.making import located, log_of, made, penalty_of, seeded, size_of
from pipeline.training.scored_network import ScoredNetwork
from pipeline.training.techniques import check_inputs, in_use, vector


@dataclass(frozen=True)
class OneTrial:
    """What ``fit`` asks of a network's spec.

    Attributes:
        config: The trial's hyperparameters.
        trials: Number of slots.
    """

    config: TrialConfig
    trials: int = 1


class MultiHot(keras.layers.Layer):
    """Token lists of ``DeviceTokens`` -> dense rows of zeros and ones [B, num_words], float32."""

    def __init__(self, num_words: int, **options: Any) -> None:
        super().__init__(**options)
        self.num_words = num_words

    def call(self, tokens: Any) -> Any:
        """Returns the rows."""
        num_examples = ops.shape(tokens)[0]
        rows = ops.broadcast_to(ops.expand_dims(ops.arange(num_examples), 1), ops.shape(tokens))
        # Padding counts into an extra column, which is cut off.
        columns = ops.where(tokens < 0, self.num_words, tokens)
        places = ops.reshape(ops.stack([rows, columns], axis=-1), (-1, 2))
        ones = ops.ones((ops.shape(places)[0],), dtype="float32")
        hot = ops.scatter(places, ones, (num_examples, self.num_words + 1))
        return ops.minimum(hot[:, : self.num_words], 1.0)


class OwnNetwork(ScoredNetwork):
    """One trial's model of the user's, compiled for ``fit``.

    Attributes:
        spec: The trial's configuration.
        own: The user's model.
        steps_per_epoch: Full batches in the training part.
        batch_size: Examples per step; smaller than the config's where the data has fewer.
        scored: Examples per call of the scoring function.
        num_parameters: Trainable parameters.

    Raises:
        OwnModelError: The user's function failed, or its model cannot be used.
    """

    def __init__(self, trial: Trial, data: DeviceData) -> None:
        config, dataset = trial.config, data.dataset
        self.spec, self.data = OneTrial(config), data
        self.batch_size, self.steps_per_epoch = data.full_batches(config.batch_size)
        techniques = in_use([config])
        check_inputs(techniques, dataset.kind)
        self.own, _ = made(config, dataset.input_shape, dataset.num_classes, trial.seed)
        with seeded(trial.seed):
            entrance = self._entrance(config)
        few = entrance(data.measured[:PROBED], training=False)
        # The masks of the first step are drawn from here on.
        with seeded(trial.seed), located(config):
            meaning = check_outputs(self.own, few, dataset.num_classes)
            size, widest = size_of(self.own)
            self.num_parameters = size.num_parameters
            self.scored = scored_at_once(widest, 1, math.prod(dataset.input_shape))
            indices = keras.Input(shape=(), dtype="int32", name="indices")
            found = self.own(entrance(indices))
            found = log_of(found) if meaning == PROBABILITIES else ops.cast(found, "float32")
            logits = ops.expand_dims(found, 1)
            self.score_by(indices, logits, data.labels(indices))
            self.running = RunningCrossEntropy(1)
            self.model = keras.Model(indices, self._with_terms(logits, indices, techniques))
            self.model.compile(
                optimizer=keras_optimizer(config),
                loss=StackedCrossEntropy(),
                metrics=[self.running],
                steps_per_execution=steps_per_execution(self.steps_per_epoch),
                jit_compile=keras.backend.backend() == "jax",
            )

    def _entrance(self, config: TrialConfig) -> Any:
        """Returns a model from indices to what the user's model takes."""
        dataset = self.data.dataset
        indices = keras.Input(shape=(), dtype="int32")
        tensor = self.data.inputs(indices)
        if dataset.kind == "multi_hot":
            tensor = MultiHot(dataset.input_shape[0], dtype="float32")(tensor)
        else:
            for layer in preprocessing(config, dataset)[1:]:
                tensor = layer(tensor)
        return keras.Model(indices, tensor, name="entrance")

    def _with_terms(self, logits: Any, indices: Any, techniques: frozenset[str]) -> Any:
        """Returns the logits; techniques that add to the training loss do so on the way."""
        labels, classes = self.data.labels(indices), self.data.class_weights
        logits, added = changed_loss(logits, labels, 1, techniques, classes)
        for name, numbers in added.items():
            numbers.assign(vector(name, [self.spec.config]))
        return logits

    def start(self, trials: Sequence[Trial]) -> None:
        """Leaves everything as it is: the network was made for its one trial."""

    def averaged(self) -> AbstractContextManager[None]:
        """Changes nothing: no technique here averages weights."""
        return nullcontext()

    @property
    def stacked(self) -> list[Any]:
        """The weights of the user's model, in its order, those that are not trained among them."""
        return list(self.own.weights)

    @property
    def trial_axes(self) -> list[int]:
        """The axis along which a number per slot is spread; with one slot any will do."""
        return [0] * len(self.stacked)

    def per_trial(self) -> list[tuple[np.ndarray, ...]]:
        """Returns the weights of the one trial."""
        return [tuple(np.array(ops.convert_to_numpy(v)) for v in self.stacked)]

    @property
    def penalty(self) -> float:
        """The sum of the penalties of the model's weights."""
        return penalty_of(self.own)
