"""Reads CIFAR's pickled batches, from the unpacked folder or straight from the ``.tar.gz``.

A batch holds ``data``, uint8 ``[n, 3072]``: 1024 red, then green, then blue values, row by row.

Source: https://www.cs.toronto.edu/~kriz/cifar.html, python version.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.datasets.formats.pickles import read_pickle
from pipeline.errors import DatasetError

SIDE = 32


def read_batches(
    paths: dict[str, Path], batches: Sequence[str], label_key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of some batches, in the order given.

    Args:
        paths: Either each batch's file by its name, or the one archive by its name.
        batches: Names of the batches, such as ``data_batch_1``.
        label_key: ``labels`` (CIFAR-10) or ``fine_labels`` (CIFAR-100).

    Returns:
        uint8 ``[n, 32, 32, 3]`` and int32 ``[n]``.

    Raises:
        DatasetError: A batch is missing, broken, or holds something else.
    """
    if set(batches) <= set(paths):
        read = [_read_file(paths[name], label_key) for name in batches]
    else:
        (archive,) = paths.values()
        read = _read_archive(archive, batches, label_key)
    return np.concatenate([x for x, _ in read]), np.concatenate([y for _, y in read])


def _read_file(path: Path, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    with path.open("rb") as stream:
        return _decode(stream, label_key, str(path))


def _read_archive(
    path: Path, batches: Sequence[str], label_key: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                if name in batches and member.isfile():
                    stream = archive.extractfile(member)
                    content = stream.read() if stream else b""
                    found[name] = _decode(io.BytesIO(content), label_key, f"{path}: {name}")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path} cannot be read as a .tar.gz archive ({error}). Download it again."
        ) from error
    missing = [name for name in batches if name not in found]
    if missing:
        raise DatasetError(f"{path} lacks {missing}. Download the official archive again.")
    return [found[name] for name in batches]


def _decode(stream: IO[bytes], label_key: str, origin: str) -> tuple[np.ndarray, np.ndarray]:
    batch = read_pickle(stream, origin)
    if not isinstance(batch, dict) or not {b"data", label_key.encode()} <= set(batch):
        raise DatasetError(
            f"{origin} is no CIFAR batch: expected a dict with 'data' and '{label_key}'."
        )
    data, labels = batch[b"data"], np.asarray(batch[label_key.encode()], dtype=np.int32)
    expected = (len(labels), 3 * SIDE * SIDE)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != expected:
        raise DatasetError(f"{origin} is no CIFAR batch: 'data' must be uint8 of shape {expected}.")
    images = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels
