"""Reads, writes and deletes files of a run, wherever the store keeps them.

In: a run's artifact address, a relative path, bytes. Out: bytes, or whatever error the place of the
files (a folder, a server's proxy, a bucket) has: ``Client`` calls these and translates them.

MLflow's client can write and read files but not delete one, and looks the run up for each; so the
artifact repository, its documented plugin interface, is used for all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path
from requests.exceptions import HTTPError

from pipeline.errors import TrackingError
from pipeline.tracking.delivery.outbox import flush


def write(artifact_uri: str, tracking_uri: str, files: Mapping[str, str | bytes]) -> None:
    """Writes files of a run; existing ones are replaced. Local ones survive a power loss."""
    with TemporaryDirectory(prefix="pipeline-") as folder:
        for name, content in files.items():
            path = Path(folder) / _inside(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        get_artifact_repository(artifact_uri, tracking_uri=tracking_uri).log_artifacts(folder)
    if _is_local(artifact_uri):
        # MLflow copies without flushing: the power may fail after what waited here is forgotten.
        root = Path(local_file_uri_to_path(artifact_uri))
        written = [root / name for name in files]
        for path in written:
            flush(path)
        # Their folders may be new, and that of the run, and that of the experiment.
        for place in {*(path.parent for path in written), root, *list(root.parents)[:3]}:
            with suppress(OSError):  # not every file system can
                flush(place)


def read(artifact_uri: str, tracking_uri: str, name: str) -> bytes | None:
    """Returns a file of a run; None where there is none."""
    _inside(name)
    if _is_local(artifact_uri):
        return _read_local(Path(local_file_uri_to_path(artifact_uri)) / name)
    repository = get_artifact_repository(artifact_uri, tracking_uri=tracking_uri)
    with TemporaryDirectory(prefix="pipeline-") as folder:
        try:
            return _downloaded(repository, name, Path(folder)).read_bytes()
        except MlflowException as error:
            if _absent(error) or name not in _siblings(artifact_uri, tracking_uri, name):
                return None
            raise
        except (FileNotFoundError, HTTPError):
            if name not in _siblings(artifact_uri, tracking_uri, name):
                return None
            raise


def _downloaded(repository: ArtifactRepository, name: str, folder: Path) -> Path:
    """Returns where a file of a run was downloaded to.

    ``download_artifacts`` asks first whether it is a folder: of a server that is a second request
    for every trial of a study. What every repository has to define for its files is asked instead.
    """
    if not isinstance(repository, HttpArtifactRepository):
        return Path(repository.download_artifacts(name, str(folder)))
    path = folder / "file"
    repository._download_file(name, str(path))
    return path


def _read_local(path: Path) -> bytes | None:
    """Returns a file of this machine: what MLflow's local repository hands out is the file itself.

    Its repository, made anew for each file, takes longer than all else about a small one.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def delete(artifact_uri: str, tracking_uri: str, name: str) -> None:
    """Deletes a file of a run; one that is not there is no error."""
    if _inside(name) in _siblings(artifact_uri, tracking_uri, name):
        get_artifact_repository(artifact_uri, tracking_uri=tracking_uri).delete_artifacts(name)


def names(artifact_uri: str, tracking_uri: str, folder: str | None = None) -> list[str]:
    """Returns the paths of the files in a folder of a run, not those in its subfolders."""
    repository = get_artifact_repository(artifact_uri, tracking_uri=tracking_uri)
    return [entry.path for entry in repository.list_artifacts(folder) if not entry.is_dir]


def _inside(name: str) -> str:
    """Returns the path of a file of a run, which leads to no other place.

    Raises:
        TrackingError: It does: it was read from a store that somebody else wrote.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
        raise TrackingError(f"{name[:80]!a} is no file of a run: a path inside of it was expected")
    return name


def _siblings(artifact_uri: str, tracking_uri: str, name: str) -> list[str]:
    """Returns the paths of a run's files in the folder of this one."""
    return names(artifact_uri, tracking_uri, name.rpartition("/")[0] or None)


def _absent(error: MlflowException) -> bool:
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


def _is_local(artifact_uri: str) -> bool:
    """Whether a run's files are files of this machine."""
    return artifact_uri.startswith(("file:", "/"))
