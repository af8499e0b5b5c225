"""Describes a convolutional network: ``depth`` 3x3 convolutions, then one dense layer.

Source: the CIFAR-10 notebook net, Conv(32) x3 - Flatten - Dense(1024) - output. The techniques sit
on the dense layer, as there, or on the convolutions, too (``placement: all``); batch normalization
follows each convolution; ``pooling`` puts 2x2 max-pooling between convolutions.
"""

from pipeline.errors import InputError
from pipeline.records import TrialConfig
from pipeline.training.architecture import Conv, Dense, Flatten, Layer, MaxPool
from pipeline.training.hyperparameters import activation_at
from pipeline.training.techniques import regularized_layers

HYPERPARAMETERS = (
    "depth", "width", "dense_width", "pooling", "placement", "hidden_activation",
    "first_activation",
)  # fmt: skip


def layers(config: TrialConfig, input_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Returns the hidden layers for images of ``input_shape`` [height, width, channels].

    Raises:
        InputError: The inputs are not images.
    """
    if len(input_shape) != 3:
        raise InputError(
            f"the family cnn needs images [height, width, channels], not inputs of shape "
            f"{list(input_shape)}: use family: mlp"
        )
    everywhere = config.placement == "all"
    stack: list[Layer] = []
    for index in range(config.depth):
        conv = Conv(config.width, activation_at(config, index), regularized=everywhere)
        stack += regularized_layers(conv, config, normalized=config.batch_norm)
        if config.pooling and index < config.depth - 1:
            stack.append(MaxPool())
    stack.append(Flatten())
    dense = Dense(config.dense_width, activation_at(config, config.depth))
    stack += regularized_layers(dense, config, normalized=False)
    return tuple(stack)
