"""Finds official files in the data directory or Keras's cache, or has Keras download them.

A source names its files once, as :class:`OfficialFile`; :class:`OfficialFiles` finds them, verifies
their published checksums, and, when there is no file and no network, says what to get and where to
put it. The download is a function that it is given, so tests hand in another.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DatasetError
from pipeline.native_stderr import native_chatter_off

DOWNLOAD_TIMEOUT_SECONDS = 30.0
"""How long a connection may stay silent; an air-gapped network must not hang the command."""


@dataclass(frozen=True)
class OfficialFile:
    """A file that a dataset is published as.

    Attributes:
        name: Its official name.
        checksum: Published MD5 or SHA-256, hexadecimal; the length tells which.
        folder: Folder it may lie in, below the data directory; it may also lie there directly
            unless ``folder_only``.
        folder_only: Whether its name means nothing without the folder.
        url: Where Keras downloads it; empty for a file that comes inside an archive.
        cached_as: Path below Keras's ``datasets`` folder; empty for ``name``.
    """

    name: str
    checksum: str
    folder: str = ""
    folder_only: bool = False
    url: str = ""
    cached_as: str = ""

    @property
    def places(self) -> tuple[Path, ...]:
        """Where it may lie below the data directory."""
        in_folder, flat = Path(self.folder, self.name), Path(self.name)
        return (in_folder,) if self.folder_only else tuple(dict.fromkeys((in_folder, flat)))

    @property
    def cache_place(self) -> Path:
        """Where Keras's loaders keep it, below their ``datasets`` folder."""
        return Path(self.cached_as or self.name)


Layout = tuple[OfficialFile, ...]
"""Files that together are the dataset."""

Fetch = Callable[[OfficialFile], Path]
"""Downloads a file, and returns where it is; raises any exception where that fails."""


def keras_fetch(file: OfficialFile) -> Path:
    """Downloads a file into Keras's cache, where Keras's own loaders find it, too."""
    with native_chatter_off():
        import keras

    subfolder = Path("datasets", file.cache_place.parent)
    # Results go to stdout, progress to stderr; Keras prints to stdout.
    with _socket_timeout(), contextlib.redirect_stdout(sys.stderr):
        return Path(
            keras.utils.get_file(
                fname=file.cache_place.name,
                origin=file.url,
                file_hash=file.checksum,
                cache_subdir=str(subfolder),
            )
        )


def keras_cache() -> Path:
    """Returns the folder where Keras caches datasets (``KERAS_HOME``, else ``~/.keras``)."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


@dataclass(frozen=True)
class OfficialFiles:
    """Where one dataset's files are looked for.

    Attributes:
        dataset: The dataset's name, for messages.
        page: The page where a person gets the files.
        layouts: The ways the files may lie about; the first that is complete is used, the first
            whose files all have a url is downloaded.
        data_dir: Folder with official files; None for none.
        fetch: Downloads a file.
    """

    dataset: str
    page: str
    layouts: tuple[Layout, ...]
    data_dir: Path | None
    fetch: Fetch = keras_fetch

    def paths(self) -> dict[str, Path]:
        """Returns the dataset's files by official name.

        Their checksums are verified by :meth:`verified`, file by file, so that a test file is not
        even opened before it may be.

        Raises:
            DatasetError: The data directory does not exist, or there is no file and no download.
        """
        if self.data_dir is not None and not self.data_dir.is_dir():
            raise DatasetError(
                f"The data directory {self.data_dir} does not exist. Create it, or correct"
                " --data-dir (PIPELINE_DATA_DIR)."
            )
        return self.in_data_dir() or self.in_cache() or self._download()

    def in_data_dir(self) -> dict[str, Path] | None:
        """Returns the files of a layout that is complete in the data directory, or None."""
        if self.data_dir is None:
            return None
        root = self.data_dir
        return self._complete(lambda file: [root / place for place in file.places])

    def in_cache(self) -> dict[str, Path] | None:
        """Returns the files of a layout that is complete in Keras's cache, or None."""
        root = keras_cache()
        return self._complete(lambda file: [root / file.cache_place])

    def verified(self, paths: dict[str, Path], *names: str) -> dict[str, Path]:
        """Returns some of the files, after their contents matched the published checksums.

        Args:
            paths: What :meth:`paths` returned.
            *names: Official names; those that this layout does not have are left out.

        Raises:
            DatasetError: A file is not the official one.
        """
        chosen = {name: paths[name] for name in names if name in paths}
        for name, path in chosen.items():
            self._verify(path, self._checksums(name))
        return chosen

    def _complete(self, candidates: Callable[[OfficialFile], list[Path]]) -> dict[str, Path] | None:
        for layout in self.layouts:
            found = {
                file.name: path
                for file in layout
                for path in reversed(candidates(file))
                if path.is_file()
            }
            if len(found) == len(layout):
                return found
        return None

    def _download(self) -> dict[str, Path]:
        layout = next(one for one in self.layouts if all(file.url for file in one))
        try:
            return {file.name: Path(self.fetch(file)) for file in layout}
        except Exception as error:
            raise DatasetError(self._missing(layout, error)) from error

    def _missing(self, layout: Layout, error: Exception) -> str:
        names = ", ".join(file.name for file in layout)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        links = " ".join(file.url for file in layout)
        given = "the folder given by --data-dir or PIPELINE_DATA_DIR"
        where = f"{self.data_dir} ({given})" if self.data_dir else f"a folder of yours ({given})"
        others = "".join(
            f" A folder {one[0].folder}{os.sep} in it, with {one[0].name} and so on, will do, too."
            for one in self.layouts
            if not one[0].url
        )
        looked = f"in {self.data_dir}" if self.data_dir else "(no data directory is set)"
        return (
            f"Dataset '{self.dataset}' is not on this machine: {names} was not found {looked} nor"
            f" in Keras's cache, and the download failed ({reason}).{self._incomplete()} Get it"
            f" from {self.page} (direct: {links}) and put it, unchanged, into {where}.{others}"
            " Dataset 'digits' needs no download."
        )

    def _incomplete(self) -> str:
        if self.data_dir is None:
            return ""
        for layout in self.layouts:
            lacking = [
                file.name
                for file in layout
                if not any((self.data_dir / place).is_file() for place in file.places)
            ]
            if len(lacking) < len(layout):
                return f" Of its files there, {', '.join(lacking)} is missing."
        return ""

    def _checksums(self, name: str) -> set[str]:
        return {file.checksum for one in self.layouts for file in one if file.name == name}

    def _verify(self, path: Path, expected: set[str]) -> None:
        algorithm = "md5" if all(len(checksum) == 32 for checksum in expected) else "sha256"
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, algorithm).hexdigest()
        if found not in expected:
            raise DatasetError(
                f"{path} is not the official file of '{self.dataset}': expected {algorithm}"
                f" {' or '.join(sorted(expected))}, found {found}. It is damaged or belongs to"
                f" another dataset; get the official file from {self.page} or remove this one."
            )


@contextlib.contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
