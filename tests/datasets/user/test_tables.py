"""The user's own .csv and .parquet: what is accepted, and what each refusal says."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.datasets import SelectionLock, as_lines, describe, load, spec_of
from pipeline.datasets.formats.parquet_files import read_parquet_table
from pipeline.datasets.formats.table import MAX_COLUMNS
from pipeline.datasets.user.tables import read_table
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec
from pipeline.search.opening import plan_lines
from pipeline.search.options import SearchOptions, prepare

ROWS = [f"{i % 7},{i / 4},{'cat' if i % 2 else 'dog'}" for i in range(20)]
GOOD = "size,weight,label\n" + "\n".join(ROWS) + "\n"


@pytest.fixture
def write(tmp_path):
    def to_file(content, name="mine.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


@pytest.fixture
def save(tmp_path):
    def to_file(**columns):
        parquet.write_table(pa.table(columns), tmp_path / "mine.parquet")
        return tmp_path / "mine.parquet"

    return to_file


def test_a_csv_is_features_and_classes_split_60_20_20(write):
    dataset = load(DatasetSpec(str(write(GOOD))))
    assert (dataset.name, dataset.kind, dataset.input_shape) == ("mine", "features", (2,))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.split_sizes == {"train": 12, "validation": 4, "test": 4}
    assert len(dataset.test.read(SelectionLock("r"))) == 4


def test_values_and_labels_keep_their_rows(write):
    raw = read_table(write(GOOD))
    assert raw.inputs.dtype == np.float32
    np.testing.assert_array_equal(raw.inputs, [[i % 7, i / 4] for i in range(20)])
    np.testing.assert_array_equal(raw.labels, [1, 0] * 10)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        "\ufeff" + GOOD,
        GOOD.replace("dog", '"dog"').replace(",label", ' , "label"').replace('"label', 'label'),
        GOOD.replace(",cat", ", cat "),
        GOOD.replace("\n5,", "\n 5 ,").replace("\n3,", "\n3.0,"),
    ],
)  # fmt: skip
def test_spellings_of_one_table(write, text):
    text = text.replace('label"', "label")
    one, other = read_table(write(GOOD)), read_table(write(text))
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.class_names == other.class_names


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("cat", "1.0", ("1", "dog")),
        ("cat", "NA", ("NA", "dog")),
        ("cat", '"""ö, \'x\'"""', ("\"ö, 'x'\"", "dog")),
    ],
)
def test_a_class_is_called_what_the_file_says(write, old, new, names):
    text = GOOD.replace(old, new)
    if new == "1.0":  # all numbers: whole ones
        text, names = text.replace("dog", "10"), ("1", "10")
    assert read_table(write(text)).class_names == names


@pytest.mark.parametrize("name", ["label", "y", "class", "target", "Label", "TARGET"])
def test_the_label_column_may_stand_anywhere_under_a_known_name(write, name):
    lines = [f"{name},a,b", *(f"{i % 2},{i * i},7" for i in range(10))]
    raw = read_table(write("\n".join(lines)))
    np.testing.assert_array_equal(raw.labels, np.arange(10) % 2)
    np.testing.assert_array_equal(raw.inputs[:, 0], np.arange(10) ** 2)


def test_booleans_are_numbers(write):
    raw = read_table(write("a,label\n" + "".join(f"{i % 3 > 0},{i % 2}\n" for i in range(9))))
    np.testing.assert_array_equal(raw.inputs[:, 0], np.arange(9) % 3 > 0)


REFUSED = [
    ("", "starts with an empty line; expected a header"),
    ("\n" + GOOD, "starts with an empty line; expected a header"),
    ("a,b\n", "has 0 rows of 2 columns; expected a row per example"),
    ("label\n1\n", "the header has one column; expected features and labels"),
    (GOOD.replace(",", "#"), "the header has one column; .* or by what --delimiter says"),
    (GOOD.replace("weight", "size"), "two columns are named 'size'; expected distinct names"),
    (GOOD.replace("size,", ","), "column 1 has the name ''; .* Row numbers of pandas"),
    (GOOD.replace("size,", "a\x07,"), r"column 1 has the name 'a\\x07'; expected 1 to 200"),
    (GOOD.replace("size,", "y,"), r"the columns \['y', 'label'\] could each be the labels"),
    (GOOD.partition("\n")[2], r"the first line looks like data \('0.0'\); expected a header"),
    ("1,2,3\n" * 9, "two columns|looks like data"),
    (GOOD.replace("5,1.25", "5"), "row 6, line 7, has 2 cells, the header 3: '5,cat'"),
    (GOOD.replace("3,2.5", "big,2.5"), "column 'size' holds text among numbers, first 'big' in ro"),
    (GOOD.replace("3,2.5", '"1,5",2.5'), "such as '0.0' and '1,5', one with a decimal point and"),
    (GOOD.replace("3,2.5", "inf,2.5"), "column 'size' holds inf in row 11, which is infinite or"),
    (GOOD.replace("3,2.5", "1e151,2.5"), "column 'size' holds 1e.151 in row 11, which is infinite"),
    (
        GOOD.replace("3,2.5", "big,-inf"),
        "'size' holds text .* row 11 .*; column 'weight' holds -inf in row 11",
    ),
    (GOOD.replace("3,2.5,dog", "3,2.5,"), "column 'label' misses a value in row 11"),
    (GOOD.replace("dog", "cat"), r"column 'label' has 1 class \['cat'\]; expected at least 2"),
    ("a,label\n" + "".join(f"1,{i}.5\n" for i in range(9)), "has 9 classes in 9 exam.*regress"),
    (GOOD.replace("cat", "c\x00t"), r"has the class 'c\\x00t', which cannot be a name"),
    (GOOD.encode("utf-16-le"), "starts with an empty line|is not UTF-8 text|has the name"),
    (GOOD.encode("utf-16")[:-1], "begins as UTF-16 text, but byte .* is none"),
    (GOOD.replace("cat", "käfer").encode("latin-1"), r"line 3 is not UTF-8 text \(byte 0xe4\)"),
    (",".join(f"c{i}" for i in range(MAX_COLUMNS + 1)), "has 100,001 columns; at most 100,000"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), REFUSED)
def test_csv_refusals_name_file_place_and_remedy(write, content, message):
    path = write(content)
    with pytest.raises(DatasetError, match=message) as caught:
        load(DatasetSpec(str(path)))
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()


ROWS_OF_FOUR = "".join(f"{i * i},{i**3},{i % 2},{i % 3}\n" for i in range(12))


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("x,y,z,activity", {}, "which column holds the classes.*--label COLUMN; the columns are"),
        ("survived,age,fare,sibsp", {}, "which column holds the classes"),
        ("x,y,z,activity", {"label": "activty"}, r"no column 'activty' \(--label\) .*'activity'"),
        ("a,b,c,label", {"drop": ("bb",)}, r"has no column 'bb' \(--drop\)"),
        ("a,b,c,label", {"label": "c", "drop": ("c",)}, "'c' is both --label and --drop"),
        ("a,b,target,label", {}, r"\['target', 'label'\] could each be the labels"),
        ("a,b,c,label", {"drop": ("a", "b", "c")}, "--drop leaves no feature beside the labels"),
        ("a,b,c,label,", {}, "the header ends in a trailing comma"),
        ("5,6,7,2", {}, "the first line looks like data"),
    ],
)
def test_a_label_that_cannot_be_told_is_asked_for(write, header, options, message):
    with pytest.raises(DatasetError, match=message):
        load(DatasetSpec(str(write(f"{header}\n{ROWS_OF_FOUR}")), options=DataOptions(**options)))


@pytest.mark.parametrize(
    ("header", "options", "label", "features"),
    [
        ("x,y,z,activity", {"label": "activity"}, "activity", ("x", "y", "z")),
        ("survived,age,fare,sibsp", {"label": "fare"}, "fare", ("survived", "age", "sibsp")),
        ("a,b,target,label", {"drop": ("target",)}, "label", ("a", "b")),
        ("nan,inf,1e3,label", {}, "label", ("nan", "inf", "1e3")),
        ("1,2,3,label", {}, "label", ("1", "2", "3")),
    ],
)
def test_the_columns_of_a_table_and_what_they_are_for(write, header, options, label, features):
    spec = DatasetSpec(str(write(f"{header}\n{ROWS_OF_FOUR}")), options=DataOptions(**options))
    columns = load(spec).columns
    assert (columns.label, columns.features) == (label, features)


def test_the_last_column_is_the_label_where_it_alone_is_text(write):
    assert read_table(write(GOOD.replace("label", "animal"))).columns.label == "animal"


def test_a_table_without_a_header_is_not_taken_for_one(write):
    text = GOOD.partition("\n")[2].replace("0,0.0", "0,9", 1)
    with pytest.raises(DatasetError, match="holds 'dog' as a value, too: the first line looks"):
        read_table(write(text))


def test_a_constant_column_is_left_out_and_told(write):
    rows = "".join(f"7,{i * i},{i % 2}\n" for i in range(20))
    dataset = load(DatasetSpec(str(write(f"one,a,label\n{rows}"))))
    assert (dataset.columns.features, dataset.input_shape) == (("a",), (1,))
    assert as_lines(describe(dataset))[3:6] == [
        "text in UTF-8, columns separated by ','",
        "label 'label' (2 classes); features (1): a",
        "left out, because every row has the same value: 'one' [constant]",
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["1.0", "2.0", "nan"], "holds 'nan' in row 3, which means a missing label"),
        (["a", "NULL", "b"], "holds 'NULL' in row 2, which means a missing label"),
        ([f"{i}.4" for i in range(12)], "look like targets of a regression"),
    ],
)
def test_labels_that_are_none(write, labels, message):
    rows = [f"{i},{labels[i % len(labels)]}" for i in range(24)]
    with pytest.raises(DatasetError, match=message):
        read_table(write("\n".join(["a,label", *rows])))


def test_a_region_may_be_called_na_and_capitals_are_told(write):
    rows = [f"{i * i},{('NA', 'EUR', 'Yes', 'yes')[i % 4]}" for i in range(24)]
    dataset = load(DatasetSpec(str(write("\n".join(["a,label", *rows])))))
    assert dataset.class_names == ("EUR", "NA", "Yes", "yes")
    (found,) = [finding for finding in dataset.findings if finding.code == "case"]
    assert found.message.endswith(
        "differ in capitals, blanks or zeros only stay apart: 'Yes', 'yes'"
    )


def test_label_and_drop_are_for_tables():
    with pytest.raises(
        DatasetError,
        match="--label is for tables, but digits is a dataset of a fixed form; leave it out",
    ):
        load(DatasetSpec("digits", options=DataOptions("a")))


def test_the_columns_asked_for_are_kept_in_the_study_and_told(write, monkeypatch):
    path = write(f"x,y,z,activity\n{ROWS_OF_FOUR}")
    options = SearchOptions(str(path), data=DataOptions("activity", ("z",)))
    prepared = prepare(options)
    told = "\n".join(plan_lines(options, prepared))
    assert "  label 'activity' (3 classes); features (2): x, y" in told
    assert "  left out by --drop: 'z'" in told
    definition = prepared.definition | {"source": str(path)}
    assert spec_of(definition, None) == options.spec


def test_a_parquet_file_is_read_like_a_csv(write, save):
    columns = {
        "size": [i % 7 for i in range(20)],
        "weight": [i / 4 for i in range(20)],
        "label": ["cat" if i % 2 else "dog" for i in range(20)],
    }
    one, other = read_table(write(GOOD)), read_table(save(**columns))
    np.testing.assert_array_equal(one.inputs, other.inputs)
    np.testing.assert_array_equal(one.labels, other.labels)


N = np.arange(12)
X = N * N
TEXT = pa.array(["b", "a"] * 6)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (N % 2 * 3, ("0", "3")),
        (N % 2 * 1.0, ("0", "1")),
        (N % 2 == 0, ("False", "True")),
        (TEXT.dictionary_encode(), ("a", "b")),
        (
            pa.chunked_array([TEXT[:5].dictionary_encode(), TEXT[5:].dictionary_encode()]),
            ("a", "b"),
        ),
        (TEXT.cast(pa.large_string()), ("a", "b")),
    ],
)
def test_label_types_of_parquet(save, labels, names):
    raw = read_table(save(x=X, label=labels, __index_level_0__=N[::-1]))
    assert raw.class_names == names
    assert raw.inputs.shape == (12, 1)
    values = labels.tolist() if isinstance(labels, np.ndarray) else labels.to_pylist()
    expected = [sorted(set(values)).index(value) for value in values]
    np.testing.assert_array_equal(raw.labels, expected)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [None] * 12, "y": N % 2}, "has the same value: 'x'; expected features that vary"),
        ({"x": [*N[1:] / 1, np.inf], "y": N % 2}, "column 'x' holds inf in row 12"),
        ({"x": [[1.0]] * 12, "y": N % 2}, "column 'x' holds values of type list"),
        ({"x": X, "y": N / 10}, "column 'y' holds 12 numbers such as '0.0', which look like"),
        ({"x": X, "y": [None, *TEXT.to_pylist()[1:]]}, "column 'y' misses a value in row 1"),
        ({"x": X, "y": N.astype("M8[s]")}, r"the label column 'y' holds timestamp"),
        ({"y": N % 2}, "has one column, 'y'; expected features and labels"),
        ({"x": N[:0], "y": N[:0]}, "has 0 rows of 2 columns"),
        ({"x": X, "class": N % 2, "target": N % 2}, r"\['class', 'target'\] could each be"),
    ],
)  # fmt: skip
def test_parquet_refusals(save, columns, message):
    with pytest.raises(DatasetError, match=message):
        load(DatasetSpec(str(save(**columns))))


def test_a_damaged_parquet_file_says_so(save):
    path = save(x=X, y=N % 2)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"cannot be read as Parquet .*write the file again"):
        load(DatasetSpec(str(path)))


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(write, save, monkeypatch):
    monkeypatch.setattr("pipeline.datasets.limits.available_bytes", lambda: 300)
    csv_file, parquet_file = write(GOOD), save(x=X, y=N % 2)
    for path in (csv_file, parquet_file):
        with pytest.raises(DatasetError, match=r"needs 0.0 MiB in memory, but at most 0.0 MiB fit"):
            load(DatasetSpec(str(path)))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_are_read_once_however_often_they_stand_in_the_file(tmp_path, kind):
    path = tmp_path / "mine.parquet"
    table = pa.table({"x": X, "label": TEXT.cast(kind)})
    parquet.write_table(table, path, store_schema=kind == pa.large_string())
    column = read_parquet_table(path).columns[1]
    assert pa.types.is_dictionary(column.type)
    assert column.to_pylist() == TEXT.to_pylist()
    assert read_table(path).class_names == ("a", "b")


def test_one_text_in_a_million_rows_costs_no_copy_for_each(save):
    """A dictionary of one long text: decoded, these labels would take ten gigabytes."""
    num = 1_000_000
    long = pa.DictionaryArray.from_arrays(
        pa.array(np.arange(num) % 2), ["a" * 10_000, "b" * 10_000]
    )
    path = save(x=np.zeros(num, np.int8), label=long)
    with pytest.raises(DatasetError, match="which cannot be a name; expected 1 to 100 printable"):
        load(DatasetSpec(str(path)))
