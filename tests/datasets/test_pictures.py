"""The grid of samples: one row per class, in the class's own pictures."""

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import RawData, sample_grid
from pipeline.datasets.preprocessing import assemble
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec


def read_grey(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L")).astype(int)


def flat_images(num_classes, shape=(6, 6, 3), names=None):
    labels = np.repeat(np.arange(num_classes), 20).astype(np.int32)
    inputs = np.zeros((len(labels), *shape), np.uint8)
    inputs[...] = (np.linspace(40, 220, num_classes)[labels])[:, None, None, None]
    names = names or tuple(f"class {number}" for number in range(num_classes))
    return assemble("flat", RawData("image", names, inputs, labels), DatasetSpec("flat"))


def test_each_class_has_its_row(tmp_path):
    path = tmp_path / "new" / "grid.png"
    sample_grid(flat_images(3), path)
    picture = read_grey(path)
    right = picture[:, picture.shape[1] - 30]
    found = [(np.abs(right - value) <= 1).sum() for value in (40, 130, 220)]
    assert min(found) > 30
    rows = [int(np.flatnonzero(np.abs(right - v) <= 1)[0]) for v in (40, 130, 220)]
    assert rows == sorted(rows)


def test_a_hundred_classes_stand_in_blocks(tmp_path):
    sample_grid(flat_images(100, (4, 4, 1)), tmp_path / "grid.png")
    height, width = read_grey(tmp_path / "grid.png").shape
    assert 1000 <= height <= 1200
    assert 2000 <= width <= 3500


def test_long_and_odd_class_names_are_drawn(tmp_path):
    names = ("costs $5 or $6", "x" * 300)
    sample_grid(flat_images(2, names=names), tmp_path / "grid.png")
    assert read_grey(tmp_path / "grid.png").shape[1] < 1200


def test_what_is_no_image_has_no_pictures(two_blobs, tmp_path):
    with pytest.raises(DatasetError, match="'blobs' is of kind 'features': there are no pictures"):
        sample_grid(two_blobs(), tmp_path / "grid.png")
