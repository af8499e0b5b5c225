"""What both peers share: the arrays and the ordinary Keras model of a trial, as their docs show."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np


def load(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays ``x_train``, ``y_train``, ``x_val``, ``y_val`` and the task's settings."""
    settings = json.loads((folder / "task.json").read_text())
    with np.load(folder / "task.npz") as file:
        return dict(file), settings


def build(task: dict[str, Any], shape: tuple[int, ...], trial: dict[str, Any]) -> keras.Model:
    """Returns the compiled model of one trial; what it does not choose, the task fixes."""
    task = task | {name: trial[name] for name in ("depth", "batch_norm") if name in trial}
    penalty = keras.regularizers.L1L2(trial["lambda_l1"], trial["lambda_l2"])
    limit = trial["max_norm"]
    constraint = keras.constraints.MaxNorm(limit) if limit else None
    layers: list[Any] = [keras.Input(shape)]
    if task["family"] == "cnn":
        for index in range(task["depth"]):
            layers.append(keras.layers.Conv2D(task["width"], 3, activation="relu"))
            if task.get("batch_norm"):
                layers.append(keras.layers.BatchNormalization())
            if index < task["depth"] - 1:
                layers.append(keras.layers.MaxPooling2D(2))
        layers.append(keras.layers.Flatten())
        widths = [task["dense_width"]]
    else:
        widths = [task["width"]] * task["depth"]
    for width in widths:
        layers.append(
            keras.layers.Dense(
                width, "relu", kernel_regularizer=penalty, kernel_constraint=constraint
            )
        )
        if task.get("batch_norm") and task["family"] == "mlp":
            layers.append(keras.layers.BatchNormalization())
        layers.append(keras.layers.Dropout(trial["dropout_rate"]))
    layers.append(keras.layers.Dense(task["num_classes"], "softmax"))
    model = keras.Sequential(layers)
    model.compile(
        optimizer=keras.optimizers.get(task["optimizer"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
