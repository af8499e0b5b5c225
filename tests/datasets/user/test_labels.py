"""Label values become the same classes from every file; missing ones and quantities are refused."""

import csv
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.datasets import load_diabetes

from pipeline.datasets import load
from pipeline.datasets.user.labels import differing_in_case, read_labels
from pipeline.datasets.user.tables import read_table
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec

RNG = np.random.default_rng(0)


def write(path, labels):
    """Writes a feature and these labels, as the ending says."""
    labels = list(labels)
    x = RNG.normal(size=len(labels))
    if path.suffix == ".npz":
        np.savez(path, x=x[:, None], y=np.array(labels))
    elif path.suffix == ".parquet":
        parquet.write_table(pa.table({"a": x, "label": labels}), path)
    else:
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["a", "label"])
            rows.writerows(zip(x, ["" if v is None else v for v in labels], strict=True))
    return path


ENDINGS = (".csv", ".parquet", ".npz")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([True, False], ("False", "True")),
        (["true", "FALSE"], ("False", "True")),
        ([2, 1], ("1", "2")),
        ([2.0, 1.0], ("1", "2")),
        (["2.0", "1"], ("1", "2")),
        (["10", "9"], ("9", "10")),
        ([0.5, 1.0], ("0.5", "1.0")),
        (["b", "a "], ("a", "b")),
        (["APAC", "NA"], ("APAC", "NA")),
        (["a", "1"], ("1", "a")),
    ],
)
def test_the_same_classes_from_every_file(tmp_path, ending, values, names):
    dataset = load(DatasetSpec(str(write(tmp_path / f"mine{ending}", values * 20))))
    assert dataset.class_names == names


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("missing", ["nan", "NaN", "null", "", " ", None])
def test_a_missing_label_is_refused_with_its_row(tmp_path, ending, missing):
    labels = ["a", "b"] * 10
    labels[6] = missing
    if ending == ".npz" and missing is None:
        labels = np.array(labels, dtype=object).astype(str)
    place = "example 6" if ending == ".npz" else "row 7"
    with pytest.raises(DatasetError, match=place):
        load(DatasetSpec(str(write(tmp_path / f"mine{ending}", labels))))


def test_nan_beside_nan_is_refused_in_an_archive(tmp_path):
    labels = ["NaN", "nan", "a", "b"] * 10
    with pytest.raises(DatasetError, match="holds 'NaN' in example 0, which means a missing label"):
        load(DatasetSpec(str(write(tmp_path / "mine.npz", labels))))


def test_the_remedy_for_an_object_array_works(tmp_path):
    labels = np.array(["cat", "dog"] * 20, dtype=object)
    path = tmp_path / "mine.npz"
    np.savez(path, x=np.zeros((40, 2)), y=labels)
    with pytest.raises(DatasetError, match=r"Save np\.asarray\(y, str\), or an array of numbers"):
        load(DatasetSpec(str(path)))
    np.savez(path, x=np.zeros((40, 2)), y=np.asarray(labels, str))
    assert load(DatasetSpec(str(path))).class_names == ("cat", "dog")


def drawn(values, counts):
    return np.repeat(values, counts).tolist()


def normal(low, high, mean, deviation, size):
    found = RNG.normal(mean, deviation, size).round().astype(int)
    return found[(found >= low) & (found <= high)].tolist()


ABALONE = dict(
    zip(
        [*range(1, 28), 29],
        [
            *(1, 1, 15, 57, 115, 259, 391, 568, 689, 634, 487, 267, 203, 126),
            *(103, 67, 58, 42, 32, 26, 14, 6, 9, 2, 1, 1, 2, 1),
        ],
        strict=True,
    )
)  # the rings of 4,177 abalones
REGRESSIONS = {
    "abalone": drawn(list(ABALONE), list(ABALONE.values())),
    "abalone without a gap": drawn(list(range(1, 29)), list(ABALONE.values())),
    "diabetes": load_diabetes().target.tolist(),
    "years": RNG.integers(1990, 2022, 3000).tolist(),
    "ages": normal(17, 90, 38, 13, 20_000),
    "scores": normal(0, 100, 60, 15, 5000),
    "prices in hundreds": (100 * RNG.integers(20, 90, 2000)).tolist(),
    "counts": RNG.geometric(0.08, 3000).tolist(),
    "floats": (RNG.integers(0, 40, 500) / 10).tolist(),
}
CLASSES = {
    "digits": list(range(10)) * 20,
    "ratings": [3] * 10 + [5] * 681 + [6] * 638 + [7] * 199 + [8] * 18 + [4] * 53,
    "cifar100": list(range(100)) * 20,
    "from one": list(range(1, 103)) * 8,
    "a LabelEncoder's, by name": drawn(list(range(46)), RNG.permutation(46) ** 2 + 5),
    "a LabelEncoder's, by frequency": drawn(list(range(60)), (4000 / np.arange(1, 61)).astype(int)),
    "few of many": list(range(300)) * 3,
    "post codes": drawn(sorted(RNG.choice(90_000, 60, replace=False).tolist()), [30] * 60),
    "300 texts": [f"class {i}" for i in range(300)] * 3,
    "doses": [0.5, 1.0, 2.5] * 20,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", REGRESSIONS)
def test_what_looks_like_a_regression_is_refused_unless_the_user_insists(tmp_path, ending, name):
    path = write(tmp_path / f"mine{ending}", REGRESSIONS[name])
    message = "look like targets of a regression; expected classes. --classes takes them for class"
    with pytest.raises(DatasetError, match=message):
        load(DatasetSpec(str(path)))
    insisting = DatasetSpec(str(path), options=DataOptions(classes=True))
    assert load(insisting).num_classes == len(set(REGRESSIONS[name]))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_not(tmp_path, ending, name):
    path = write(tmp_path / f"mine{ending}", CLASSES[name])
    assert load(DatasetSpec(str(path))).num_classes == len(set(CLASSES[name]))


def test_the_refusal_says_what_was_seen(tmp_path):
    labels = REGRESSIONS["years"]
    with pytest.raises(DatasetError) as caught:
        load(DatasetSpec(str(write(tmp_path / "mine.csv", labels))))
    assert str(caught.value).endswith(
        "column 'label' holds 32 whole numbers from 1990 to 2021 that fill their range in steps of"
        " 1, which look like targets of a regression; expected classes. --classes takes them for"
        " classes nevertheless; or put them into a few ranges, each a class."
    )


def test_a_class_per_example_is_refused_even_then(tmp_path):
    path = write(tmp_path / "mine.csv", range(40))
    with pytest.raises(DatasetError, match="has 40 classes in 40 examples"):
        load(DatasetSpec(str(path), options=DataOptions(classes=True)))


def test_spellings_of_one_number_are_counted_together():
    values = [str(i) for i in range(25)] + [f"{i}.0" for i in range(25)]
    codes = np.repeat(np.arange(50), 6)
    classes, labels = read_labels(values, codes, "here")
    assert len(classes.names) == 25
    np.testing.assert_array_equal(np.bincount(labels), [12] * 25)


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (("Yes", "no", "yes"), ["Yes", "yes"]),
        (("New York", "New  York", "Newark"), ["New  York", "New York"]),
        (("Straße", "STRASSE"), ["STRASSE", "Straße"]),
        (("1.1", "1.10", "1.2"), ["1.1", "1.10"]),
        (("1", "1.0", "b"), ["1", "1.0"]),
        (("1000000000000000000", "1000000000000000001"), []),
        (("1e99999999999999999999", "1"), []),
        (("a", "b"), []),
    ],
)
def test_names_that_are_probably_one(names, alike):
    assert differing_in_case(names) == alike


def test_decimals_of_parquet_are_classes_where_they_are_whole(tmp_path):
    x = np.arange(24.0) ** 2
    for kind in (pa.decimal128(5, 2), pa.decimal256(40, 1)):
        labels = pa.array([Decimal(i % 3) for i in range(24)]).cast(kind)
        parquet.write_table(pa.table({"a": x, "label": labels}), tmp_path / "mine.parquet")
        raw = read_table(tmp_path / "mine.parquet")
        assert raw.class_names == ("0", "1", "2")
        np.testing.assert_array_equal(raw.labels, np.arange(24) % 3)
    doses = pa.array([Decimal("1.5"), Decimal("2.0")] * 12)
    parquet.write_table(pa.table({"a": x, "label": doses}), tmp_path / "mine.parquet")
    assert read_table(tmp_path / "mine.parquet").class_names == ("1.5", "2.0")
    prices = pa.array([Decimal(i) / 4 for i in range(24)])
    parquet.write_table(pa.table({"a": x, "label": prices}), tmp_path / "mine.parquet")
    with pytest.raises(DatasetError, match="look like targets of a regression"):
        read_table(tmp_path / "mine.parquet")


def test_a_letter_of_two_code_points_is_the_letter(tmp_path):
    names = ["ka\u0308fer" if i % 4 else "k\u00e4fer" for i in range(24)]
    labels = [name if i % 2 else "bug" for i, name in enumerate(names)]
    rows = "".join(f"{i * i},{label}\n" for i, label in enumerate(labels))
    (tmp_path / "mine.csv").write_text(f"a,label\n{rows}", "utf-8")
    assert read_table(tmp_path / "mine.csv").class_names == ("bug", "k\u00e4fer")
