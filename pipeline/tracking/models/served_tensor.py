"""Serves a model that takes one array: pictures, features or token ids of any number type.

In: an array, a data frame or the JSON that ``mlflow models serve`` takes. Out: probabilities.
MLflow runs a copy of it beside the model, which needs numpy and Keras alone: its only import of
this package is the module that is copied with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.formats import raw_tensors

MODEL_FILE, TENSOR_FILE = "model.keras", "tensor.json"
BATCH_SIZE = 256


class ServedTensor:
    """A Keras model behind what checks and casts its input.

    Args:
        model: Takes one array.
        taken: As :func:`raw_tensors.model_input` takes it.
    """

    def __init__(self, model: Any, taken: Mapping[str, Any]) -> None:
        self.model, self.taken = model, taken

    def predict(self, values: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:
        """Returns the probabilities of every example's classes, float32 ``[n, num_classes]``."""
        inputs = raw_tensors.model_input(self.taken, values)
        return np.asarray(self.model.predict(inputs, batch_size=BATCH_SIZE, verbose=0))


def _load_pyfunc(path: str) -> ServedTensor:
    """Returns the model in a folder; MLflow calls this."""
    import keras

    folder = Path(path)
    taken = json.loads((folder / TENSOR_FILE).read_text(encoding="utf-8"))
    return ServedTensor(keras.saving.load_model(folder / MODEL_FILE, compile=False), taken)
