"""Serves a model that takes a table's columns by name; MLflow runs a copy of it beside the model.

In: data frames as pandas reads them, or the JSON that ``mlflow models serve`` takes. Out:
probabilities. The copy needs numpy, pandas and Keras alone: its only import of this package is the
module that is copied with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.datasets.formats import raw_values

MODEL_FILE, COLUMNS_FILE = "model.keras", "columns.json"
BATCH_SIZE = 1024


class ServedTable:
    """A Keras model behind what turns a data frame into its inputs.

    Args:
        model: Takes an array ``[n, 1]`` per input, by name.
        columns: As :func:`raw_values.model_inputs` takes them.
    """

    def __init__(self, model: Any, columns: Sequence[Mapping[str, str]]) -> None:
        self.model, self.columns = model, columns

    def predict(self, rows: Any, params: Mapping[str, Any] | None = None) -> np.ndarray:
        """Returns the probabilities of every row's classes, float32 ``[n, num_classes]``."""
        inputs = raw_values.model_inputs(self.columns, pd.DataFrame(rows))
        count = len(next(iter(inputs.values())))
        # Not by Keras's `predict`, which rounds float64 to float32 and takes no strings.
        parts = [
            np.asarray(
                self.model(
                    {name: column[start : start + BATCH_SIZE] for name, column in inputs.items()},
                    training=False,
                )
            )
            for start in range(0, count, BATCH_SIZE)
        ]
        return np.concatenate(parts)


def _load_pyfunc(path: str) -> ServedTable:
    """Returns the model in a folder; MLflow calls this."""
    import keras

    folder = Path(path)
    columns = json.loads((folder / COLUMNS_FILE).read_text(encoding="utf-8"))
    return ServedTable(keras.saving.load_model(folder / MODEL_FILE, compile=False), columns)
