"""A folder of texts per class: what is read, what stays sealed, and what each refusal says."""

import pytest

from pipeline.datasets import SelectionLock, load
from pipeline.datasets.text_encoding import texts_of
from pipeline.datasets.user import text_folders
from pipeline.datasets.user.class_folders import list_class_folders
from pipeline.datasets.user.text_folders import read_text_folder
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def reviews(tmp_path):
    root = tmp_path / "reviews"
    for number in range(10):
        write(root / "good" / f"{number}.txt", f"fine film number{number}")
        write(root / "bad" / f"{number}.txt", f"dull film number{number}, bad")
    return root


def test_texts_come_by_class_and_name(reviews):
    write(reviews / "bad" / "99.TXT", "...")
    write(reviews / "readme.md", "no example")
    raw = read_text_folder(list_class_folders(reviews), DataOptions())
    assert (raw.kind, raw.class_names) == ("multi_hot", ("bad", "good"))
    texts = texts_of(raw.inputs, "text")
    assert texts[0] == "dull film number0, bad"
    assert texts[-1] == "fine film number9"
    assert raw.labels.tolist() == [0] * 11 + [1] * 10
    (finding,) = raw.findings
    assert finding.code == "wordless"
    assert finding.message == f"1 text holds no word, first {reviews / 'bad' / '99.TXT'}"


def test_the_vocabulary_is_that_of_the_training_part(reviews):
    dataset = load(DatasetSpec(str(reviews)))
    assert (dataset.kind, dataset.name) == ("multi_hot", "reviews")
    numbers = [word for word in dataset.encoding.words if word.startswith("number")]
    assert set(dataset.encoding.words) - set(numbers) == {"film", "fine", "dull", "bad"}
    assert 6 <= len(numbers) < 10 or len(numbers) == 10
    assert dataset.input_shape == (1 + len(dataset.encoding.words),)
    assert dataset.train.inputs.format == "csr"
    test = dataset.test.read(SelectionLock("r"))
    assert test.inputs.shape == (4, *dataset.input_shape)


def test_a_test_folder_is_checked_before_and_read_only_with_the_lock(reviews, tmp_path):
    root = tmp_path / "parts"
    root.mkdir()
    reviews.rename(root / "train")
    for name in ("good", "bad"):
        write(root / "test" / name / "1.txt", "a fine film")
    (root / "test" / "good" / "1.txt").write_bytes(b"\xff")
    with pytest.raises(DatasetError, match=r"test/good/1.txt is no text in UTF-8"):
        load(DatasetSpec(str(root)))
    write(root / "test" / "good" / "1.txt", "a fine film")
    dataset = load(DatasetSpec(str(root)))
    assert dataset.split_sizes["test"] == 2
    write(root / "test" / "good" / "1.txt", "fine")
    part = dataset.test.read(SelectionLock("r"))
    assert part.labels.tolist() == [0, 1]
    assert part.inputs[[0], :].sum() == 2
    assert part.inputs[[1], :].sum() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "good" / "0.txt").write_bytes(b"\xe4"), "good/0.txt is no text in"),
        (lambda root: (root / "good" / "0.jpg").write_bytes(b""), "0.jpg is a picture, .*0.txt a"),
        (
            lambda root: (root / "good" / "0.doc").write_bytes(b""),
            "0.doc is no picture and no text",
        ),
        (lambda root: (root / "good" / "z.txt").symlink_to("/etc/hostname"), "link that leads out"),
    ],
)
def test_refusals_name_the_file(reviews, change, message):
    change(reviews)
    with pytest.raises(DatasetError, match=message):
        load(DatasetSpec(str(reviews)))


def test_options_of_other_data_are_refused(reviews):
    with pytest.raises(
        DatasetError, match=r"--image-size is for pictures, but .* is a folder of te"
    ):
        load(DatasetSpec(str(reviews), options=DataOptions(image_size=(8, 8))))


def test_texts_beyond_memory_are_refused_by_their_sizes(reviews, monkeypatch):
    monkeypatch.setattr("pipeline.datasets.limits.available_bytes", lambda: 3 * 100)
    with pytest.raises(DatasetError, match=r"20 texts, needs 0.0 MiB in memory"):
        text_folders.read_text_folder(list_class_folders(reviews), DataOptions())
