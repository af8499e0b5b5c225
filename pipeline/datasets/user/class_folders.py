"""Lists the files of each part and class in a folder of class folders; nothing is opened.

::

    pets/cat/1.png  pets/cat/2.jpg  pets/dog/1.png ...                    to be split
    pets/train/cat/...  pets/train/dog/...  pets/test/cat/...             test stays sealed
    pets/train/...  pets/val/... (or valid, validation)  pets/test/...    each is its part

All files are pictures, or all are texts. Hidden files are passed over; links that lead out of the
folder are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.datasets.formats import pixels, texts
from pipeline.datasets.user.labels import Classes, classes_of, encode
from pipeline.errors import DatasetError

KINDS = {"pictures": pixels.SUFFIXES, "texts": texts.SUFFIXES}
"""What the files of a folder may be -> their endings."""
PARTS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""Name of a folder -> the part of the split that it is."""
_OTHERS = {"thumbs.db", "desktop.ini", "__macosx"}
_KNOWN = tuple(suffix for suffixes in KINDS.values() for suffix in suffixes)

Files = list[tuple[Path, str]]
"""Files, each with the name of its class's folder."""


@dataclass(frozen=True)
class ClassFolders:
    """What a folder of class folders holds.

    Attributes:
        root: The folder.
        kind: A key of :data:`KINDS`.
        parts: Files of ``train`` and, where there are such folders, ``validation`` and ``test``;
            by class and name.
        homes: Folder of each part.
    """

    root: Path
    kind: str
    parts: dict[str, Files]
    homes: dict[str, Path]

    @property
    def open_files(self) -> Files:
        """Files of train and validation, in this order."""
        return [*self.parts["train"], *self.parts.get("validation", [])]

    @property
    def given_parts(self) -> np.ndarray | None:
        """int8 of :attr:`open_files`, 0 for train, 1 for validation; None where nothing says it."""
        if "validation" not in self.parts:
            return None
        sizes = [len(self.parts["train"]), len(self.parts["validation"])]
        return np.repeat(np.arange(2, dtype=np.int8), sizes)

    def classes(self) -> Classes:
        """Returns the classes, which are those of train.

        Raises:
            DatasetError: They are no classes, or another part has one that train lacks.
        """
        train = self.parts["train"]
        where = f"{self.homes['train']} (a folder per class)"
        classes = classes_of(sorted({name for _, name in train}), len(train), where)
        for part, files in self.parts.items():
            labels_of(files, classes, str(self.homes[part]))
        return classes


def labels_of(files: Files, classes: Classes, where: str) -> np.ndarray:
    """Returns the class number of each file, int32.

    Raises:
        DatasetError: A folder's name is none of the classes.
    """
    names = sorted({name for _, name in files})
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place[name] for _, name in files], dtype=np.int64)
    return encode(names, codes, classes, where)


def count_copies(files: Files, others: Files) -> int:
    """Returns how many files hold the bytes of one of others; only those of one size are read."""
    sizes = {file.stat().st_size for file, _ in files}
    alike = [file for file, _ in others if file.stat().st_size in sizes]
    known = {(file.stat().st_size, _digest(file)) for file in alike}
    sizes = {size for size, _ in known}
    found = (file for file, _ in files if file.stat().st_size in sizes)
    return sum((file.stat().st_size, _digest(file)) in known for file in found)


def _digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").digest()


def list_class_folders(root: Path) -> ClassFolders:
    """Returns the files of a folder of class folders.

    Raises:
        DatasetError: It is no such folder; the message names the file and the remedy.
    """
    homes = _homes(root)
    parts = {part: _files(home, root) for part, home in homes.items()}
    return ClassFolders(
        root, _kind(file for files in parts.values() for file, _ in files), parts, homes
    )


def files_to_predict(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Returns the files of a folder, or of its folders, by folder and name.

    Args:
        root: The folder.
        suffixes: Endings of the files that are wanted.

    Raises:
        DatasetError: There are none, there are others among them, or both files and folders.
    """
    entries = entries_of(root)
    folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if entry.suffix.lower() in suffixes and entry.is_file()]
    if parts := [folder.name for folder in folders if folder.name.lower() in PARTS]:
        raise DatasetError(
            f"{root} holds the folder '{parts[0]}', a part of data to train on; expected files, or"
            f" a folder per class. Give {root / parts[0]}."
        )
    if loose and folders:
        raise DatasetError(
            f"{root} holds {loose[0].name} and the folder {folders[0].name}; expected either files"
            " or folders of them."
        )
    files = [file for folder in folders for file in entries_of(folder)] if folders else entries
    if wrong := [file for file in files if file.suffix.lower() not in suffixes]:
        raise DatasetError(
            f"{wrong[0]} cannot be read here; expected only {', '.join(suffixes)}. Move it"
            " elsewhere."
        )
    if not files:
        raise DatasetError(f"{root} holds no files; expected {', '.join(suffixes)}.")
    for file in files:
        check_file(file, root)
    return files


def entries_of(folder: Path) -> list[Path]:
    """Returns what is in a folder, sorted, without hidden files and what systems leave behind."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name.lower() not in _OTHERS
    )


def check_file(file: Path, root: Path) -> None:
    """Checks that a file is one, of a known kind, and inside of a folder.

    Raises:
        DatasetError: It is not.
    """
    if file.suffix.lower() not in _KNOWN:
        raise DatasetError(
            f"{file} is no picture and no text; expected only {', '.join(_KNOWN)} in the folder of"
            " a class. Move it elsewhere."
        )
    try:
        inside = file.resolve(strict=True).is_relative_to(root.resolve())
    except RuntimeError:  # links in a circle, before Python 3.13
        inside = False
    if not inside:
        raise DatasetError(
            f"{file} is a link that leads out of {root}; expected files inside. Copy the files"
            " instead of linking them."
        )
    if not file.is_file():
        raise DatasetError(
            f"{file} is not a file; expected a picture or text. Remove or replace it."
        )


def _homes(root: Path) -> dict[str, Path]:
    """Returns the folder of each part; the root itself where all is to be split."""
    subfolders = {entry.name: entry for entry in entries_of(root) if entry.is_dir()}
    named = {name: PARTS[name.lower()] for name in subfolders if name.lower() in PARTS}
    if len(named) < 2:
        return {"train": root}
    others = sorted(subfolders.keys() - named.keys())
    if others or len(set(named.values())) < len(named) or "train" not in named.values():
        found = " and ".join(
            f"'{name}'" for name in sorted(named, key=lambda name: list(PARTS).index(name.lower()))
        )
        problem = f", and {others[:5]} beside them" if others else ""
        raise DatasetError(
            f"{root} holds {found}{problem}; expected 'train' and 'test', 'val' or both, with a"
            " folder per class in each, or a folder per class."
        )
    return {part: subfolders[name] for name, part in named.items()}


def _files(home: Path, root: Path) -> Files:
    """Returns the files below the class folders, by class and name."""
    entries = entries_of(home)
    folders = [entry for entry in entries if entry.is_dir()]
    # A README beside the folders is no example.
    loose = [
        entry for entry in entries if entry.suffix.lower() in pixels.SUFFIXES and entry.is_file()
    ]
    if loose or not folders:
        found = f"the picture {loose[0].name} itself" if loose else "no folders"
        raise DatasetError(
            f"{home} holds {found}; expected a folder per class with its pictures"
            f" ({', '.join(pixels.SUFFIXES)}) or texts (.txt) in it, such as {home.name}/cat/1.png."
        )
    files: Files = []
    for folder in folders:
        inside = entries_of(folder)
        if not inside:
            raise DatasetError(
                f"{folder} is empty; expected files of the class in it, or no folder."
            )
        for file in inside:
            check_file(file, root)
            files.append((file, folder.name))
    return files


def _kind(files: Iterable[Path]) -> str:
    """Returns what the files are.

    Raises:
        DatasetError: Some are pictures and some are texts.
    """
    found: dict[str, Path] = {}
    for file in files:
        kind = next(kind for kind, suffixes in KINDS.items() if file.suffix.lower() in suffixes)
        found.setdefault(kind, file)
    if len(found) > 1:
        raise DatasetError(
            f"{found['pictures']} is a picture, {found['texts']} a text; expected only pictures or"
            " only texts. Move the others elsewhere."
        )
    return next(iter(found))
