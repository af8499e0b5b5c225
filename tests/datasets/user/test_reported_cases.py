"""Files as people bring them, from public reports: the values that come of them."""

import csv
import io
import time

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from pipeline.datasets import SelectionLock, as_lines, describe, load
from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.user.class_folders import list_class_folders
from pipeline.datasets.user.image_folders import read_image_folder
from pipeline.datasets.user.npz import read_npz
from pipeline.datasets.user.tables import read_table
from pipeline.errors import DatasetError, InputError
from pipeline.predict.inputs import Entrance, read_inputs
from pipeline.predict.table_inputs import read_raw_inputs
from pipeline.records import DataOptions, DatasetSpec

N = 60
X = np.random.default_rng(0).normal(size=(N, 2)).round(4)
ENDINGS = (".csv", ".parquet", ".npz")


def save(path, labels, names=("a", "b", "label")):
    """Writes two features and these labels, in turns; returns the labels of the rows."""
    labels = [labels[row % len(labels)] for row in range(N)]
    if path.suffix.lower() == ".npz":
        with path.open("wb") as file:
            np.savez(file, x=X, y=np.array(labels))
    elif path.suffix.lower() == ".parquet":
        parquet.write_table(pa.table([*X.T, labels], names=list(names)), path)
    else:
        path.write_text(
            text_of([[*row, label] for row, label in zip(X, labels, strict=True)], names), "utf-8"
        )
    return labels


def text_of(rows, names):
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([names, *rows])
    return buffer.getvalue()


def read(path):
    return read_npz(path) if path.suffix.lower() == ".npz" else read_table(path)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])
@pytest.mark.parametrize(
    ("labels", "row"),
    [(("1", "2", "NA"), 3), (("1.5", "?", "2.5"), 2), (("TRUE", "FALSE", "#N/A"), 3)],
)
def test_gaps_beside_numbers_are_missing_labels(tmp_path, ending, labels, row):
    """R writes NA: it was a class of its own."""
    path = tmp_path / f"mine{ending}"
    save(path, labels)
    place = f"example {row - 1}" if ending == ".npz" else f"row {row}"
    with pytest.raises(
        DatasetError, match=rf"holds '{labels[row - 1].replace('?', '.')}' in {place}, which means"
    ):
        read(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("labels", [("+", "-"), ("EUR", "NA"), ("1", "NA", "b"), ("n/a", "yes")])
def test_gaps_beside_words_are_classes(tmp_path, ending, labels):
    path = tmp_path / f"mine{ending}"
    written = save(path, labels)
    raw = read(path)
    assert [raw.class_names[label] for label in raw.labels] == written


def test_a_class_na_of_words_may_stand_alone_in_the_test_part(tmp_path):
    words = np.array(["1", "NA", "b"] * 20)
    np.savez(tmp_path / "mine.npz", x_train=X, y_train=words, x_test=X[:2], y_test=["NA", "1"])
    dataset = load(DatasetSpec(str(tmp_path / "mine.npz")))
    assert dataset.test.read(SelectionLock("r")).labels.tolist() == [1, 0]
    np.savez(
        tmp_path / "mine.npz",
        x_train=X,
        y_train=["1", "2"] * 30,
        x_test=X[:2],
        y_test=["1", "NA"],
    )
    with pytest.raises(DatasetError, match="'y_test' holds 'NA' in example 1, which means a missi"):
        load(DatasetSpec(str(tmp_path / "mine.npz")))


@pytest.mark.parametrize("ending", ENDINGS)
def test_house_prices_in_text_are_a_regression(tmp_path, ending):
    prices = [f"{5 + place % 243 / 5:.1f}" for place in range(506)]
    assert len(set(prices)) == 243
    x = np.random.default_rng(0).normal(size=506)
    path = tmp_path / f"mine{ending}"
    if ending == ".npz":
        np.savez(path, x=x[:, None], y=np.array(prices))
    elif ending == ".parquet":
        parquet.write_table(pa.table({"a": x, "label": prices}), path)
    else:
        path.write_text(text_of(zip(x, prices, strict=True), ["a", "label"]))
    with pytest.raises(
        DatasetError, match=r"holds 243 numbers such as '.*look like targets of a r"
    ):
        read(path)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("a", "a ", "b"), ("a", "b")),
        ((False, True), ("False", "True")),
        ((-1, 1), ("-1", "1")),
        ((10**18, 10**18 + 1), ("1000000000000000000", "1000000000000000001")),
        (("u,v", 'w;"x"'), ("u,v", 'w;"x"')),
        (("a:b[0]{}", "a:b[1]{}"), ("a:b[0]{}", "a:b[1]{}")),
        (("Österreich", "Côte d'Ivoire"), ("Côte d'Ivoire", "Österreich")),
    ],
)
def test_odd_labels_stay_apart_and_with_their_rows(tmp_path, ending, labels, names):
    path = tmp_path / f"mine{ending}"
    written = save(path, labels)
    raw = read(path)
    assert raw.class_names == names
    assert [raw.class_names[label] for label in raw.labels] == [str(v).strip() for v in written]
    np.testing.assert_array_equal(raw.inputs, X.astype(np.float32))


@pytest.mark.parametrize("ending", ENDINGS)
def test_three_hundred_classes_of_a_hundred_letters(tmp_path, ending):
    names = [f"{'ä' * 97}{number:03}" for number in range(300)]
    labels = names * 3
    x = np.arange(900.0) ** 1.5
    path = tmp_path / f"mine{ending}"
    if ending == ".npz":
        np.savez(path, x=x[:, None], y=np.array(labels))
    elif ending == ".parquet":
        parquet.write_table(pa.table({"a": x, "label": labels}), path)
    else:
        path.write_text(text_of(zip(x, labels, strict=True), ["a", "label"]), "utf-8")
    raw = read(path)
    assert raw.class_names == tuple(names)
    np.testing.assert_array_equal(raw.labels, np.arange(900) % 300)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "names", [("Country", "country"), ('a:b[0]{"x"}', "b,c"), ("größe", "x y"), ("%", "/")]
)
def test_odd_names_of_columns_are_names(tmp_path, ending, names):
    path = tmp_path / f"mine{ending}"
    save(path, (0, 1), (*names, "label"))
    dataset = load(DatasetSpec(str(path)))
    assert dataset.columns.features == names
    turned = tmp_path / f"new{ending}"
    if ending == ".csv":
        turned.write_text(text_of([[5, 2.5, 1.5]], ["more", *names[::-1]]), "utf-8")
    else:
        parquet.write_table(pa.table([[5], [2.5], [1.5]], names=["more", *names[::-1]]), turned)
    found = read_inputs(turned, Entrance("features", (2,), names=names))
    assert found.tolist() == [[1.5, 2.5]]


def test_the_first_line_is_a_header_for_predict_as_for_search(tmp_path):
    text = "1,2,3,label\n" + "".join(f"{i % 2 > 0},{i * i},{i % 7},{i % 2}\n" for i in range(N))
    (tmp_path / "mine.csv").write_text(text.replace("True", "true").replace("False", "false"))
    raw = read_table(tmp_path / "mine.csv")
    assert raw.columns.features == ("1", "2", "3")
    entrance = Entrance("features", (3,), names=raw.columns.features)
    found = read_inputs(tmp_path / "mine.csv", entrance)
    np.testing.assert_array_equal(found, [[i % 2, i * i, i % 7] for i in range(N)])
    (tmp_path / "new.csv").write_text("3,2,1\n6,5,4\n")
    assert read_inputs(tmp_path / "new.csv", entrance).tolist() == [[4, 5, 6]]


def test_whole_numbers_of_training_may_be_decimal_in_predict(tmp_path):
    columns = (RawColumn("code", "category", "number"), RawColumn("x", "number"))
    found = []
    for text in ("code,x\n0,1\n1,0\n", "x,code\n1.0,0.0\n0.0,1.0\n"):
        (tmp_path / "new.csv").write_text(text)
        found.append(read_raw_inputs(tmp_path / "new.csv", columns, print))
    assert found[0]["code"].tolist() == found[1]["code"].tolist() == [["0"], ["1"]]
    assert found[0]["x"].tolist() == found[1]["x"].tolist() == [[1], [0]]


def test_an_empty_text_gets_no_class(tmp_path):
    tokens = Entrance("tokens", (None,), num_words=20)
    np.save(tmp_path / "x.npy", np.array([[7, 3], [0, 0]]))
    (tmp_path / "x.jsonl").write_text("[3]\n[0]\n")
    for name in ("x.npy", "x.jsonl"):
        with pytest.raises(InputError, match=r"example 1 holds padding \(0\) alone, of which noth"):
            read_inputs(tmp_path / name, tokens)


def test_what_is_the_label_is_told_where_a_dataset_is_shown(tmp_path):
    rows = [[i % 5, i * i, i % 3] for i in range(N)]
    (tmp_path / "mine.csv").write_text(text_of(rows, ["survived", "age", "sibsp"]))
    options = DataOptions(label="survived")
    dataset = load(DatasetSpec(str(tmp_path / "mine.csv"), options=options))
    assert "label 'survived' (5 classes); features (2): age, sibsp" in as_lines(describe(dataset))


def test_float64_images_with_float64_labels(tmp_path):
    images = np.random.default_rng(0).random((N, 5, 6, 3))
    np.savez(tmp_path / "mine.npz", x=images, y=np.arange(N) % 3 * 1.0)
    raw = read_npz(tmp_path / "mine.npz")
    assert (raw.kind, raw.class_names) == ("image", ("0", "1", "2"))
    np.testing.assert_array_equal(raw.inputs, images.astype(np.float32))
    np.testing.assert_array_equal(raw.labels, np.arange(N) % 3)


@pytest.mark.parametrize("name", ["MINE.CSV", "Mine.Parquet", "mine.NPZ"])
def test_endings_may_be_in_capitals(tmp_path, name):
    save(tmp_path / name, ("a", "b"))
    dataset = load(DatasetSpec(str(tmp_path / name)))
    assert (dataset.class_names, dataset.input_shape) == (("a", "b"), (2,))


def test_class_folders_with_blanks_and_umlauts_and_endings_in_capitals(tmp_path):
    for place, name in enumerate(("Füchse & Bären", "zwei Wörter")):
        (tmp_path / name).mkdir()
        for number, ending in enumerate((".PNG", ".Png", ".BMP")):
            picture = Image.new("L", (6, 5), 10 * place + number)
            picture.save(tmp_path / name / f"{number}{ending}")
        (tmp_path / name / "Thumbs.db").touch()
        (tmp_path / name / ".DS_Store").touch()
    raw = read_image_folder(list_class_folders(tmp_path))
    assert raw.class_names == ("Füchse & Bären", "zwei Wörter")
    assert raw.inputs[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]
    assert raw.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_byte_order_mark_with_ends_of_lines_of_windows_and_commas_in_quotes(tmp_path):
    rows = [[f"{i % 3},x", i * i, f"{'uv'[i % 2]},w"] for i in range(N)]
    text = "\ufeff" + text_of(rows, ["kind, of it", "b", "label"]).replace("\n", "\r\n")
    (tmp_path / "mine.csv").write_text(text, "utf-8", newline="")
    raw = read_table(tmp_path / "mine.csv")
    assert raw.columns.features == ("kind, of it", "b")
    assert raw.inputs.columns["kind, of it"].distinct == ("0,x", "1,x", "2,x")
    assert raw.class_names == ("u,w", "v,w")
    np.testing.assert_array_equal(raw.labels, np.arange(N) % 2)


@pytest.mark.slow
def test_two_hundred_rows_of_ten_thousand_columns(tmp_path):
    rng, labels = np.random.default_rng(0), np.arange(200) % 2
    rows = np.column_stack([rng.normal(size=(200, 10_000)).round(3), labels]).tolist()
    names = [f"c{place}" for place in range(10_000)]
    (tmp_path / "wide.csv").write_text(text_of(rows, [*names, "label"]))
    start = time.process_time()
    dataset = load(DatasetSpec(str(tmp_path / "wide.csv")))
    assert time.process_time() - start < 40
    assert dataset.input_shape == (10_000,)
    assert dataset.columns.features == tuple(names)


@pytest.mark.parametrize("cell", ["007", "1.50", "True", "2020-01-01 10:00", "A12", "1e3", "1.061"])
def test_a_word_is_the_same_alone_and_beside_others(tmp_path, cell):
    columns = [RawColumn("code", "category")]
    found = []
    for cells in ([cell, "A12", "x"], [cell, cell], [cell]):
        (tmp_path / "new.csv").write_text("code,w\n" + "".join(f"{one},1\n" for one in cells))
        found.append(read_raw_inputs(tmp_path / "new.csv", columns, print)["code"][0, 0])
    assert len(set(found)) == 1
    if cell not in ("True", "2020-01-01 10:00"):
        assert found[0] == cell


def test_words_of_large_whole_numbers_stay_apart(tmp_path):
    rows = "".join(f"{2**60 + number % 4},{number % 7},{number % 2}\n" for number in range(80))
    (tmp_path / "mine.csv").write_text(f"acct,size,label\n{rows}")
    options = DataOptions(categorical=("acct",))
    raw = read_table(tmp_path / "mine.csv", options)
    assert [one.distinct for one in raw.columns.types if one.name == "acct"] == [4]


@pytest.mark.parametrize("cell", ["1_000", "\u0661"])
def test_what_python_alone_takes_for_a_number_is_a_word(tmp_path, cell):
    (tmp_path / "new.csv").write_text(f"code\n{cell}\n7\n")
    columns = [RawColumn("code", "category", "number")]
    assert read_raw_inputs(tmp_path / "new.csv", columns, print)["code"][0, 0] == cell
