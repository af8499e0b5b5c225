"""The user's own .npz: what is accepted, and what each refusal says."""

import numpy as np
import pytest

from pipeline.datasets import SelectionLock, load
from pipeline.datasets.user.npz import read_npz
from pipeline.errors import DatasetError, SealedTestError
from pipeline.records import DatasetSpec

X = np.random.RandomState(0).normal(size=(40, 3))
Y = np.arange(40) % 4
LOCK = SelectionLock("r")


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return tmp_path / "mine.npz"

    return write


def test_features_become_float32_and_are_split_60_20_20(save):
    dataset = load(DatasetSpec(str(save(x=X, y=Y))))
    assert (dataset.name, dataset.kind, dataset.input_shape) == ("mine", "features", (3,))
    assert dataset.split_sizes == {"train": 24, "validation": 8, "test": 8}
    assert dataset.train.inputs.dtype == np.float32
    assert dataset.train.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("shape", "dtype", "expected", "kept"),
    [
        ((40, 5, 6), np.uint8, (5, 6, 1), np.uint8),
        ((40, 5, 6, 3), np.uint8, (5, 6, 3), np.uint8),
        ((40, 5, 6, 3), np.float64, (5, 6, 3), np.float32),
        ((40, 5, 6), bool, (5, 6, 1), np.float32),
    ],
)
def test_images_keep_bytes_and_get_a_channel_axis(save, shape, dtype, expected, kept):
    raw = read_npz(save(x=np.zeros(shape, dtype), y=Y))
    assert (raw.kind, raw.inputs.shape[1:], raw.inputs.dtype) == ("image", expected, kept)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (Y * 10 - 7, ("-7", "3", "13", "23")),
        (np.array(["d", "b", "a", "c"])[Y], ("a", "b", "c", "d")),
        (Y[:, None], ("0", "1", "2", "3")),
        (Y > 1, ("False", "True")),
        (Y * 1.0, ("0", "1", "2", "3")),
        ((Y * 5).astype("U"), ("0", "5", "10", "15")),
        (np.array(["é 'x'", '"ü"'])[Y % 2], ('"ü"', "é 'x'")),
    ],
)
def test_labels_become_classes_from_zero_with_their_names(save, values, names):
    raw = read_npz(save(x=X, y=values))
    assert raw.class_names == names
    assert [raw.class_names[label] for label in raw.labels] == [
        str(v).removesuffix(".0") for v in values.ravel()
    ]


def test_an_official_test_part_stays_sealed_until_the_lock(save):
    parted = {"x_train": X, "y_train": Y * 2, "x_test": X[:7], "y_test": Y[:7] * 2}
    path = save(**parted)
    dataset = load(DatasetSpec(str(path)))
    assert dataset.split_sizes == {"train": 32, "validation": 8, "test": 7}
    np.testing.assert_array_equal(dataset.test.read(LOCK).labels, Y[:7])
    np.testing.assert_allclose(dataset.test.read(LOCK).inputs, X[:7], rtol=1e-6)


TEST = {"x_train": X, "y_train": Y, "x_test": X[:7], "y_test": Y[:7]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_test": np.full((7, 3), np.nan)}, "'x_test' holds values that are not finite"),
        ({"y_test": np.full(7, 9)}, r"'y_test' has the classes \['9'\], which the training part"),
        (
            {"y_test": np.where(Y[:7], Y[:7], np.nan)},
            "'y_test' holds nan in example 0, which means",
        ),
        ({"y_test": Y[:7].astype(object)}, r"Save np.asarray\(y_test, str\), or an array of numb"),
    ],
)
def test_what_is_wrong_with_the_test_part_is_refused_before_a_search(save, changed, message):
    with pytest.raises(DatasetError, match=message):
        load(DatasetSpec(str(save(**TEST | changed))))


def test_checking_the_test_part_keeps_nothing_of_it(save):
    dataset = load(DatasetSpec(str(save(**TEST | {"x_test": X[:7] + 0.5}))))
    with pytest.raises(SealedTestError):
        len(dataset.test)
    assert not [finding for finding in dataset.findings if "test" in finding.message]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int16])
def test_test_examples_that_training_has_are_told(save, kind):
    whole = np.arange(X.size).reshape(X.shape).astype(np.float32)
    held = {"x_train": whole, "y_train": Y, "x_test": whole[:7].astype(kind), "y_test": Y[:7]}
    held["x_test"][:3] += kind(500)
    dataset = load(DatasetSpec(str(save(**held))))
    (found,) = [one.message for one in dataset.findings if one.code == "repeated_test"]
    assert found.startswith("4 of 7 test examples equal training or validation examples in every")


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        (Y * 1.0, Y[:7], Y[:7]),
        (Y.astype(str), Y[:7], Y[:7]),
        (np.array(["1", "b"])[Y % 2], np.array([1, 1]), [0, 0]),
        (np.array(["1", "b"])[Y % 2], np.array(["1", "1 "]), [0, 0]),
        (Y / 2, np.array([1, 0]), [2, 0]),
        (Y % 2 == 1, np.array(["true", "False"]), [1, 0]),
    ],
)
def test_a_class_of_the_test_part_is_that_of_train_however_it_is_written(
    save, train, test, expected
):
    path = save(x_train=X, y_train=train, x_test=X[: len(test)], y_test=test)
    assert load(DatasetSpec(str(path))).test.read(LOCK).labels.tolist() == list(expected)


def test_longer_text_labels_in_test_are_not_cut_to_a_known_class(save):
    names = np.array(["cat", "dog"])[np.arange(40) % 2]
    path = save(x_train=X, y_train=names, x_test=X[:2], y_test=np.array(["cat", "category"]))
    with pytest.raises(DatasetError, match=r"\['category'\]"):
        load(DatasetSpec(str(path)))


REFUSED = [
    (
        {"x": np.array([[1, 2], [3]] * 20, dtype=object), "y": Y},
        "'x' is an object array, stored as a pickle, which could run any code",
    ),
    (
        {"x": X, "y": np.array(["a", None] * 20, dtype=object)},
        r"'y' is an object array, stored as a pickle, .* Save np.asarray\(y, str\), or",
    ),
    ({"x": X, "y": Y[:-1]}, "40 inputs, but 'y' has 39 labels"),
    ({"x": X, "y": np.zeros(40, int)}, r"'y' has 1 class \['0'\]; expected at least 2"),
    ({"x": X, "y": np.arange(40)}, "'y' has 40 classes in 40 examples; expected two or more"),
    ({"x": np.where(X > 2, np.nan, X), "y": Y}, "'x' holds values that are not finite"),
    ({"x": X * 1e300, "y": Y}, "not finite in float32, first in example 0"),
    ({"x": X, "y": np.eye(4)[Y]}, r"One-hot labels\? Save y.argmax\(axis=1\)"),
    (
        {"x": X, "y": np.arange(40) // 2 * 0.5},
        "'y' holds 20 numbers such as '0.0', which look like targets of a regression; expected"
        " classes. --classes takes them for classes nevertheless",
    ),
    ({"x": X, "y": np.where(Y, Y, np.nan)}, "'y' holds nan in example 0, which means a missing"),
    ({"x": X, "y": np.where(Y, Y, np.inf)}, r"'y' holds inf, which is no class"),
    ({"x": X, "y": np.full(40, b"a")}, r"'y' has dtype \|S1; .* y.astype\(str\) if they are bytes"),
    ({"x": X, "y": np.where(Y, "a", " ")}, "'y' holds ' ' in example 0, which means a missing"),
    ({"x": X, "y": np.where(Y, "a\nb", "c")}, r"has the class 'a\\nb', which cannot be a name"),
    ({"x": X, "y": np.where(Y, "a" * 101, "c")}, "expected 1 to 100 printable characters"),
    (
        {"x": X, "y": np.full(40, 0x7FFFFFFF, np.uint32).view("U1")},
        "'y' holds text that is no Unicode",
    ),
    ({"x": X.astype([("a", float)]), "y": Y}, "'x' has dtype .*; expected numbers"),
    ({"x": X[:, 0], "y": Y}, r"One feature\? Save x.reshape\(-1, 1\)"),
    ({"x": np.zeros((40, 2, 2, 2, 2)), "y": Y}, r"shape \(40, 2, 2, 2, 2\); expected \[n, feat"),
    ({"x": np.zeros((0, 3)), "y": Y[:0]}, "not empty"),
    ({"x": np.zeros((40, 3, 32, 32)), "y": Y}, r"channels first.*np.moveaxis\(x, 1, -1\)"),
    ({"x": np.full((40, 3), "a"), "y": Y}, "'x' has dtype <U1; expected numbers"),
    ({"data": X, "target": Y}, r"has the arrays \['data', 'target'\]; expected either 'x' and"),
    ({"x_train": X, "y_train": Y}, r"expected either 'x' and 'y', or all of 'x_train'"),
    (
        {"x": X, "y": Y, "x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
        "has both layouts; expected either",
    ),
    (
        {"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y},
        r"'x_test' has shape \(40, 2\), but 'x_train' has examples of shape \(3,\)",
    ),
    (
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y[:5]},
        r"'x_test' has 40 examples, but 'y_test' has shape \(5,\)",
    ),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED)
def test_refusals_name_file_array_and_remedy(save, arrays, message):
    path = save(**arrays)
    with pytest.raises(DatasetError, match=message) as caught:
        read_npz(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DatasetError, match=r"text.npz cannot be read as a .npz archive"):
        load(DatasetSpec(str(tmp_path / "text.npz")))


@pytest.mark.parametrize("shape", [(40, 1125, 1, 22), (40, 1, 50, 2), (40, 30, 1)])
def test_images_a_pixel_high_or_wide_are_refused(save, shape):
    message = rf"'x' has shape \({', '.join(map(str, shape))}\), which are images one pixel high or"
    with pytest.raises(DatasetError, match=message + r" .*save x.reshape\(len\(x\), -1\)"):
        read_npz(save(x=np.zeros(shape, np.uint8), y=Y))


def test_very_long_images_are_told(save):
    (finding,) = read_npz(save(x=np.zeros((40, 128, 9), np.uint8), y=Y)).findings
    assert finding.code == "shape"
    assert finding.message.startswith("'x' was read as images 128 high and 9 wide (1 channels); if")
    assert read_npz(save(x=np.zeros((40, 72, 9), np.uint8), y=Y)).findings == ()


SECONDS = 1_700_000_000 + 40 * np.arange(40)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_a_feature_that_float32_would_round_away_is_refused(save, kind):
    path = save(x=np.stack([np.arange(40), SECONDS], 1).astype(kind), y=Y)
    with pytest.raises(DatasetError, match=r"a feature \(column 1\) near 17000007.* varies by 462"):
        load(DatasetSpec(str(path)))
    centred = save(x=np.stack([np.arange(40), SECONDS - SECONDS.mean()], 1), y=Y)
    assert load(DatasetSpec(str(centred))).input_shape == (2,)


@pytest.mark.parametrize(
    "column",
    [SECONDS.astype(np.float32), np.full(40, 1e9), 0.1 + np.arange(40) % 2 * 1e-17, X[:, 0] + 1e3],
)
def test_features_that_float32_holds_are_kept(save, column):
    dtype = column.dtype
    path = save(x=np.stack([np.arange(40, dtype=dtype), column], 1), y=Y)
    assert load(DatasetSpec(str(path))).input_shape == (2,)
