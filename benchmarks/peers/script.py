"""The script a user would write: Optuna, Keras's ``fit`` with EarlyStopping, MLflow per epoch.

Run: python script.py FOLDER TRIALS (in a folder of its own: it writes mlflow.db and optuna.journal)
"""

import sys
from pathlib import Path
from typing import Any

import keras
import mlflow
import network
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


class LogEpochs(keras.callbacks.Callback):
    """Logs each epoch to the active run."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Logs one epoch."""
        mlflow.log_metrics({name: float(value) for name, value in logs.items()}, step=epoch)


def suggest(trial: optuna.Trial, space: dict[str, Any]) -> dict[str, Any]:
    """Returns a trial's hyperparameters."""
    kind = trial.suggest_categorical("regularizer", ["none", "l1", "l2", "l1_l2"])
    bounds = {
        name: (space[name]["low"], space[name]["high"]) for name in ("lambda_l1", "lambda_l2")
    }
    l1 = trial.suggest_float("lambda_l1", *bounds["lambda_l1"], log=True) if "l1" in kind else 0.0
    l2 = trial.suggest_float("lambda_l2", *bounds["lambda_l2"], log=True) if "l2" in kind else 0.0
    size: dict[str, Any] = {}
    if "depth" in space:
        size["depth"] = trial.suggest_int("depth", space["depth"]["low"], space["depth"]["high"])
    if "batch_norm" in space:
        size["batch_norm"] = trial.suggest_categorical("batch_norm", [False, True])
    return size | {
        "lambda_l1": l1,
        "lambda_l2": l2,
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.7),
        "max_norm": trial.suggest_categorical("max_norm", [None, 1, 2, 3, 4]),
    }


def main(folder: Path, trials: int) -> None:
    """Runs the study."""
    data, task = network.load(folder)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("peer")

    def objective(trial: optuna.Trial) -> float:
        values = suggest(trial, task["search"])
        with mlflow.start_run(run_name=f"trial {trial.number}"):
            mlflow.log_params(values)
            model = network.build(task, data["x_train"].shape[1:], values)
            stopping = keras.callbacks.EarlyStopping(
                "val_loss", patience=task["patience"], restore_best_weights=True
            )
            history = model.fit(
                data["x_train"],
                data["y_train"],
                validation_data=(data["x_val"], data["y_val"]),
                epochs=task["epochs"],
                batch_size=task["batch_size"],
                callbacks=[stopping, LogEpochs()],
                verbose=0,
            )
            return float(min(history.history["val_loss"]))

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend("optuna.journal")), direction="minimize"
    )
    study.optimize(objective, n_trials=trials)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
