"""Pictures as a model takes them: converted as for training, and told in the same sentences."""

import re

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.formats.pixels import PictureForm, Size
from pipeline.datasets.user.class_folders import list_class_folders
from pipeline.datasets.user.image_folders import read_image_folder
from pipeline.errors import DatasetError, InputError
from pipeline.predict.pictures import form_of, is_pictures, read_pictures
from pipeline.records import DataOptions

FORM = PictureForm(Size(4, 5, 3), scaled=True)


@pytest.fixture
def photos(tmp_path):
    """Pictures of two classes, of several sizes and modes."""
    rng = np.random.default_rng(0)
    root = tmp_path / "photos"
    for name in ("b", "a"):
        (root / name).mkdir(parents=True)
        for number, channels in enumerate((1, 3, 4, 3, 3, 1)):
            shape = (6 + number, 9, channels) if channels > 1 else (6 + number, 9)
            values = rng.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(values).save(root / name / f"{number}.png")
    return root


def test_a_folder_is_read_as_it_was_for_training(photos):
    notes = []
    raw = read_image_folder(list_class_folders(photos), DataOptions(image_size=(4, 5)))
    inputs, files = read_pictures(photos, raw.pictures, notes.append)
    np.testing.assert_array_equal(inputs, raw.inputs.astype(np.float32))
    assert inputs.dtype == np.float32
    assert files[:2] == ("a/0.png", "a/1.png")
    assert notes == [f"{photos}: {found.message} [{found.code}]" for found in raw.findings]
    assert len(notes) == 3
    flat, files = read_pictures(photos / "b", raw.pictures, notes.append)
    np.testing.assert_array_equal(flat, inputs[6:])
    assert files[0] == "0.png"
    single, files = read_pictures(photos / "b" / "3.png", raw.pictures, notes.append)
    np.testing.assert_array_equal(single, inputs[9:10])
    assert files == ()


def test_a_model_that_scales_nothing_refuses_other_sizes_and_colours(photos):
    form = form_of({}, (6, 9, 1), "m")
    assert form == PictureForm(Size(6, 9, 1))
    pixels, _ = read_pictures(photos / "a" / "0.png", form, print)
    assert pixels.shape == (1, 6, 9, 1)
    for name, message in (("1", "is a colour picture; expected grey"), ("5", "is 9x11 pixels;")):
        with pytest.raises(DatasetError, match=f"{name}.png {message}"):
            read_pictures(photos / "a" / f"{name}.png", form, print)


def test_metadata_of_another_model_are_refused():
    assert form_of(FORM.as_dict(), (4, 5, 3), "m") == FORM
    for metadata in (FORM.as_dict() | {"height": 9}, {"height": "x"}, {"size": 3}):
        with pytest.raises(InputError, match=r"m was trained on images of shape \[4, 5, 3\], but"):
            form_of(metadata, (4, 5, 3), "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "a" / "x.md").touch(), "a/x.md cannot be read here; expected only"),
        (lambda root: (root / "a" / "x.txt").touch(), "a/x.txt cannot be read here; expected only"),
        (lambda root: Image.new("L", (2, 2)).save(root / "x.png"), "holds x.png and the folder a;"),
        (lambda root: (root / "a").rename(root / "train"), "holds the folder 'train', a part of"),
        (lambda root: (root / "a" / "x.png").write_text("x"), "x.png cannot be read as a picture"),
        (lambda root: (root / "a" / "x.png").symlink_to("/etc/hostname"), "a link that leads out"),
    ],
)
def test_folders_that_cannot_be_used_are_named(photos, change, message):
    change(photos)
    with pytest.raises(DatasetError, match=re.escape(message)):
        read_pictures(photos, FORM, print)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / ".hidden.png").touch()
    with pytest.raises(DatasetError, match=r"holds no files; expected .png"):
        read_pictures(tmp_path, FORM, print)


def test_what_is_read_as_pictures_is_told_by_the_name(tmp_path):
    assert is_pictures(tmp_path)
    assert is_pictures(tmp_path / "x.JPG")
    assert not is_pictures(tmp_path / "x.csv")
