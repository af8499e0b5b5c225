"""Reads a file of raw inputs as the array that a model takes, for ``pipeline predict``.

The formats are those that datasets are made of: ``.npy`` and ``.npz`` (key ``x``, or the only
array) for all; ``.csv`` and ``.parquet`` for features, by name where the model knows names; images
for images; ``.jsonl`` and ``.txt`` with a line of
token ids per example, or whole-number arrays padded with 0, for token lists. What a model takes is
an :class:`Entrance`. Nothing is unpickled, resized or filled in: what does not fit is an error.

To add a format: a reader in :data:`READERS`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.formats import raw_tensors
from pipeline.datasets.formats.npz import members, read_array
from pipeline.datasets.formats.pixels import SUFFIXES
from pipeline.datasets.formats.table_files import ENDINGS, ending, read_table
from pipeline.datasets.formats.tokens import multi_hot, token_rows
from pipeline.datasets.user.tables import LABEL_NAMES
from pipeline.errors import InputError, closest
from pipeline.predict.table_inputs import Note, read_columns


def ignored(note: str) -> None:
    """Does nothing with a note."""


@dataclass(frozen=True)
class Entrance:
    """What a model takes.

    Attributes:
        kind: ``image``, ``features`` or ``tokens``.
        shape: Shape of one example; (None,) for tokens, whose lists have any length.
        num_words: Size of the vocabulary; tokens only.
        names: Names of the columns, in the model's order; empty where it knows none.
        trained: ``dtype``, ``lowest`` and ``highest`` value of training; empty where unknown.
    """

    kind: str
    shape: tuple[int | None, ...]
    num_words: int = 0
    names: tuple[str, ...] = ()
    trained: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Returns it as an error message says it."""
        if self.kind == "tokens":
            return f"token ids from 0 (padding) to {self.num_words - 1}, [n, length]"
        sizes = ", ".join(str(size) for size in self.shape)
        return f"{'images' if self.kind == 'image' else 'features'} [n, {sizes}]"


def read_inputs(
    path: Path,
    entrance: Entrance,
    note: Note = ignored,
    delimiter: str | None = None,
    decimal: str | None = None,
    usual_decimal: str | None = None,
) -> np.ndarray:
    """Returns a file's examples as the model takes them.

    Args:
        path: The file.
        entrance: What the model takes.
        note: Takes a sentence on what of the file was not used, or is not clear.
        delimiter: What separates the columns of a text; None to detect it.
        decimal: The decimal mark of a text; None to detect it.
        usual_decimal: The decimal mark of training; None where unknown.

    Returns:
        float32 ``[num_examples, *shape]``; for tokens int32 ``[num_examples, longest]``, 0 for
        padding, each row's distinct ids in increasing order.

    Raises:
        InputError: The file cannot be read, or does not fit the model; the message says what was
            found and what is expected.
    """
    check_file(path)
    if entrance.names and ending(path) in ENDINGS:
        table = read_columns(
            path, entrance.names, note, delimiter, decimal, usual_decimal=usual_decimal
        )
        return np.column_stack([table.numbers(name) for name in entrance.names])
    found = READERS[ending(path)](path, entrance, note)
    fit = _tokens if entrance.kind == "tokens" else _numbers
    examples = fit(path, found, entrance)
    if not len(examples):
        raise InputError(f"{path} holds no examples; expected {entrance}")
    return examples


def check_file(path: Path) -> None:
    """Checks that a file is there and of a kind that can be read.

    Raises:
        InputError: It is not.
    """
    if path.is_dir():
        return
    endings = (*READERS, *SUFFIXES)
    if ending(path) not in endings:
        raise InputError(
            f"{path}: files ending in '{ending(path)}' cannot be read"
            f"{closest(ending(path), endings)}; expected one of {', '.join(endings)}"
        )
    if not path.is_file():
        raise InputError(f"there is no file {path} (looked in {Path.cwd()})")


def _numbers(path: Path, values: np.ndarray, entrance: Entrance) -> np.ndarray:
    """Returns finite float32 examples of the model's shape."""
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path} has dtype {values.dtype}; expected numbers, {entrance}")
    if entrance.kind == "image" and entrance.shape[-1] == 1 and values.ndim == 3:
        values = values[..., None]
    if values.shape[1:] != entrance.shape or not values.ndim:
        single = values.shape == entrance.shape
        raise InputError(
            f"{path} has shape {list(values.shape)}; the model expects {entrance}"
            + (", so save x[None] for a single example" if single else "")
        )
    given = values
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise InputError(f"{path}: example {row} holds values that are not finite in float32")
    if entrance.trained:
        try:
            raw_tensors.check_scale(entrance.trained, given)
        except raw_tensors.TensorError as error:
            raise InputError(f"{path}: {error}") from error
    return values


def _tokens(path: Path, rows: Any, entrance: Entrance) -> np.ndarray:
    """Returns padded token ids; ids outside the vocabulary are an error."""
    if isinstance(rows, np.ndarray) and (rows.ndim != 2 or rows.dtype.kind not in "iu"):
        raise InputError(
            f"{path} has shape {list(rows.shape)} and dtype {rows.dtype}; the model expects "
            f"{entrance}, whole numbers"
        )
    try:
        tokens = token_rows(multi_hot(rows, entrance.num_words))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if (empty := ~tokens.any(axis=1)).any():
        raise InputError(
            f"{path}: example {int(empty.argmax())} holds padding (0) alone, of which nothing can"
            " be said; expected token ids"
        )
    return tokens


def _read_table(path: Path, entrance: Entrance, note: Note) -> np.ndarray:
    """Returns a table of numbers in its own order, without a column that holds labels."""
    table = read_table(path, lambda _: None)
    names = [name for name in table.names if name.lower() not in LABEL_NAMES]
    return np.column_stack([table.numbers(name) for name in names])


def _read_npy(path: Path, entrance: Entrance, note: Note) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as a .npy array of numbers ({error}); write it with "
            "np.save(file, np.asarray(x, 'float32'))"
        ) from error


def _read_npz(path: Path, entrance: Entrance, note: Note) -> np.ndarray:
    names = members(path)
    if "x" not in names and len(names) != 1:
        raise InputError(
            f"{path} holds the arrays {sorted(names)}; expected 'x', or a single array"
        )
    return read_array(path, "x" if "x" in names else names[0])


def _read_csv(path: Path, entrance: Entrance, note: Note) -> np.ndarray:
    """Returns a table of numbers; a first line that holds a word is the header.

    A column whose name says that it holds labels is left out, as in a dataset.
    """
    lines = list(csv.reader(_lines(path)))
    rows = [row for row in lines if row]
    _tell_blank(path, len(lines) - len(rows), note)
    header = rows[0] if rows and not all(map(_is_number, rows[0])) else []
    if rows and not header:
        note(f"{path}: the first line holds numbers alone and was taken as an example, no header")
    if unnamed := [place for place, name in enumerate(header, 1) if not name.strip()]:
        raise InputError(
            f"{path}: column {unnamed[0]} has no name in the header: it may be the row numbers of"
            f" pandas, or the labels; remove it (the model expects {entrance}), or name it 'label'"
        )
    labels = [place for place, name in enumerate(header) if name.strip().lower() in LABEL_NAMES]
    table = []
    for number, row in enumerate(rows[bool(header) :]):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}: example {number} has {len(row)} values, the first line {len(rows[0])}"
            )
        cells = [cell for place, cell in enumerate(row) if place not in labels]
        wrong = next((cell for cell in cells if not _is_number(cell)), None)
        if wrong is not None:
            raise InputError(f"{path}: example {number} holds '{wrong}'; expected numbers only")
        table.append([float(cell) for cell in cells])
    if not table:
        raise InputError(f"{path} holds no examples; expected a line each, {entrance}")
    return np.array(table)


def _read_jsonl(path: Path, entrance: Entrance, note: Note) -> list[list[int]]:
    rows = []
    for number, line in _filled_lines(path, note):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, list) or any(type(entry) is not int for entry in row):
            raise InputError(
                f"{path}: line {number} is no list of token ids; expected such as [1, 14, 22]"
            )
        rows.append(row)
    return _bounded(path, rows, entrance)


def _read_txt(path: Path, entrance: Entrance, note: Note) -> list[list[int]]:
    rows = []
    for number, line in _filled_lines(path, note):
        try:
            rows.append([int(word) for word in line.replace(",", " ").split()])
        except ValueError:
            raise InputError(
                f"{path}: line {number} holds more than token ids; expected such as 1 14 22"
            ) from None
    return _bounded(path, rows, entrance)


def _bounded(path: Path, rows: list[list[int]], entrance: Entrance) -> list[list[int]]:
    """Returns token lists, which are for a model that takes them."""
    if entrance.kind != "tokens":
        raise InputError(f"{path} holds lists of token ids; the model expects {entrance}")
    if any(abs(entry) >= 2**63 for row in rows for entry in row):
        raise InputError(f"{path} holds token ids beyond 64 bits; expected {entrance}")
    if [] in rows:
        raise InputError(
            f"{path}: example {rows.index([])} is an empty list, of which nothing can be said;"
            " expected token ids"
        )
    return rows


def _filled_lines(path: Path, note: Note) -> list[tuple[int, str]]:
    """Returns the lines that are not blank, with their numbers; tells how many were."""
    lines = list(enumerate(_lines(path), 1))
    filled = [(number, line) for number, line in lines if line.strip()]
    _tell_blank(path, len(lines) - len(filled), note)
    return filled


def _tell_blank(path: Path, count: int, note: Note) -> None:
    if count:
        note(f"{path}: {count:,} blank lines were passed over; rows are counted without them")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text in UTF-8 ({error})") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


READERS: dict[str, Callable[[Path, Entrance, Note], Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    **dict.fromkeys(ENDINGS, _read_table),
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".txt": _read_txt,
}
"""File ending -> what reads such a file for a model with this entrance."""
