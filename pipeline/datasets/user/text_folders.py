"""Reads the user's own folder of texts, a subfolder per class, as :class:`RawData`.

A ``.txt`` file in UTF-8 is an example, its words are the features (``datasets.text_encoding``). Of
a test folder only names, encodings and which files are copies of others are looked at before the
test part is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.datasets import text_encoding
from pipeline.datasets.dataset import Part, RawData
from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.texts import read_text
from pipeline.datasets.limits import check_memory
from pipeline.datasets.raw_rows import RawRows
from pipeline.datasets.user.class_folders import ClassFolders, Files, count_copies, labels_of
from pipeline.datasets.user.labels import Classes
from pipeline.records import DataOptions

COLUMN = "text"
"""What the texts of a folder are called, and so the input of a model that takes them."""


def read_text_folder(folders: ClassFolders, options: DataOptions) -> RawData:
    """Returns the texts of a folder of class folders.

    Raises:
        DatasetError: They cannot be used; the message names the file and the remedy.
    """
    classes = folders.classes()
    files = [file for file, _ in folders.open_files]
    num_bytes = sum(file.stat().st_size for file in files)
    check_memory(f"{folders.root}, {len(files):,} texts,", num_bytes)
    texts = read_texts(files)
    raw = partial(
        RawData,
        *("multi_hot", classes.names, texts),
        labels_of(folders.open_files, classes, str(folders.root)),
        fit_encoding=partial(text_encoding.fit, COLUMN),
        given_parts=folders.given_parts,
        findings=wordless(text_encoding.texts_of(texts, COLUMN), lambda place: str(files[place])),
    )
    if "test" not in folders.parts:
        return raw()
    test, where = folders.parts["test"], str(folders.homes["test"])
    for file, _ in test:  # a search later, it is too late
        read_text(file)
    return raw(
        num_test=len(test),
        read_test=partial(_read_test, test, classes, where),
        count_known=partial(count_copies, test, folders.open_files),
    )


def read_texts(files: Sequence[Path]) -> RawRows:
    """Returns the texts of files, a row each, in the column :data:`COLUMN`.

    Raises:
        DatasetError: One is no text in UTF-8.
    """
    return RawRows({COLUMN: as_objects([read_text(file) for file in files])})


def as_objects(texts: Sequence[str]) -> np.ndarray:
    """Returns texts as an object array ``[num_texts]``, in which each takes only its own length."""
    held = np.empty(len(texts), dtype=object)
    held[:] = texts
    return held


def wordless(texts: np.ndarray, named: Callable[[int], str]) -> tuple[Finding, ...]:
    """Returns a finding where texts hold no word.

    Args:
        texts: Objects of ``str``, ``[num_texts]``.
        named: Position of a text -> where it is, for the message.
    """
    found = [place for place, text in enumerate(texts) if not text_encoding.words_of(text)]
    if not found:
        return ()
    many = len(found) != 1
    told = (
        f"{len(found):,} text{'s' * many} hold{'s' * (not many)} no word, first {named(found[0])}"
    )
    return (Finding("wordless", told),)


def _read_test(files: Files, classes: Classes, where: str) -> Part:
    labels = labels_of(files, classes, where)
    return Part(read_texts([file for file, _ in files]), labels)
