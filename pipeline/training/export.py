"""Exports a trial as an ordinary Keras model: ordinary layers, raw inputs, class probabilities.

This is what is saved, logged, served and read on the test part; it loads without this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers as kl

from pipeline.datasets.dataset import Dataset
from pipeline.records import TrialConfig
from pipeline.training import models
from pipeline.training.architecture import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    OutputTechnique,
)
from pipeline.training.layers import standardization
from pipeline.training.optimizers import keras_optimizer
from pipeline.training.raw_inputs import with_encoding
from pipeline.training.technique_forms import (
    Combination,
    KernelConstraint,
    KernelPenalty,
    NetworkInput,
)
from pipeline.training.techniques import TECHNIQUES, acting, in_use, used


def build(config: TrialConfig, dataset: Dataset, output: str = "softmax") -> Any:
    """Returns a ``keras.Sequential`` with the config's regularizers, constraints and dropout.

    Inputs are the dataset's (multi-hot data: token ids int32 [None], padded with 0), encoded where
    it has an encoding; the preprocessing is its first layer; outputs are probabilities
    [num_classes], or, with the output ``linear``, their unnormalized logarithms. It is compiled
    with the trial's optimizer and plain cross-entropy.
    """
    description = models.layers_of(config, dataset.input_shape)
    model = keras.Sequential(
        [
            *preprocessing(config, dataset),
            *(KERAS_LAYERS[type(layer)](layer, config) for layer in description),
            kl.Dense(dataset.num_classes, activation=output, dtype="float32", name="output"),
        ]
    )
    return _compiled(model, config, output)


def _compiled(model: Any, config: TrialConfig, output: str) -> Any:
    model.compile(
        optimizer=keras_optimizer(config),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=output == "linear"),
        metrics=["accuracy"],
        jit_compile=False,
    )
    # A model saved with an optimizer that has no variables yet warns when it is loaded.
    model.optimizer.build(model.trainable_variables)
    return model


def preprocessing(config: TrialConfig, dataset: Dataset) -> list[Any]:
    """Returns the input and the layers that take raw inputs to what the network was trained on."""
    if dataset.kind == "multi_hot":
        encoding = kl.CategoryEncoding(dataset.input_shape[0], "multi_hot")
        return [keras.Input((None,), dtype="int32", name="tokens"), encoding]
    entrance = [keras.Input(dataset.input_shape, dtype="float32", name="inputs")]
    if config.standardize and dataset.mean is not None and dataset.deviation is not None:
        entrance.append(standardization(dataset.mean, dataset.deviation))
    for technique in acting(NetworkInput, in_use([config])).values():
        entrance.append(technique.form.keras(technique.number(config)))
    return entrance


def restore(
    config: TrialConfig, dataset: Dataset, weights: Sequence[np.ndarray], output: str = "softmax"
) -> Any:
    """Returns the ordinary model with a trial's weights.

    Args:
        config: The trial's hyperparameters.
        dataset: Its dataset; only shapes and preprocessing are used.
        weights: As in :class:`pipeline.records.TrialOutcome`.
        output: ``softmax`` for probabilities, ``linear`` for their unnormalized logarithms.

    Raises:
        ValueError: The weights are not those of this config.
    """
    model = build(config, dataset, output)
    remaining = [np.array(weight, dtype=np.float32) for weight in weights]
    for layer in model.layers:
        # The weights of other layers are those of preprocessing, or the state of a random seed.
        if isinstance(layer, kl.Dense | kl.Conv2D | kl.BatchNormalization):
            count = len(layer.weights)
            layer.set_weights(remaining[:count])
            remaining = remaining[count:]
    if remaining:
        raise ValueError(f"{len(remaining)} arrays more than the model has")
    return model


def delivered(config: TrialConfig, dataset: Dataset, weights: Sequence[np.ndarray]) -> Any:
    """Returns the model with a trial's weights that takes the user's raw values.

    Returns:
        As :func:`restore`; where the dataset has an encoding, a model with the encoding inside,
        which takes raw values by the columns' names (``training.raw_inputs``).
    """
    network = restore(config, dataset, weights)
    if dataset.encoding is None:
        return network
    # An encoding gives the numbers themselves, not the token ids that this layer takes.
    layers = [layer for layer in network.layers if not isinstance(layer, kl.CategoryEncoding)]
    return _compiled(with_encoding(dataset.encoding, layers), config, "softmax")


def _penalty(config: TrialConfig) -> Any | None:
    """Returns Keras's regularizer for the config's penalties on kernels."""
    found = []
    for name in sorted(used(config)):
        form: Any = TECHNIQUES[name].form
        if isinstance(form, Combination):
            found.append(form.keras(*(TECHNIQUES[part].number(config) for part in form.parts)))
        elif isinstance(form, KernelPenalty):
            found.append(form.keras(TECHNIQUES[name].number(config)))
    # Keras has no sum of regularizers, and a model with our own would not load without us. The
    # weights are trained, so predictions need none.
    return found[0] if len(found) == 1 else None


def _weighted(layer: Dense | Conv, config: TrialConfig) -> dict[str, Any]:
    options: dict[str, Any] = {"activation": layer.activation}
    if layer.regularized:
        options["kernel_regularizer"] = _penalty(config)
        axes: Any = 0 if isinstance(layer, Dense) else (0, 1, 2)
        for entry in acting(KernelConstraint, in_use([config])).values():
            options["kernel_constraint"] = entry.form.keras(entry.number(config), axes)
    return options


def _output_technique(layer: OutputTechnique, config: TrialConfig) -> Any:
    technique: Any = TECHNIQUES[layer.technique]
    return technique.form.keras(technique.number(config))


KERAS_LAYERS: dict[type[Layer], Callable[[Any, TrialConfig], Any]] = {
    Dense: lambda layer, config: kl.Dense(layer.units, **_weighted(layer, config)),
    Conv: lambda layer, config: kl.Conv2D(layer.filters, layer.kernel, **_weighted(layer, config)),
    BatchNorm: lambda layer, config: kl.BatchNormalization(),
    OutputTechnique: _output_technique,
    Flatten: lambda layer, config: kl.Flatten(),
    MaxPool: lambda layer, config: kl.MaxPooling2D(2),
}
"""Kind of layer -> what builds its ordinary form."""
