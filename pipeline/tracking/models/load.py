"""A model that was saved: found by its address or path, fetched, and read as a Keras model.

In: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``runs:/ID/PATH``, a folder that MLflow saved
or a ``.keras`` file. Out: :class:`SavedFiles`. Nothing of the saved model is executed: of MLflow's
folder only ``MLmodel`` and the ``.keras`` file are read, in Keras's safe mode, never a pickle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.errors import InputError, closest, printable
from pipeline.redaction import masked
from pipeline.tracking import connect
from pipeline.tracking.address import tracking_address
from pipeline.tracking.client import refusals, sqlite_path
from pipeline.tracking.models import registry
from pipeline.tracking.models.keras_archive import check_archive

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
    """

    address: str
    file: Path
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()

    def load(self) -> Any:
        """Returns the Keras model; prepare the backend before.

        Raises:
            InputError: The file holds no Keras model, or one with code of its own.
        """
        return registry.read_keras_file(self.file, self.address)


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


def existing_store(tracking_uri: str | None = None) -> str:
    """Returns the address of the tracking store, which is there: reading must not create one.

    Raises:
        InputError: The SQLite file does not exist.
    """
    uri = tracking_address(tracking_uri)
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise InputError(
            f"there is no MLflow store {path}: call this in the folder of the search, or set "
            "MLFLOW_TRACKING_URI to the store that holds it"
        )
    return uri


def _download(uri: str, address: str, folder: str) -> Path:
    """Returns the folder that a model's files were copied to."""
    store = connect(uri)
    with refusals(uri, f"fetch {address}"):
        try:
            return Path(registry.download(uri, address, folder))
        except MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            reason = masked(str(error).strip().splitlines()[0])[:300]
            start = f"there is no model {address} in {store.address} ({reason})"
            raise InputError(start + _known(uri, address)) from error


def _known(uri: str, address: str) -> str:
    """Returns what to tell about a model that is not there: those that are."""
    if not address.startswith("models:/"):
        return "; expected runs:/RUN_ID/PATH of a model logged on that run"
    registered = MlflowClient(uri).search_registered_models(max_results=100)
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
    description = registry.describe_folder(path, address)
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
    classes = tuple(map(printable, _names(description.metadata, registry.CLASSES_KEY)))
    return SavedFiles(address, file, classes, _names(description.metadata, registry.FEATURES_KEY))


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
