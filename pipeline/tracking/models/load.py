"""Finds a saved model by its address or path, fetches it, and reads it as a Keras model.

In: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``runs:/ID/PATH``, a folder that MLflow saved
or a ``.keras`` file. Out: :class:`SavedFiles`. Nothing of the saved model is executed: of MLflow's
folder only ``MLmodel`` and the ``.keras`` file are read, in Keras's safe mode, never a pickle.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.datasets.dataset import RawColumn
from pipeline.errors import InputError, TrackingError, closest, printable
from pipeline.redaction import masked
from pipeline.tracking.client import Client, error_code
from pipeline.tracking.database import existing_store
from pipeline.tracking.models.keras_archive import check_archive
from pipeline.tracking.models.registry import (
    CLASSES_KEY,
    COLUMNS_KEY,
    DECIMAL_KEY,
    FEATURES_KEY,
    PICTURES_KEY,
    TENSOR_KEY,
    as_mlflows_default,
)

ADDRESS = re.compile(r"(models|runs):/.+")
_FORMS = (
    "models:/NAME@champion, models:/NAME/VERSION, runs:/RUN_ID/model, a folder that MLflow saved, "
    "or a .keras file"
)
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True)
class SavedFiles:
    """A saved model on this machine, not loaded yet.

    Attributes:
        address: What the user called it.
        file: Its ``.keras`` file.
        class_names: A name per class; empty where the model does not know them.
        feature_names: A name per column of a table; empty where the model does not know them.
        columns: What the columns hold that the model takes by name; empty where it takes none.
        pictures: What pictures were turned into for training; empty where it saw no picture files.
        decimal: The decimal mark of the text file of training, ``.`` or ``,``; None where unknown.
        tensor: What the one array held that it was trained on (``Dataset.raw_tensor``); empty where
            it takes a table, or where it does not say it.
    """

    address: str
    file: Path
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    columns: tuple[RawColumn, ...] = ()
    pictures: Mapping[str, Any] = field(default_factory=dict)
    decimal: str | None = None
    tensor: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Returns the Keras model; prepare the backend before.

        Raises:
            InputError: The file holds no Keras model, or one with code of its own.
        """
        return read_keras_file(self.file, self.address)


@contextmanager
def fetched(address: str, tracking_uri: str | None = None) -> Iterator[SavedFiles]:
    """Gives the files of a saved model, fetched where they are elsewhere; Keras is not imported.

    Args:
        address: A path, or an address in MLflow.
        tracking_uri: The store of addresses; None as in ``pipeline.tracking.connect``.

    Raises:
        InputError: There is no such model; the message lists those that exist.
        TrackingError: The store does not answer.
    """
    if not ADDRESS.fullmatch(address):
        yield _on_disk(Path(address), address)
        return
    uri = existing_store(tracking_uri)
    with TemporaryDirectory(prefix="pipeline-model-") as folder:
        yield _on_disk(_download(uri, address, folder), address)


def read_keras_file(file: Path, address: str) -> Any:
    """Returns the model in a ``.keras`` file; no code that was saved with it is run.

    Not by ``mlflow.keras.load_model``, which would unpickle custom objects, too.

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


def _download(uri: str, address: str, folder: str) -> Path:
    """Returns the folder that a model's files were copied to."""
    import mlflow.artifacts

    client = Client.open(uri).doing(f"fetch {address}")
    download = mlflow.artifacts.download_artifacts
    try:
        with as_mlflows_default(uri):
            return Path(client.call(download, artifact_uri=address, dst_path=folder))
    except TrackingError as error:
        if error_code(error) not in _ABSENT:
            raise
        reason = masked(str(error.__cause__).strip().splitlines()[0])[:300]
        start = f"there is no model {address} in {client.address} ({reason})"
        raise InputError(start + _known(client, address)) from error


def _known(client: Client, address: str) -> str:
    """Returns the end of the message about a model that is not there: those that are."""
    if not address.startswith("models:/"):
        return "; expected runs:/RUN_ID/PATH of a model logged on that run"
    registered = client.search_registered_models(max_results=100)
    known: dict[str, list[str]] = {
        entry.name: [f"models:/{entry.name}@{alias}" for alias in sorted(entry.aliases)]
        or [f"models:/{entry.name}/VERSION"]
        for entry in registered
    }
    if not known:
        return "; no model is registered there: run `pipeline report` first"
    asked = re.split(r"[/@]", address.removeprefix("models:/"))[0]
    listed = ", ".join(form for forms in known.values() for form in forms)
    near = "" if asked in known else closest(asked, known)
    return f"{near}; there are: {listed}"


def _on_disk(path: Path, address: str) -> SavedFiles:
    """Returns the files of a model at a path.

    Raises:
        InputError: There is none of a kind that can be read.
    """
    if path.suffix == ".keras" and path.is_file():
        check_archive(path, address)
        return SavedFiles(address, path)
    if not path.exists():
        raise InputError(f"there is no model {address}; expected {_FORMS}")
    if not (path / "MLmodel").is_file():
        raise InputError(f"{address} is no saved model: expected {_FORMS}")
    description = _describe_folder(path, address)
    flavors = description.flavors if isinstance(description.flavors, dict) else {}
    if not isinstance(flavors.get("keras"), dict):
        found = ", ".join(sorted(map(str, flavors))) or "none"
        raise InputError(
            f"{address} was not saved as a Keras model: its flavors are {found}; expected keras"
        )
    file = _inside(path, str(flavors["keras"].get("data", "data")), address) / "model.keras"
    if not file.is_file():
        raise InputError(
            f"{address} has no {file.relative_to(path)}: its files are incomplete, or it was saved "
            "with save_exported_model=True, which cannot be read; log it again"
        )
    check_archive(file, address)
    classes = tuple(map(printable, _names(description.metadata, CLASSES_KEY)))
    metadata = description.metadata if isinstance(description.metadata, dict) else {}
    names, pictures = _names(metadata, FEATURES_KEY), metadata.get(PICTURES_KEY)
    columns = _columns(metadata, address)
    pictures = pictures if isinstance(pictures, dict) else {}
    decimal = metadata.get(DECIMAL_KEY)
    decimal = decimal if decimal in (".", ",") else None
    tensor = _tensor(metadata, address)
    return SavedFiles(address, file, classes, names, columns, pictures, decimal, tensor)


def _describe_folder(folder: Path, address: str) -> Any:
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


def _inside(folder: Path, name: str, address: str) -> Path:
    """Returns a folder in a folder; MLmodel may name no other place, nor a link to one.

    Raises:
        InputError: It does.
    """
    place = folder / name
    if "\0" in name or not (place / "model.keras").resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{address}: MLmodel says that the model is in {ascii(name)[:80]}, which is outside of "
            "its folder; log it again"
        )
    return place


def _names(metadata: Any, key: str) -> tuple[str, ...]:
    """Returns names in a model's metadata; none where they are no list of names."""
    names = metadata.get(key) if isinstance(metadata, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _columns(metadata: Any, address: str) -> tuple[RawColumn, ...]:
    """Returns what a model's metadata say of the columns that it takes by name.

    Raises:
        InputError: They are no such description.
    """
    columns = metadata.get(COLUMNS_KEY) if isinstance(metadata, dict) else None
    if columns is None:
        return ()
    try:
        return tuple(
            RawColumn(str(one["name"]), str(one["kind"]), str(one["form"]), bool(one["gaps"]))
            for one in columns
        )
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{address}: MLmodel does not describe the model's columns ({_one_line(error)});"
            " register it again"
        ) from error


def _tensor(metadata: Mapping[str, Any], address: str) -> Mapping[str, Any]:
    """Returns what a model's metadata say of the array that it takes; nothing where they do not.

    Raises:
        InputError: They are no such description.
    """
    said = metadata.get(TENSOR_KEY, {})
    try:
        if not said or said["kind"] == "tokens":
            return {}
        lowest, highest = float(said["lowest"]), float(said["highest"])
        kind, dtype = str(said["kind"]), str(said["dtype"])
        return {"kind": kind, "dtype": dtype, "lowest": lowest, "highest": highest}
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(
            f"{address}: MLmodel does not describe the model's input ({_one_line(error)});"
            " register it again"
        ) from error
