"""KerasTuner's RandomSearch on the same task, as its documentation shows.

Run: python kerastuner_search.py FOLDER TRIALS (in a folder of its own: it writes ./tuner)
"""

import sys
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import network


def suggest(hp: Any, space: dict[str, Any]) -> dict[str, Any]:
    """Returns a trial's hyperparameters."""
    kind = hp.Choice("regularizer", ["none", "l1", "l2", "l1_l2"])

    def factor(name: str, active: bool) -> float:
        low, high = space[name]["low"], space[name]["high"]
        value = hp.Float(name, low, high, sampling="log")
        return float(value) if active else 0.0

    size: dict[str, Any] = {}
    if "depth" in space:
        size["depth"] = hp.Int("depth", space["depth"]["low"], space["depth"]["high"])
    if "batch_norm" in space:
        size["batch_norm"] = hp.Boolean("batch_norm")
    return size | {
        "lambda_l1": factor("lambda_l1", "l1" in kind.split("_")),
        "lambda_l2": factor("lambda_l2", "l2" in kind.split("_")),
        "dropout_rate": hp.Float("dropout_rate", 0.0, 0.7),
        "max_norm": hp.Choice("max_norm", [0, 1, 2, 3, 4]),
    }


def main(folder: Path, trials: int) -> None:
    """Runs the search."""
    data, task = network.load(folder)
    tuner = keras_tuner.RandomSearch(
        lambda hp: network.build(task, data["x_train"].shape[1:], suggest(hp, task["search"])),
        objective="val_loss",
        max_trials=trials,
        directory="tuner",
        seed=0,
    )
    tuner.search(
        data["x_train"],
        data["y_train"],
        validation_data=(data["x_val"], data["y_val"]),
        epochs=task["epochs"],
        batch_size=task["batch_size"],
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=task["patience"])],
        verbose=0,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
