"""Reads texts in files for a model that takes one column of texts.

A ``.txt`` file holds a text per line; a folder holds a text per file, as for training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.formats.texts import SUFFIXES, read_lines
from pipeline.datasets.raw_rows import input_names
from pipeline.datasets.text_encoding import texts_of
from pipeline.datasets.user.class_folders import files_to_predict
from pipeline.datasets.user.text_folders import COLUMN, as_objects, read_texts, wordless
from pipeline.errors import InputError


def is_texts(path: Path) -> bool:
    """Whether a path is a text file or a folder, by its name alone."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def read_text_inputs(
    path: Path, columns: Sequence[RawColumn], note: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Returns the texts of a file or folder as a model takes them.

    Args:
        path: A ``.txt`` file, or a folder of them, or of folders of them.
        columns: What the model takes.
        note: Takes a sentence on how the file was read, and on texts without words.

    Returns:
        Objects of ``str``, ``[num_texts, 1]``, by the name of the model's input; and for a folder
        each text's file, by folder and name.

    Raises:
        InputError: The model takes more than a text, or there is none.
    """
    if [column.kind for column in columns] != ["text"]:
        what = "a folder of files" if path.is_dir() else "a text file"
        raise InputError(
            f"{path} is {what}, but the model takes a table's columns by name; expected a file such"
            " as .csv or .parquet"
        )
    files: tuple[str, ...] = ()
    if path.is_dir():
        found = files_to_predict(path, SUFFIXES)
        texts = texts_of(read_texts(found), COLUMN)
        files = tuple(file.relative_to(path).as_posix() for file in found)
    else:
        texts = as_objects(read_lines(path))
        if not len(texts):
            raise InputError(f"{path} holds no examples; expected a text per line")
        note(f"{path}: every line was taken as a text ({len(texts):,})")
    tell_wordless(path, texts, lambda row: files[row] if files else f"in line {row + 1}", note)
    (name,) = input_names([columns[0].name])
    return {name: texts[:, None]}, files


def tell_wordless(
    path: Path, texts: np.ndarray, named: Callable[[int], str], note: Callable[[str], None]
) -> None:
    """Tells where texts hold no word; ``named`` says where one is."""
    for finding in wordless(texts, named):
        note(f"{path}: {finding.message} [{finding.code}]")
