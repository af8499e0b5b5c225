"""Describes a multilayer perceptron: ``depth`` dense layers of ``width`` units on flat inputs."""

from pipeline.records import TrialConfig
from pipeline.training.architecture import Dense, Flatten, Layer
from pipeline.training.techniques import regularized_layers

HYPERPARAMETERS = ("depth", "width", "first_activation")
PADDED = ("depth", "width", "batch_norm")


def layers(config: TrialConfig, input_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Returns the hidden layers; every one carries the config's techniques."""
    stack: list[Layer] = [Flatten()] if len(input_shape) > 1 else []
    for index in range(config.depth):
        activation = config.first_activation if index == 0 else "relu"
        stack += regularized_layers(
            Dense(config.width, activation), config, normalized=config.batch_norm
        )
    return tuple(stack)
