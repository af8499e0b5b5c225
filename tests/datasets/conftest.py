"""Tiny official files, official data where they are, and a download that is never made."""

import hashlib
import io
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import RawData
from pipeline.datasets.formats.tokens import keras_tokens, multi_hot
from pipeline.datasets.official_files import OfficialFile, OfficialFiles
from pipeline.datasets.preprocessing import assemble
from pipeline.records import DatasetSpec


@pytest.fixture(autouse=True)
def empty_keras_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("keras-home")
    monkeypatch.setenv("KERAS_HOME", str(folder))
    return folder / "datasets"


@pytest.fixture
def data_dir():
    """The folder with the official files; the test is skipped where it is unset."""
    value = os.environ.get("PIPELINE_DATA_DIR")
    if not value or not Path(value).is_dir():
        pytest.skip("PIPELINE_DATA_DIR is not set to a folder with the official files")
    return Path(value)


@pytest.fixture
def official_file(data_dir):
    """Returns a file below the data directory; the test is skipped where it is missing."""

    def find(relative):
        if not (data_dir / relative).exists():
            pytest.skip(f"PIPELINE_DATA_DIR lacks {relative}")
        return data_dir / relative

    return find


def refuse_download(file: OfficialFile) -> Path:
    raise OSError(f"no network for {file.url}")


@pytest.fixture
def no_network():
    return refuse_download


@pytest.fixture
def tiny_files(tmp_path):
    """Returns a files over files the test makes, with their own checksums for the official."""

    def make(source, contents, data_dir=tmp_path):
        md5 = {}
        for relative, content in contents.items():
            path = tmp_path / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            md5[path.name] = hashlib.md5(content).hexdigest()
        layouts = tuple(
            tuple(replace(file, checksum=md5.get(file.name, file.checksum)) for file in layout)
            for layout in source.layouts
        )
        return OfficialFiles(source.name, source.page, layouts, data_dir, refuse_download)

    return make


@pytest.fixture
def cifar_batch():
    """Returns the bytes of a CIFAR batch with these labels; all pixels equal the label."""

    def make(labels, key=b"labels"):
        data = np.repeat(np.array(labels, np.uint8)[:, None], 3072, axis=1)
        return pickle.dumps({b"data": data, key: list(labels)}, protocol=4)

    return make


@pytest.fixture
def two_blobs():
    """Returns a small dataset of features: two classes, all its own split."""

    def make(num_examples=100, seed=0, inputs=None, **options):
        rng = np.random.RandomState(1)
        labels = (np.arange(num_examples) % 2).astype(np.int32)
        if inputs is None:
            inputs = rng.normal(labels[:, None] * 2.0, 1.0, (num_examples, 3)).astype(np.float32)
        raw = RawData("features", ("no", "yes"), inputs, labels, **options)
        return assemble("blobs", raw, DatasetSpec("blobs", seed=seed))

    return make


@pytest.fixture
def sequences_npz():
    """Returns the bytes of a ``.npz`` with pickled word sequences, as the official ones."""

    def make(**arrays):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, array in arrays.items():
                member = io.BytesIO()
                if array.dtype.hasobject:
                    np.lib.format.write_array_header_1_0(
                        member, {"descr": "|O", "fortran_order": False, "shape": array.shape}
                    )
                    member.write(pickle.dumps(array, protocol=4))
                else:
                    np.lib.format.write_array(member, array)
                archive.writestr(f"{name}.npy", member.getvalue())
        return buffer.getvalue()

    return make


def word_sequences(num_examples, seed=0):
    """Returns an object array of lists of word ranks, some beyond the vocabulary."""
    rng = np.random.RandomState(seed)
    rows = np.empty(num_examples, dtype=object)
    for index in range(num_examples):
        rows[index] = rng.randint(1, 12_000, rng.randint(1, 9)).tolist()
    return rows


@pytest.fixture
def words():
    return word_sequences


@pytest.fixture
def tiny_reuters():
    """Returns a small multi-hot dataset."""

    def make():
        labels = (np.arange(60) % 3).astype(np.int32)
        inputs = multi_hot([keras_tokens(row, 500) for row in word_sequences(60)], 500)
        raw = RawData("multi_hot", ("a", "b", "c"), inputs, labels)
        return assemble("tiny", raw, DatasetSpec("tiny"))

    return make
