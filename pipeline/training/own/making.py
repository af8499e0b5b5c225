"""Has the user's function make a model, and counts what it made."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops

from pipeline.errors import OwnModelError, PipelineError
from pipeline.records import TrialConfig
from pipeline.training.architecture import Opaque
from pipeline.training.own import registry
from pipeline.training.own.checks import PROBABILITIES, check_made
from pipeline.training.own.config import OwnConfig
from pipeline.training.own.loading import function_of, place_of, where

SMALLEST = 1.2e-38
"""Probabilities below this (float32's smallest) have its logarithm, so that none is infinite."""


def made(
    config: TrialConfig, input_shape: tuple[int, ...], num_classes: int, seed: int = 0
) -> tuple[Any, frozenset[str]]:
    """Returns a new model of the user's function, and the hyperparameters that it read.

    Args:
        config: The trial's hyperparameters.
        input_shape: One example's shape.
        num_classes: Classes.
        seed: Of initial weights, and of dropout masks where a layer has no seed of its own.

    Raises:
        OwnModelError: The function failed, or what it returned is no model that can be trained.
        InputError: The user's file may not be run in this process.
    """
    function = function_of(config.family)
    shown = OwnConfig(config)
    # What it prints is no result of a command.
    with seeded(seed), located(config), redirect_stdout(sys.stderr):
        model = function(shown, tuple(input_shape), num_classes)
        check_made(model)
    return model, frozenset(shown.read_names)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Sets every seed that Keras draws from, and gives the process its own ones back."""
    ours, numpys = random.getstate(), np.random.get_state()
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)


@contextmanager
def located(config: TrialConfig) -> Iterator[None]:
    """Says file and line of the user's file where something in it goes wrong.

    Raises:
        OwnModelError: Something did.
    """
    function, family = function_of(config.family), registry.known(config.family)
    assert family is not None
    try:
        yield
    except OwnModelError as error:
        if str(error).startswith(family.file):
            raise
        raise OwnModelError(f"{place_of(function, family)}: {error}") from error
    except PipelineError:
        raise
    except (Exception, SystemExit) as error:
        said = where(error, family)
        if not said.startswith(f"{family.file}, line"):
            said = f"{place_of(function, family)}{said.removeprefix(family.file)}"
        raise OwnModelError(said) from error


def size_of(model: Any) -> tuple[Opaque, int]:
    """Returns about how large a model is, and the most values that a layer makes of one example.

    A layer's weights are taken to be used at each place of its output but the last axis: that is
    exact for dense layers and convolutions.
    """
    products, widest = 0, 1
    for layer in leaves(model):
        shape = _output_shape(layer)
        widest = max(widest, prod(shape))
        weights = sum(prod(w.shape) for w in layer.weights)
        products += weights * prod(shape[:-1])
    trainable = sum(prod(w.shape) for w in model.trainable_weights)
    return Opaque(trainable, products), widest


def leaves(model: Any) -> Iterator[Any]:
    """Yields the layers of a model, those of models inside it for these."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def _output_shape(layer: Any) -> tuple[int, ...]:
    """Returns the shape of what a layer makes of one example, as far as it is known."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        return (1,)
    return tuple(int(length or 1) for length in shape[1:])


def penalty_of(model: Any) -> float:
    """Returns the sum of the penalties of a model's weights, as Keras adds them to its loss."""
    regularized = [v for v in model.trainable_variables if v.regularizer is not None]
    return float(sum(float(ops.convert_to_numpy(v.regularizer(v))) for v in regularized))


def log_of(probabilities: Any) -> Any:
    """Returns the logarithms of probabilities, which are logits: no two are infinite."""
    return ops.log(ops.maximum(ops.cast(probabilities, "float32"), SMALLEST))


class LogOf(keras.layers.Layer):
    """The layer that does the same; it is in no model that is saved."""

    def call(self, probabilities: Any) -> Any:
        """Returns the logarithms."""
        return log_of(probabilities)


def output_layers(meaning: str, probabilities: bool) -> list[Any]:
    """Returns what comes behind the user's model for it to give what is asked for.

    Args:
        meaning: What it gives, as ``checks.check_outputs`` says.
        probabilities: Whether probabilities are asked for, else logits.
    """
    if probabilities == (meaning == PROBABILITIES):
        return []
    return [keras.layers.Softmax(dtype="float32", name="output") if probabilities else LogOf()]
