"""Describes a multilayer perceptron: ``depth`` dense layers of ``width`` units on flat inputs."""

from pipeline.records import TrialConfig
from pipeline.training.architecture import Dense, Flatten, Layer
from pipeline.training.hyperparameters import activation_at
from pipeline.training.techniques import regularized_layers

HYPERPARAMETERS = ("depth", "width", "hidden_activation", "first_activation")
PADDED = ("depth", "width", "batch_norm")


def layers(config: TrialConfig, input_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Returns the hidden layers; every one carries the config's techniques."""
    stack: list[Layer] = [Flatten()] if len(input_shape) > 1 else []
    for index in range(config.depth):
        dense = Dense(config.width, activation_at(config, index))
        stack += regularized_layers(dense, config, normalized=config.batch_norm)
    return tuple(stack)
