"""The winner as a Keras model in MLflow's registry, and back.

In: a parent run, an ordinary Keras model, a few inputs and the names of its classes. Out:
``models:/NAME/VERSION``, which ``mlflow.keras.load_model``, ``mlflow.pyfunc.load_model`` and
``mlflow models serve`` read. The only place that imports Keras (through MLflow), and only when a
model is logged or loaded. Models that were saved elsewhere are found and read by ``saved_models``.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient

from pipeline.errors import InputError
from pipeline.tracking.views import offer_views

CHAMPION = "champion"
CLASSES_KEY = "class_names"
"""Key of a logged model's metadata: a name per class."""
FEATURES_KEY = "feature_names"
"""Key of a logged model's metadata: a name per column that it takes, where it takes a table's."""
_BACKEND_PACKAGES = {"tensorflow": ("tensorflow",), "jax": ("jax",), "torch": ("torch",)}


def model_name(dataset: str) -> str:
    """Returns the registered model's name for a dataset: ``<dataset>-least-overfit``.

    A path gives its last part; MLflow forbids ``/`` and ``:`` in names.
    """
    stem = re.split(r"[/\\]", dataset.rstrip("/\\"))[-1]
    return f"{re.sub(r'[^0-9A-Za-z_.-]', '-', stem) or 'dataset'}-least-overfit"


def register_model(
    client: MlflowClient,
    run_id: str,
    model: Any,
    example_input: np.ndarray,
    name: str,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
) -> str:
    """Logs a Keras model on a run and registers it with the alias ``champion``; returns its URI.

    The class names become metadata of the model, so that its predictions can be told by name; so do
    the names of a table's columns, by which the signature takes them in any order. Its
    experiment, which has a result now, gets the saved views that show it.

    ``Model.log`` is what ``mlflow.keras.log_model`` calls; it takes a run's id, so that no run has
    to be made the active one of this process. The model's entry is made before it, because it would
    be put into MLflow's default experiment, and files with it. The requirements are given, not
    inferred: inferring loads the model in a new process (40 s).
    """
    flavor, models = _keras_flavor()
    signature = _signature(model, np.asarray(example_input), feature_names)
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
            signature=signature,
            pip_requirements=requirements(),
            metadata=_metadata(class_names, feature_names),
        )
        version = _register(client, name, entry.model_id, run_id)
    offer_views(client, run.info.experiment_id)
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
    """Returns the Keras model at an address such as ``models:/digits-least-overfit@champion``.

    Not by ``mlflow.keras.load_model``, which would unpickle custom objects, too.

    Raises:
        InputError: There is no such model, or it is none of Keras's own layers.
    """
    from pipeline.tracking.models.load import fetched

    with fetched(model_uri, tracking_uri) as files:
        return files.load()


def download(tracking_uri: str, model_uri: str, folder: str) -> str:
    """Copies the files of a logged or registered model into a folder; returns where they are."""
    import mlflow.artifacts

    with _as_default(tracking_uri):
        return str(mlflow.artifacts.download_artifacts(artifact_uri=model_uri, dst_path=folder))


def describe_folder(folder: Path, address: str) -> Any:
    """Returns MLflow's description (``MLmodel``) of a saved model: flavors, metadata, signature.

    Raises:
        InputError: The file is no such description.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        from mlflow.models import Model
    try:
        return Model.load(str(folder))
    except Exception as error:
        raise InputError(f"{address}: MLmodel cannot be read ({_one_line(error)})") from error


def read_keras_file(file: Path, address: str) -> Any:
    """Returns the model in a ``.keras`` file; no code that was saved with it is run.

    Raises:
        InputError: It is no Keras model, or it needs code of its own.
    """
    import keras

    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        raise InputError(
            f"{address} cannot be read as a Keras model ({_one_line(error)}); expected one of "
            "Keras's own layers, saved by model.save('x.keras') with Keras 3"
        ) from error


def _one_line(error: Exception) -> str:
    """Returns an exception's type and the beginning of its message, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:240]}" if text else type(error).__name__


def _signature(model: Any, example_input: np.ndarray, feature_names: Sequence[str] = ()) -> Any:
    """Returns what goes in and out: the raw inputs' own dtype, the model's own shapes.

    Shapes are the model's because an example's say too much: token lists have any length. A table's
    columns have names instead, and no types: MLflow would refuse whole numbers for decimal ones.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    outputs = np.asarray(model.predict_on_batch(example_input))
    shapes = (model.input_shape, model.output_shape)
    entries = [
        Schema([TensorSpec(array.dtype, tuple(-1 if size is None else size for size in shape))])
        for array, shape in zip((example_input, outputs), shapes, strict=True)
    ]
    if feature_names:
        entries[0] = Schema([ColSpec(AnyType(), name) for name in feature_names])
    return ModelSignature(*entries)


def _metadata(
    class_names: Sequence[str], feature_names: Sequence[str]
) -> dict[str, list[str]] | None:
    names = {CLASSES_KEY: list(class_names), FEATURES_KEY: list(feature_names)}
    return {key: value for key, value in names.items() if value} or None


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
