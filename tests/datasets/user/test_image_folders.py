"""A folder of pictures per class: what is accepted, and what each refusal says."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import SelectionLock, load
from pipeline.datasets.formats.pixels import PictureForm, Size
from pipeline.datasets.user.class_folders import list_class_folders
from pipeline.datasets.user.image_folders import proposed_size, read_image_folder
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec

LOCK = SelectionLock("r")


def paint(path, value=0, size=(6, 5), mode="L", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)


@pytest.fixture
def pets(tmp_path):
    """Ten grey pictures, 6 wide and 5 high; each has its own value."""
    root = tmp_path / "pets"
    for number in range(5):
        paint(root / "dog" / f"{number}.png", 10 + number)
        paint(root / "cat" / f"{number}.bmp", 20 + number)
    return root


def test_classes_are_folders_and_pictures_come_by_class_and_name(pets):
    raw = read_image_folder(list_class_folders(pets))
    assert (raw.kind, raw.class_names) == ("image", ("cat", "dog"))
    assert (raw.inputs.shape, raw.inputs.dtype) == ((10, 5, 6, 1), np.uint8)
    assert raw.inputs[:, 0, 0, 0].tolist() == [*range(20, 25), *range(10, 15)]
    assert raw.labels.tolist() == [0] * 5 + [1] * 5
    dataset = load(DatasetSpec(f"{pets}/"))
    assert dataset.name == "pets"
    assert dataset.split_sizes == {"train": 6, "validation": 2, "test": 2}


def test_one_colour_picture_makes_all_of_them_colour(pets):
    paint(pets / "dog" / "9.png", (1, 2, 3), mode="RGB")
    raw = read_image_folder(list_class_folders(pets))
    assert raw.inputs.shape == (11, 5, 6, 3)
    assert raw.inputs[-1, 0, 0].tolist() == [1, 2, 3]
    assert raw.inputs[0, 0, 0].tolist() == [20, 20, 20]


def test_numbered_classes_come_in_the_order_of_numbers(tmp_path):
    for name in ("10", "9", "2"):
        for number in range(3):
            paint(tmp_path / name / f"{number}.png", int(name))
    raw = read_image_folder(list_class_folders(tmp_path))
    assert raw.class_names == ("2", "9", "10")
    assert raw.inputs[raw.labels == 2].max() == raw.inputs[raw.labels == 2].min() == 10


def test_a_camera_that_was_turned_is_turned_back(pets):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    lying = Image.new("L", (5, 6))
    lying.paste(250, (3, 0, 5, 6))
    lying.transpose(Image.Transpose.ROTATE_270).save(pets / "dog" / "upright.png")
    lying.save(pets / "dog" / "turned.jpg", exif=exif, quality=100)
    raw = read_image_folder(list_class_folders(pets))
    assert raw.inputs.shape == (12, 5, 6, 1)
    turned, upright = raw.inputs[-2:, ..., 0].astype(int)
    assert abs(turned - upright).max() < 60 < abs(turned[::-1] - upright).max()


def test_what_systems_leave_behind_is_passed_over(pets):
    (pets / "cat" / "Thumbs.db").touch()
    (pets / "cat" / ".DS_Store").touch()
    (pets / "README.txt").touch()
    (pets / "__MACOSX").mkdir()
    assert len(read_image_folder(list_class_folders(pets)).labels) == 10


@pytest.fixture
def parted(tmp_path):
    for part, count in (("train", 5), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                paint(tmp_path / part / name / f"{number}.png", number)
    return tmp_path


def test_a_folder_of_validation_is_read_as_that_part(parted):
    for name, value in (("cat", 7), ("dog", 8), ("dog", 9)):
        paint(parted / "Valid" / name / f"{value}.png", value)
    raw = read_image_folder(list_class_folders(parted))
    assert raw.given_parts.tolist() == [0] * 10 + [1] * 3
    assert raw.inputs[-3:, 0, 0, 0].tolist() == [7, 8, 9]
    assert raw.labels[-3:].tolist() == [0, 1, 1]
    assert (raw.num_test, len(raw.read_test())) == (4, 4)
    dataset = load(DatasetSpec(str(parted)))
    assert dataset.split_sizes == {"train": 10, "validation": 3, "test": 4}
    assert sorted(dataset.validation.inputs[:, 0, 0, 0]) == [7, 8, 9]


def test_train_and_validation_alone_leave_the_test_to_the_split(parted):
    (parted / "test").rename(parted / "val")
    raw = read_image_folder(list_class_folders(parted))
    assert raw.given_parts.tolist() == [0] * 10 + [1] * 4
    assert (raw.num_test, raw.read_test) == (None, None)
    dataset = load(DatasetSpec(str(parted)))
    assert dataset.split_sizes == {"train": 7, "validation": 4, "test": 3}
    assert (dataset.split.validation >= 10).all()
    assert len(dataset.test.read(LOCK)) == 3


def test_a_class_may_be_called_as_a_part_is(pets):
    for number in range(5):
        paint(pets / "train" / f"{number}.png", number)
    assert read_image_folder(list_class_folders(pets)).class_names == ("cat", "dog", "train")


def test_mixed_pictures_become_one_form_and_each_conversion_is_counted(pets):
    for number in range(3):
        paint(pets / "dog" / f"clear{number}.png", (0, 0, 0, 0), (9, 12), mode="RGBA")
    paint(pets / "cat" / "deep.png", 65535, (6, 5), mode="I;16")
    options = DataOptions(image_size=(4, 8), color="grey")
    raw = read_image_folder(list_class_folders(pets), options)
    assert raw.inputs.shape == (14, 4, 8, 1)
    assert raw.inputs[raw.labels == 0, 0, 0, 0].tolist() == [*range(20, 25), 255]
    assert raw.inputs[raw.labels == 1, 0, 0, 0].tolist() == [*range(10, 15), 255, 255, 255]
    assert [(finding.code, finding.message) for finding in raw.findings] == [
        ("16bit", "1 picture of 16 bits was scaled to 8 bits"),
        ("rgba", "3 pictures with transparency (RGBA) were put on white"),
        ("grey", "3 pictures in colour were turned grey"),
        ("scaled", "14 pictures of other sizes were scaled to 4x8, stretched where proportions"
         " differ"),
    ]  # fmt: skip
    assert raw.pictures == PictureForm(Size(4, 8, 1), scaled=True, to_grey=True)
    quiet = load(DatasetSpec(str(pets), options=replace(options, ignore=("scaled", "grey"))))
    codes = [finding.code for finding in quiet.findings]
    assert codes[:2] == ["16bit", "rgba"]
    assert not {"scaled", "grey"} & set(codes)
    assert quiet.pictures == raw.pictures
    colour = read_image_folder(list_class_folders(pets), replace(options, color="rgb"))
    assert colour.inputs.shape == (14, 4, 8, 3)
    assert "rgb" in [finding.code for finding in colour.findings]


def test_the_proposed_size_keeps_proportions_and_is_small():
    assert proposed_size(480, 640) == "--image-size 48x64"
    assert proposed_size(5000, 100) == "--image-size 64x8"
    assert proposed_size(30, 20.5) == "--image-size 30x20"


def test_a_test_folder_stays_sealed_until_the_lock(parted):
    broken = parted / "test" / "cat" / "0.png"
    good = broken.read_bytes()
    broken.write_bytes(good[:44])  # its header is whole
    dataset = load(DatasetSpec(str(parted)))
    assert dataset.split_sizes == {"train": 8, "validation": 2, "test": 4}
    with pytest.raises(DatasetError, match=r"test/cat/0.png cannot be read as a picture \(.+\); e"):
        dataset.test.read(LOCK)
    broken.write_bytes(good)
    assert dataset.test.read(LOCK).labels.tolist() == [0, 0, 1, 1]
    broken.unlink()
    with pytest.raises(DatasetError, match=r"test/cat/0.png cannot be read: No such file"):
        dataset.test.read(LOCK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cat: paint(cat, size=(7, 5)), r"0.png is 7x5 pixels; expected 6x5 like the others"),
        (
            lambda cat: paint(cat, (1, 2, 3), mode="RGB"),
            r"0.png is a colour picture; expected grey",
        ),
        (lambda cat: cat.write_bytes(b""), r"0.png cannot be read as a picture; expected PNG"),
        (
            lambda cat: Image.new("F", (6, 5)).save(cat, "TIFF"),
            r"0.png has pixels of the kind F, who",
        ),
    ],
)
def test_a_test_picture_that_does_not_fit_is_refused_before_a_search(parted, change, message):
    change(parted / "test" / "cat" / "0.png")
    with pytest.raises(DatasetError, match=message):
        load(DatasetSpec(str(parted)))


def test_test_pictures_of_other_sizes_are_scaled_where_all_are(parted):
    paint(parted / "test" / "cat" / "0.png", size=(9, 9))
    dataset = load(DatasetSpec(str(parted), options=DataOptions(image_size=(5, 6))))
    assert dataset.test.read(LOCK).inputs.shape == (4, 5, 6, 1)


def test_copies_of_training_pictures_in_the_test_folder_are_told(parted):
    paint(parted / "test" / "cat" / "0.png", 77)
    dataset = load(DatasetSpec(str(parted)))
    (found,) = [one.message for one in dataset.findings if one.code == "repeated_test"]
    assert found.startswith("3 of 4 test examples equal training or validation examples in every")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: paint(root / "train/dog/9.png", size=(7, 5)),
         r"holds pictures of 2 sizes \(width x height\): 6x5 \(10\), 7x5 \(1\); expected one size. "
         "Scale them by --image-size HEIGHTxWIDTH, such as --image-size 5x6."),
        (lambda root: paint(root / "test/dog/9.png", size=(7, 5)),
         r"test/dog/9.png is 7x5 pixels; expected 6x5 like the others"),
        (lambda root: paint(root / "test/cow/1.png"),
         r"test has the classes \['cow'\], which the training part lacks; expected only \['cat'"),
        (lambda root: (root / "more").mkdir(), r"holds 'train' and 'test', and \['more'\] beside"),
        (lambda root: (root / "train/cow").mkdir(), r"train/cow is empty; expected files of"),
        (lambda root: paint(root / "train/loose.png"),
         r"train holds the picture loose.png itself; expected a folder per class"),
        (lambda root: (root / "train/cat/notes.txt").touch(),
         r"0.png is a picture, .*notes.txt a text; expected only pictures or only texts"),
        (lambda root: (root / "train/cat/notes.md").touch(),
         r"notes.md is no picture and no text; expected only .png"),
        (lambda root: (root / "train/cat/9.png").write_text("text"),
         r"9.png cannot be read as a picture; expected PNG, JPEG, BMP, WebP, TIFF or GIF. Replace"),
        (lambda root: (root / "train/cat/9.png").mkdir(), r"9.png is not a file; expected a pictu"),
        (lambda root: paint(root / "train/cat/9.tif", mode="F"),
         "9.tif has pixels of the kind F, whose range is not known"),
        (lambda root: (root / "train").rename(root / "val"),
         r"holds 'val' and 'test'; expected 'train' and 'test', 'val' or both, with a folder per"),
        (lambda root: paint(root / "valid/cow/1.png"),
         r"valid has the classes \['cow'\], which the"),
        (lambda root: [paint(root / name / "cat/1.png") for name in ("val", "valid")],
         r"holds 'train' and 'val' and 'valid' and 'test'; expected 'train' and 'test', 'val' or"),
        (lambda root: (root / "train/cat/9.png").symlink_to("/etc/hostname"),
         r"9.png is a link that leads out of .*; expected files inside. Copy the files"),
        (lambda root: (root / "train/cat/9.png").symlink_to("9.png"), r"9.png (is a link|cannot)"),
        (lambda root: (root / "train/cat/9.png").symlink_to("gone"), r"gone cannot be read: No"),
        (lambda root: paint(root / "train/a\nb/9.png"), r"has the class 'a\\nb', which cannot be"),
        (lambda root: paint(root / "test/cat/9.png", (1, 2, 3), mode="RGB"),
         r"9.png is a colour picture; expected grey ones like the others"),
    ],
)  # fmt: skip
def test_refusals_name_the_picture_and_the_remedy(parted, change, message):
    change(parted)
    with pytest.raises(DatasetError, match=message) as caught:
        load(DatasetSpec(str(parted))).test.read(LOCK)
    assert str(caught.value).isprintable()


def test_a_class_that_train_lacks_is_found_by_its_folder_alone(parted):
    paint(parted / "test" / "cow" / "1.png")
    with pytest.raises(DatasetError, match="which the training part lacks"):
        load(DatasetSpec(str(parted)))


def test_a_truncated_picture_is_found_when_its_pixels_are_read(pets):
    noisy = pets / "cat" / "0.bmp"
    noisy.write_bytes(noisy.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"0.bmp cannot be read as a picture \(.+\); expected"):
        load(DatasetSpec(str(pets)))


def test_a_link_within_the_folder_and_a_link_to_the_folder_are_fine(pets, tmp_path):
    (pets / "cat" / "again.bmp").symlink_to("0.bmp")
    (tmp_path / "link").symlink_to(pets)
    assert len(read_image_folder(list_class_folders(tmp_path / "link")).labels) == 11


def test_pictures_beyond_memory_are_refused_by_their_headers(pets, monkeypatch):
    monkeypatch.setattr("pipeline.datasets.limits.available_bytes", lambda: 3 * 299)
    with pytest.raises(DatasetError, match=r"10 pictures of 6x5, needs 0.0 MiB in memory"):
        load(DatasetSpec(str(pets)))


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match=r"holds no folders; expected a folder per class"):
        load(DatasetSpec(str(tmp_path)))
