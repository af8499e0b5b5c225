"""Holds the commented model file that ``pipeline space init --family-file`` writes."""

MODEL = '''\
"""A Keras model of your own, searched as the families of `pipeline` are."""
# Run: {command}

import keras
from keras import layers


def build(config, input_shape, num_classes):
    """Returns a new, uncompiled model for one trial.

    Args:
        config: The trial's hyperparameters, as {space} names them: `config["my_rate"]` and
            `config.my_rate` are the same.
        input_shape: Shape of one example, without the batch. Numbers come as float32: tables
            encoded and pictures standardized by the training part, texts as zeros and ones for
            each known word.
        num_classes: Number of classes.

    The last layer gives a number for each class: logits (no activation) or a softmax. Use Keras's
    own layers and `keras.ops`, because what is delivered loads without this file. The search gives
    the optimizer, the learning rate, early stopping and the seed; penalties of layers count in
    training alone, and dropout is off where a model is measured.
    """
    inputs = keras.Input(input_shape)
    tensor = inputs
    if len(input_shape) == 3:  # pictures: height, width, channels
        tensor = layers.Conv2D(config.my_width, 3, padding="same", activation="relu")(tensor)
        tensor = layers.MaxPooling2D(2, padding="same")(tensor)
    if len(input_shape) > 1:
        tensor = layers.Flatten()(tensor)
    tensor = layers.Dense(
        config.my_width,
        activation="relu",
        kernel_regularizer=keras.regularizers.L2(config.my_l2),
    )(tensor)
    tensor = layers.Dropout(config.my_rate)(tensor)
    outputs = layers.Dense(num_classes)(tensor)
    return keras.Model(inputs, outputs)
'''
"""The file; it takes the name of the search space and a command."""

SPACE = """\
# Question: with which settings does my own model overfit least on {dataset}?
#   `family: own` is the function that --family names. Hyperparameters of any name may stand here;
#   those that `pipeline` does not know are given to the function, which has to read them.
# Run: {command}
family: own
{trials:<20}# the study's total, references included
{epochs:<20}# at most; early stopping ends most trials before
{patience:<20}# epochs without a smaller val_ce

fixed:              # the same in every trial
  batch_size: {batch_size}

search:             # what may vary: a range, or a list of choices
  my_width: [{half}, {width}]
  my_rate: {{low: 0.0, high: 0.6}}
  my_l2: {{low: 1e-5, high: 1e-1, log: true}}
  learning_rate: {{low: 3e-4, high: 1e-2, log: true}}
  # Training does these by itself; off here:
  # label_smoothing: {{low: 0.0, high: 0.2}}
  # weight_decay: {{low: 1e-4, high: 1e-1, log: true}}
  # optimizer: [adam, rmsprop, sgd]

reference_defaults: {{my_width: {width}, my_rate: 0.0, my_l2: 0.0}}
references:         # trained first; what searched models are compared with
  baseline: {{}}
  dropout: {{my_rate: 0.4}}
  l2: {{my_l2: 1e-2}}
"""
"""Its search space."""
