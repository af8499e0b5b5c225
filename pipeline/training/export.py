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
from pipeline.datasets.formats.tokens import token_rows
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
from pipeline.training.own.checks import PROBED, check_outputs
from pipeline.training.own.making import located, made, output_layers
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
        own = without_padding(dataset.input_shape[0]) if config.is_own else []
        return [keras.Input((None,), dtype="int32", name="tokens"), encoding, *own]
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
    if config.is_own:
        return _compiled(of_own(config, dataset, weights, output), config, output)
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


def of_own(
    config: TrialConfig, dataset: Dataset, weights: Sequence[np.ndarray], output: str
) -> Any:
    """Returns the user's own model with a trial's weights, between preprocessing and output."""
    own, _ = made(config, dataset.input_shape, dataset.num_classes)
    few = dataset.train.take(dataset.measured[:PROBED]).inputs
    prepared = token_rows(few) if dataset.kind == "multi_hot" else np.asarray(few, np.float32)
    for layer in preprocessing(config, dataset)[1:]:
        prepared = layer(prepared)
    meaning = check_outputs(own, prepared, dataset.num_classes)
    with located(config):  # a function that makes another model each time
        own.set_weights([np.asarray(weight) for weight in weights])
    own.name = "own_model"
    return keras.Sequential(
        [*preprocessing(config, dataset), own, *output_layers(meaning, output == "softmax")]
    )


def without_padding(num_words: int) -> list[Any]:
    """Returns layers that set the column of padding, the first one, to zero.

    Our own families have a kernel whose row there is zero; the user's may have anything.
    """
    return [
        kl.Reshape((num_words, 1)),
        kl.Cropping1D((1, 0)),
        kl.ZeroPadding1D((1, 0)),
        kl.Reshape((num_words,)),
    ]


def delivered(
    config: TrialConfig, dataset: Dataset, weights: Sequence[Sequence[np.ndarray]]
) -> Any:
    """Returns the model with one or several trainings' weights that takes the user's raw values.

    Args:
        config: The hyperparameters of all of them.
        dataset: Their dataset; only shapes and preprocessing are used.
        weights: Of each training, as in :class:`pipeline.records.TrialOutcome`.

    Returns:
        As :func:`restore`; of several trainings a model whose output is the mean of their
        probabilities (:func:`ensemble`). Where the dataset has an encoding, it is inside, and the
        model takes raw values by the columns' names (``training.raw_inputs``).
    """
    networks = [restore(config, dataset, one) for one in weights]
    if len(networks) == 1 and dataset.encoding is None:
        return networks[0]
    # The input and preprocessing are the same ones for all.
    entrance = preprocessing(config, dataset)
    branches = [network.layers[len(entrance) - 1 :] for network in networks]
    layers = branches[0] if len(branches) == 1 else [ensemble(branches, dataset)]
    if dataset.encoding is None:
        return _for_prediction(keras.Sequential([*entrance, *layers]))
    # An encoding gives the numbers themselves, not the token ids that this layer takes.
    before = [layer for layer in entrance[1:] if not isinstance(layer, kl.CategoryEncoding)]
    if len(branches) > 1:
        # Keras believes that the words of a text have one more axis than they have.
        layers = [kl.Reshape(dataset.input_shape, name="features"), *layers]
    model = with_encoding(dataset.encoding, [*before, *layers])
    return _compiled(model, config, "softmax") if len(branches) == 1 else _for_prediction(model)


def ensemble(branches: Sequence[Sequence[Any]], dataset: Dataset) -> Any:
    """Returns a model of several trained networks: the mean of their probabilities.

    Args:
        branches: The layers of each network after the preprocessing, output included.
        dataset: Theirs; only the shape of an example is used.
    """
    example = keras.Input(dataset.input_shape, dtype="float32", name="example")
    # A model of its own for each: their layers have the same names.
    networks = [
        keras.Sequential([*layers], name=f"seed_{place}")
        for place, layers in enumerate(branches, start=1)
    ]
    mean = kl.Average(name="mean", dtype="float32")([network(example) for network in networks])
    return keras.Model(example, mean, name="ensemble")


def _for_prediction(model: Any) -> Any:
    """Returns a model that ``evaluate`` takes; it is not trained on.

    Its optimizer is Keras's simplest one, because that of training would keep two more numbers per
    weight in the file.
    """
    model.compile(
        optimizer=keras.optimizers.SGD(),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)
    return model


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
