"""What goes along with a worker to another machine, and what is read there."""

import pickle
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import datasets
from pipeline.datasets import SelectionLock
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec
from pipeline.training.own.registry import family_of
from pipeline.training.portable import check_data_dir, family_here, portable
from pipeline.training.worker import WorkerSpec

MODEL = "def build(config, input_shape, num_classes):\n    return None\n"
DIGITS = DatasetSpec("digits", train_examples=100)


def sent(spec, cpus=3):
    return pickle.loads(pickle.dumps(portable(spec, cpus)))


def test_a_dataset_is_sent_without_its_test_part():
    packed = sent(WorkerSpec(DIGITS, device="cpu"))
    here = datasets.load(DIGITS)
    assert packed.dataset.fingerprint == here.fingerprint
    np.testing.assert_array_equal(packed.dataset.train.inputs, here.train.inputs)
    assert packed.dataset.split_sizes == here.split_sizes
    with pytest.raises(DatasetError, match=r"^The test part of this dataset was left on the mach"):
        packed.dataset.test.read(SelectionLock("a hash"))


def test_the_users_own_file_need_not_be_on_the_other_machine(folder):
    labels = np.arange(60) % 2
    np.savez("mine.npz", x=np.random.default_rng(0).normal(size=(60, 4)), y=labels)
    packed = sent(WorkerSpec(DatasetSpec("mine.npz"), device="cpu"))
    Path("mine.npz").unlink()
    assert packed.open().dataset.name == "mine"


def test_a_table_with_words_is_sent_with_its_encoding(folder):
    rows = [f"{number % 7},{'ab'[number % 2]},{'yn'[number % 2]}" for number in range(80)]
    Path("mine.csv").write_text("\n".join(["size,kind,label", *rows]))
    options = DataOptions(label="label", ignore=("leak", "duplicates"))
    packed = sent(WorkerSpec(DatasetSpec("mine.csv", options=options), device="cpu"))
    assert packed.dataset.raw_validation is None
    assert packed.dataset.encoding.input_shape == packed.dataset.input_shape


@pytest.mark.parametrize(("asked", "given"), [(None, 3), (1, 1), (8, 3)])
def test_threads_are_those_of_the_other_machine_but_small_networks_have_one(asked, given):
    assert sent(WorkerSpec(DIGITS, num_threads=asked)).spec.num_threads == given


def test_official_files_in_the_data_directory_are_read_there(folder, monkeypatch):
    monkeypatch.setattr(datasets, "availability", lambda name, place: "in data directory")
    monkeypatch.setattr(datasets, "load", lambda *arguments, **options: pytest.fail("loaded here"))
    Path("data").mkdir()
    packed = sent(WorkerSpec(DatasetSpec("mnist", Path("data"))))
    assert packed.dataset is None
    assert packed.spec.dataset.data_dir == folder / "data"
    check_data_dir(packed.spec.dataset)
    shutil.rmtree("data")
    with pytest.raises(DatasetError) as caught:
        packed.open()
    assert str(caught.value) == (
        f"--data-dir {folder / 'data'}: there is no such folder on {socket.gethostname()}; give "
        "one on a disk that all machines share, or leave it (and PIPELINE_DATA_DIR) out: the data "
        "are then loaded here and sent to them"
    )


def test_a_dataset_that_is_not_in_the_data_directory_is_sent(folder):
    assert sent(WorkerSpec(replace(DIGITS, data_dir=folder))).dataset is not None


def test_the_users_model_file_goes_along_and_is_the_same(folder):
    Path("my_model.py").write_text(MODEL)
    own = family_of("my_model.py:build")
    packed = sent(WorkerSpec(DIGITS, own=own))
    assert family_here(own, packed.code) == own  # where it is, it is used
    Path("my_model.py").unlink()
    there = family_here(own, packed.code)
    assert there.path != own.path
    assert Path(there.path).read_text() == MODEL
    assert (there.name, there.sha256) == (own.name, own.sha256)
    Path("my_model.py").write_text(MODEL + "# another version\n")
    assert Path(family_here(own, packed.code).path).read_text() == MODEL


def test_what_the_model_file_imports_from_its_folder_goes_along(folder):
    Path("parts").mkdir()
    Path("parts/blocks.py").write_text("WIDTH = 3\n")
    Path("my_model.py").write_text("from parts.blocks import WIDTH\n\n\n" + MODEL)
    own = family_of("my_model.py:build")
    packed = sent(WorkerSpec(DIGITS, own=own))
    Path("parts/blocks.py").write_text("WIDTH = 4\n")
    there = family_here(own, packed.code)
    assert there.path != own.path
    assert there.contents() == packed.code
    assert (Path(there.path).parent / "parts" / "blocks.py").read_text() == "WIDTH = 3\n"
