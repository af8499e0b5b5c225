"""Registers the winner as a Keras model in MLflow's registry.

In: a parent run, an ordinary Keras model, a few inputs and the names of its classes. Out:
``models:/NAME/VERSION``, which ``mlflow.keras.load_model``, ``mlflow.pyfunc.load_model`` and
``mlflow models serve`` read. Keras is imported (through MLflow) only when a model is logged.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow.entities import Run

from pipeline.tracking.client import Client
from pipeline.tracking.codec import MODEL_TAG
from pipeline.tracking.models.champion import CHAMPION
from pipeline.tracking.models.flavor import CheckedInputs, described_columns
from pipeline.tracking.views import offer_views

if TYPE_CHECKING:
    from pipeline.datasets.dataset import RawColumn

CLASSES_KEY = "class_names"
"""Key of a logged model's metadata: a name per class."""
FEATURES_KEY = "feature_names"
"""Key of a logged model's metadata: a name per column that it takes, where it takes a table's."""
COLUMNS_KEY = "columns"
"""Key of a logged model's metadata: what each column holds that it takes by name, raw."""
PICTURES_KEY = "pictures"
"""Key of a logged model's metadata: what the pictures were turned into that it was trained on."""
DECIMAL_KEY = "decimal"
"""Key of a logged model's metadata: the decimal mark of the text file that it was trained on."""
TENSOR_KEY = "tensor"
"""Key of a logged model's metadata: kind, shape and range of the one array that it takes."""
LOCKED_TAG = "locked_choice"
"""Tag of a version: hash of the locked choice that it is delivered for."""
_BACKEND_PACKAGES = {"tensorflow": ("tensorflow",), "jax": ("jax",), "torch": ("torch",)}


def model_name(dataset: str) -> str:
    """Returns the registered model's name for a dataset: ``<dataset>-least-overfit``.

    A path gives its last part; MLflow forbids ``/`` and ``:`` in names.
    """
    stem = re.split(r"[/\\]", dataset.rstrip("/\\"))[-1]
    return f"{re.sub(r'[^0-9A-Za-z_.-]', '-', stem) or 'dataset'}-least-overfit"


def register_model(
    client: Client,
    run_id: str,
    model: Any,
    example_input: np.ndarray | dict[str, np.ndarray],
    name: str | None = None,
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    columns: Sequence[RawColumn] = (),
    pictures: Mapping[str, Any] | None = None,
    decimal: str | None = None,
    tensor: Mapping[str, Any] | None = None,
    locked: str = "",
) -> str:
    """Logs and registers a Keras model; returns ``models:/NAME/VERSION``.

    What a report that was killed has registered for the same locked choice is not registered again.

    The first version of a name is the champion; of a later one ``champion.settle_champion`` says
    which alias it gets.

    The study's experiment, which has a result now, gets the saved views that show it.

    Args:
        client: Of the store.
        run_id: The study's parent run.
        model: An ordinary Keras model.
        example_input: [num_examples, ...], a few inputs, for the signature.
        name: Registered name; None means ``<dataset>-least-overfit``.
        class_names: A name per class; metadata of the model, for who predicts with it.
        feature_names: A name per column that it takes, where it takes a table's; so the signature
            takes them in any order.
        columns: What the columns hold, where the model takes raw values by name.
        pictures: What pictures are turned into, in plain values, where it was trained on files.
        decimal: The decimal mark of the text file that it was trained on; None where it says none.
        tensor: ``Dataset.raw_tensor``, where it takes one array; so what is served is checked
            against what training saw, and cast.
        locked: Hash of the locked choice that the model is delivered for; empty for none.
    """
    client = client.doing("register the model")
    run = client.get_run(run_id)
    name = model_name(run.data.tags["dataset"]) if name is None else name
    version = _version_for(client, name, run_id, locked)
    if version is None:
        described: dict[str, Any] = {
            CLASSES_KEY: list(class_names),
            FEATURES_KEY: list(feature_names),
            COLUMNS_KEY: described_columns(columns),
            PICTURES_KEY: dict(pictures or {}),
            DECIMAL_KEY: decimal,
            TENSOR_KEY: dict(tensor or {}),
        }
        with as_mlflows_default(client.tracking_uri):
            signature = _signature(model, example_input)
            model_id = _log_model(client, run, model, signature, described)
            version = _new_version(client, name, model_id, run_id, locked)
    _make_the_first_champion(client, name, version)
    offer_views(client, run.info.experiment_id)
    uri = f"models:/{name}/{version}"
    client.set_tag(run_id, MODEL_TAG, uri)
    return uri


def check_registry(client: Client, dataset: str) -> None:
    """Checks that a model of this dataset can be registered later; leaves no new model behind.

    Raises:
        TrackingError: The registry does not answer, or takes nothing from this user.
    """
    name = model_name(dataset)
    client = client.doing(f"register a model named {name}, which the report will do")
    if client.search_registered_models(f"name = '{name}'"):
        client.set_registered_model_tag(name, "dataset", dataset)
        return
    client.create_registered_model(name)
    client.delete_registered_model(name)


def _log_model(
    client: Client, run: Run, model: Any, signature: Any, described: Mapping[str, Any]
) -> str:
    """Logs a Keras model on a run, with metadata; returns the id of the logged model.

    ``Model.log`` is what ``mlflow.keras.log_model`` calls; it takes a run's id, so that no run has
    to be made the active one of this process. The model's entry is made before it, because it would
    be put into MLflow's default experiment, and files with it. The requirements are given, not
    inferred: inferring loads the model in a new process (40 s).
    """
    flavor, models = _keras_flavor()
    run_id = run.info.run_id
    entry = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run_id, params=run.data.params
    )
    client.call(
        models.Model.log,
        artifact_path=None,
        name="model",
        model_id=entry.model_id,
        flavor=CheckedInputs(
            flavor, described[FEATURES_KEY], described[COLUMNS_KEY], described[TENSOR_KEY] or None
        ),
        run_id=run_id,
        model=model,
        signature=signature,
        pip_requirements=requirements("pandas" if described[COLUMNS_KEY] else ""),
        metadata={key: kept for key, kept in described.items() if kept} or None,
    )
    return str(entry.model_id)


def _version_for(client: Client, name: str, run_id: str, locked: str) -> str | None:
    """Returns the newest version that is registered for a locked choice; None where none is."""
    found = client.search_model_versions(f"name = '{name}'") if locked else ()
    numbers = [
        int(one.version)
        for one in found
        if one.run_id == run_id and one.tags.get(LOCKED_TAG) == locked
    ]
    return str(max(numbers)) if numbers else None


def _new_version(client: Client, name: str, model_id: str, run_id: str, locked: str) -> str:
    """Makes a logged model the newest version of a name; returns that version."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    made = client.create_model_version(
        name,
        f"models:/{model_id}",
        run_id=run_id,
        tags={LOCKED_TAG: locked} if locked else None,
        model_id=model_id,
        await_creation_for=0,
    )
    return str(made.version)


def _make_the_first_champion(client: Client, name: str, version: str) -> None:
    """Gives a version the alias where no other has it."""
    (known,) = client.search_registered_models(f"name = '{name}'")
    if CHAMPION not in known.aliases:
        client.set_registered_model_alias(name, CHAMPION, version)


def _signature(model: Any, example_input: np.ndarray | dict[str, np.ndarray]) -> Any:
    """Returns what goes in and out: the raw inputs' own dtype, the model's own shapes.

    Shapes are the model's because an example's say too much: token lists have any length.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    if isinstance(example_input, dict):
        outputs = np.asarray(model(example_input, training=False))
        taken = [
            TensorSpec(np.dtype(str) if array.dtype == object else array.dtype, (-1, 1), name)
            for name, array in example_input.items()
        ]
    else:
        outputs = np.asarray(model.predict_on_batch(example_input))
        taken = [TensorSpec(example_input.dtype, _unbounded(model.input_shape))]
    given = TensorSpec(outputs.dtype, _unbounded(model.output_shape))
    return ModelSignature(Schema(taken), Schema([given]))


def _unbounded(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(-1 if size is None else size for size in shape)


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


def requirements(more: str = "") -> list[str]:
    """Returns the pinned packages that a logged model needs: Keras, its backend, numpy and more."""
    import keras

    packages = ("keras", *_BACKEND_PACKAGES[keras.backend.backend()], "numpy", more)
    return [f"{package}=={metadata.version(package)}" for package in packages if package]


@contextmanager
def as_mlflows_default(tracking_uri: str) -> Iterator[None]:
    """Makes a store MLflow's default for a moment: logging and loading models know no other way."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # None unsets it
