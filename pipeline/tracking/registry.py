"""The winner as a Keras model in MLflow's registry, and back.

In: a parent run, an ordinary Keras model and a few inputs. Out: ``models:/NAME/VERSION``, which
``mlflow.keras.load_model``, ``mlflow.pyfunc.load_model`` and ``mlflow models serve`` read. The only
place that imports Keras (through MLflow), and only when a model is logged or loaded.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient

CHAMPION = "champion"
_BACKEND_PACKAGES = {"tensorflow": ("tensorflow",), "jax": ("jax",), "torch": ("torch",)}


def model_name(dataset: str) -> str:
    """Returns the registered model's name for a dataset: ``<dataset>-least-overfit``.

    A path gives its last part; MLflow forbids ``/`` and ``:`` in names.
    """
    stem = re.split(r"[/\\]", dataset.rstrip("/\\"))[-1]
    return f"{re.sub(r'[^0-9A-Za-z_.-]', '-', stem) or 'dataset'}-least-overfit"


def register_model(
    client: MlflowClient, run_id: str, model: Any, example_input: np.ndarray, name: str
) -> str:
    """Logs a Keras model on a run and registers it with the alias ``champion``; returns its URI.

    ``Model.log`` is what ``mlflow.keras.log_model`` calls; it takes a run's id, so that no run has
    to be made the active one of this process. The model's entry is made before it, because it would
    be put into MLflow's default experiment, and files with it. The requirements are given, not
    inferred: inferring loads the model in a new process (40 s).
    """
    flavor, models = _keras_flavor()
    outputs = np.asarray(model.predict_on_batch(example_input))
    with _as_default(client.tracking_uri):
        run = client.get_run(run_id)
        entry = client.create_logged_model(
            run.info.experiment_id, name="model", source_run_id=run_id, params=run.data.params
        )
        models.Model.log(
            artifact_path=None,
            name="model",
            model_id=entry.model_id,
            flavor=flavor,
            run_id=run_id,
            model=model,
            signature=models.infer_signature(np.asarray(example_input), outputs),
            pip_requirements=requirements(),
        )
        version = _register(client, name, entry.model_id, run_id)
    return f"models:/{name}/{version}"


def _register(client: MlflowClient, name: str, model_id: str, run_id: str) -> str:
    """Makes a logged model the newest version and the champion; returns the version."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(
        name, f"models:/{model_id}", run_id=run_id, model_id=model_id, await_creation_for=0
    )
    client.set_registered_model_alias(name, CHAMPION, made.version)
    return str(made.version)


def load_model(tracking_uri: str, model_uri: str) -> Any:
    """Returns the Keras model at an address such as ``models:/digits-least-overfit@champion``."""
    flavor, _ = _keras_flavor()
    with _as_default(tracking_uri):
        return flavor.load_model(model_uri)


def _keras_flavor() -> tuple[ModuleType, ModuleType]:
    """Returns ``mlflow.keras`` and ``mlflow.models``, imported late (Keras) and without chatter.

    MLflow warns about its own type hints while it is imported, and that pip, which uv's
    environments lack, has no version to note.
    """
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        import mlflow.keras
        import mlflow.models
        import mlflow.pyfunc.loaders
    return mlflow.keras, mlflow.models


def requirements() -> list[str]:
    """Returns the pinned packages that a logged model needs: Keras, its backend and numpy."""
    import keras

    packages = ("keras", *_BACKEND_PACKAGES[keras.backend.backend()], "numpy")
    return [f"{package}=={metadata.version(package)}" for package in packages]


@contextmanager
def _as_default(tracking_uri: str) -> Iterator[None]:
    """Makes a store MLflow's default for a moment: logging and loading models know no other way."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # None unsets it
