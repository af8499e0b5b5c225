"""A search is refused before it begins where one trial would take more memory than there is."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import DatasetSummary, load
from pipeline.errors import InputError
from pipeline.records import DatasetSpec, Device
from pipeline.search import options, trial_memory
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.plan import plan_of
from pipeline.search.space import space
from pipeline.search.trial_memory import may_use_gpu, memory_needs

GIB = 2**30


@pytest.fixture
def photos(tmp_path):
    """36 pictures, 640 wide and 480 high."""
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(18):
            path = tmp_path / "photos" / name / f"{number}.jpg"
            Image.new("RGB", (640, 480), (number, 0, 0)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def memory(monkeypatch):
    def set_to(num_bytes):
        monkeypatch.setattr(options, "available_bytes", lambda: num_bytes)

    set_to(16 * GIB)
    return set_to


def test_large_pictures_are_refused_with_a_size_that_fits(photos, memory):
    with pytest.raises(InputError) as caught:
        prepare(SearchOptions(str(photos), device="cpu"))
    told = str(caught.value)
    assert told.startswith("photos: a network of depth 1 on inputs of 480 x 640 x 3 needs about 57")
    assert "GiB to train, and each worker has 16.0 GiB. Scale the pictures: --image-size" in told
    size = told.split("--image-size ")[1].split(",")[0]
    assert size == "48x64"
    fitting = options.DataOptions(image_size=(48, 64))
    assert prepare(SearchOptions(str(photos), device="cpu", data=fitting)).study == "photos"


def test_the_flattened_layer_is_what_counts(photos):
    summary = DatasetSummary.of(load(DatasetSpec(str(photos))))
    config = replace(space.load("default_image").references[0].config, depth=1, dense_width=128)
    (need,) = memory_needs([config], summary)
    kernel = 478 * 638 * 32 * 128 * 4
    # The weight, its gradient, two moments of Adam's, and the copies while they are written.
    assert 8 * kernel < need.weights < 10 * kernel < need.bytes(1)


def test_workers_share_the_memory_and_a_gpu_has_its_own(photos, memory):
    data = options.DataOptions(image_size=(96, 96))
    chosen = SearchOptions(str(photos), device="cpu", data=data)
    prepared = prepare(chosen)
    memory(1 * GIB)
    with pytest.raises(InputError, match=r"each worker has 0.5 GiB. Scale the pictures: --image-s"):
        prepare(replace(chosen, workers=2))
    gpu = Device("gpu: x", free_bytes=1 * GIB)
    with pytest.raises(InputError, match=r"each worker has 1.0 GiB. Scale the pictures: --image-s"):
        plan_of(chosen, prepared, gpu)
    plan_of(chosen, prepared, Device("gpu: x", free_bytes=80 * GIB))
    plan_of(chosen, prepared, Device("gpu: x"))


def test_other_data_get_another_remedy(tmp_path, memory):
    memory(2**22)
    np.savez(tmp_path / "x.npz", x=np.eye(40, 900), y=np.arange(40) % 2)
    with pytest.raises(InputError, match="Give fewer --workers or inputs with fewer columns, or"):
        prepare(SearchOptions(str(tmp_path / "x.npz"), device="cpu"))
    np.savez(tmp_path / "x.npz", x=np.ones((40, 99, 99), np.uint8), y=np.arange(40) % 2)
    with pytest.raises(InputError, match="Scale the pictures to 64x64 pixels or so, or give a sea"):
        prepare(SearchOptions(str(tmp_path / "x.npz"), device="cpu"))
    np.savez(tmp_path / "x.npz", x=np.ones((40, 50, 50), np.uint8), y=np.arange(40) % 2)
    with pytest.raises(InputError, match=r"worker has 0.0 GiB. Give fewer --workers, or give a se"):
        prepare(SearchOptions(str(tmp_path / "x.npz"), device="cpu"))


def test_where_a_gpu_may_be_its_memory_decides(photos, memory, monkeypatch, tmp_path):
    assert may_use_gpu("gpu")
    assert not may_use_gpu("cpu")
    (tmp_path / "kfd").touch()
    monkeypatch.setattr(trial_memory, "KFD", tmp_path / "kfd")
    assert may_use_gpu("auto")
    assert prepare(SearchOptions(str(photos))).study == "photos"
