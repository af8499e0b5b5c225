"""Model files of a user's own, as texts, and what knows them in a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.records import TrialConfig
from pipeline.training.own import registry
from pipeline.training.own.template import MODEL

TEMPLATE = MODEL.format(command="pipeline search", space="my_model.yaml")

RESIDUAL = """
import keras
from keras import layers


def block(tensor, filters, config):
    found = layers.Conv2D(filters, 3, padding="same", use_bias=False)(tensor)
    found = layers.BatchNormalization(momentum=0.8)(found)
    found = layers.Activation("relu")(found)
    found = layers.Conv2D(filters, 3, padding="same",
                          kernel_regularizer=keras.regularizers.L2(config["my_l2"]))(found)
    found = layers.SpatialDropout2D(config["my_rate"])(found)
    return layers.Activation("relu")(layers.Add()([tensor, found]))


def build(config, input_shape, num_classes):
    inputs = keras.Input(input_shape)
    tensor = layers.Conv2D(config["my_filters"], 3, padding="same")(inputs)
    for _ in range(config["my_blocks"]):
        tensor = block(tensor, config["my_filters"], config)
    tensor = layers.GlobalAveragePooling2D()(tensor)
    return keras.Model(inputs, layers.Dense(num_classes, activation="softmax")(tensor))
"""

TRANSFORMER = """
import keras
from keras import layers, ops

WORDS = 20


def build(config, input_shape, num_classes):
    inputs = keras.Input(input_shape)
    tokens = ops.cast(inputs, "int32")
    places = ops.cumsum(ops.ones_like(tokens), axis=1) - 1
    tensor = layers.Embedding(WORDS, config.my_width)(tokens)
    tensor = tensor + layers.Embedding(input_shape[0], config.my_width)(places)
    seen = layers.MultiHeadAttention(2, config.my_width // 2, dropout=config.my_rate)(
        tensor, tensor)
    tensor = layers.LayerNormalization()(tensor + seen)
    wide = layers.Dense(2 * config.my_width, activation="gelu")(tensor)
    tensor = layers.LayerNormalization()(tensor + layers.Dense(config.my_width)(wide))
    tensor = layers.GlobalAveragePooling1D()(tensor)
    return keras.Model(inputs, layers.Dense(num_classes)(tensor))
"""

SPACE = """\
family: own
trials: 3
epochs: 2
patience: 2
fixed: {my_l2: 0.001, batch_size: 64, learning_rate: 0.01}
search:
  my_rate: {low: 0.0, high: 0.5}
  my_width: [8, 12]
references:
  baseline: {my_rate: 0, my_width: 8}
"""


@contextmanager
def known(
    folder: Path, text: str, function: str = "build", **values: object
) -> Iterator[TrialConfig]:
    """Yields a config of a family in this text, with these values of its hyperparameters."""
    path = folder / "my_model.py"
    path.write_text(text)
    ours = {"learning_rate", "batch_size", "standardize", "label_smoothing", "optimizer",
            "weight_decay", "learning_rate_decay", "input_noise"}  # fmt: skip
    kinds = tuple((name, type(v).__name__) for name, v in values.items() if name not in ours)
    family = replace(registry.family_of(f"{path}:{function}"), kinds=kinds)
    registry.register(family)
    try:
        yield TrialConfig(family=family.name, **values)
    finally:
        registry.forget()
