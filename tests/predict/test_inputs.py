"""Files of raw inputs: every format, and what is said of files that do not fit the model."""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.errors import InputError
from pipeline.predict.inputs import Entrance, check_file, read_inputs

FEATURES = Entrance("features", (3,))
GREY = Entrance("image", (4, 5, 1))
COLOUR = Entrance("image", (4, 5, 3))
TOKENS = Entrance("tokens", (None,), num_words=20)
TABLE = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        if name.endswith(".npy"):
            np.save(path, content)
        elif name.endswith(".npz"):
            np.savez(path, **content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            image = pytest.importorskip("PIL.Image")
            image.fromarray(content).save(path)
        return path

    return written


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", TABLE),
        ("x.npy", TABLE.astype(np.uint8)),
        ("x.npz", {"x": TABLE, "y": np.arange(2)}),
        ("x.npz", {"anything": TABLE}),
        ("x.csv", "0,1,2\n3,4,5\n"),
        ("x.csv", "a,b,c\n0,1,2\n\n3,4,5\n"),
        ("x.csv", "\ufeffa,b,Label,c\n0,1,seven,2\n3,4,eight,5\n"),
    ],
)
def test_features_are_read_from(write, name, content):
    found = read_inputs(write(name, content), FEATURES)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, TABLE)


def test_images_are_read_from_arrays_with_or_without_the_grey_channel(write):
    images = pixels(2, 4, 5)
    for stored in (images, images[..., None]):
        np.testing.assert_array_equal(
            read_inputs(write("x.npy", stored), GREY), images[..., None].astype(np.float32)
        )


def test_images_of_another_scale_than_trainings_are_refused(write):
    bytes_ = {"kind": "image", "dtype": "uint8", "lowest": 0.0, "highest": 255.0}
    images, taken = pixels(2, 4, 5), replace(GREY, trained=bytes_)
    for dtype in ("uint8", "int64", "float64"):
        found = read_inputs(write("x.npy", images.astype(dtype)), taken)
        np.testing.assert_array_equal(found, images[..., None])
    with pytest.raises(
        InputError, match=r"x\.npy: no value is above 1, as if the images were scal"
    ):
        read_inputs(write("x.npy", images / images.max()), taken)
    shares = {"kind": "image", "dtype": "float32", "lowest": 0.0, "highest": 1.0}
    with pytest.raises(
        InputError, match=r"x\.npy: the values are whole numbers up to 2\d\d, but the"
    ):
        read_inputs(write("x.npy", images), replace(GREY, trained=shares))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.npy", np.array([[7, 3, 7, 0], [19, 0, 0, 0]])),
        ("x.jsonl", "[7, 3, 7]\n[19]\n"),
        ("x.txt", "7 3 7\n19\n"),
        ("x.txt", "7, 3, 7\n\n19,\n"),
    ],
)
def test_token_ids_are_read_from(write, name, content):
    found = read_inputs(write(name, content), TOKENS)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[3, 7], [19, 0]])


@pytest.mark.parametrize(
    ("name", "content", "entrance", "message"),
    [
        ("x.npy", np.ones((2, 4)), FEATURES, "has shape [2, 4]; the model expects features [n, 3]"),
        ("x.npy", np.ones(3), FEATURES, "so save x[None] for a single example"),
        ("x.npy", np.ones((0, 3)), FEATURES, "holds no examples; expected features [n, 3]"),
        ("x.npy", np.array(5.0), FEATURES, "has shape []"),
        ("x.npy", np.ones((4, 5, 3)), COLOUR, "so save x[None] for a single example"),
        ("x.npy", np.array([["a", "b", "c"]]), FEATURES, "has dtype <U1; expected numbers"),
        ("x.npy", np.array([[1.0, 2, 3], [1, np.nan, 1]]), FEATURES, "example 1 holds values that"),
        ("x.npy", np.array([[1e300, 2, 3]]), FEATURES, "not finite in float32"),
        ("x.npz", {"a": TABLE, "b": TABLE}, FEATURES, "holds the arrays ['a', 'b']; expected 'x'"),
        ("x.npy", np.ones((2, 3)), TOKENS, "and dtype float64; the model expects token ids from 0"),
        ("x.npy", np.array([[1, 20]]), TOKENS, "Row 0 holds the token id 20; ids are 0"),
        ("x.jsonl", "[1, 2]\n[1.5]\n", TOKENS, "line 2 is no list of token ids"),
        ("x.jsonl", "[true]\n", TOKENS, "line 1 is no list of token ids"),
        ("x.jsonl", '{"a": 1}\n', TOKENS, "line 1 is no list of token ids"),
        ("x.jsonl", "[" + "9" * 30 + "]\n", TOKENS, "token ids beyond 64 bits"),
        ("x.jsonl", "[1, 2]\n[]\n", TOKENS, "example 1 is an empty list, of which nothing can be"),
        ("x.jsonl", "", TOKENS, "holds no examples"),
        ("x.txt", "1 2\nthree\n", TOKENS, "line 2 holds more than token ids"),
        ("x.txt", "", TOKENS, "holds no examples"),
        ("x.txt", "1 2\n", FEATURES, "holds lists of token ids; the model expects features [n, 3]"),
        ("x.txt", b"\xff\xfe", TOKENS, "cannot be read as text in UTF-8"),
        ("x.csv", "a,b,c\n1,2\n", FEATURES, "example 0 has 2 values, the first line 3"),
        ("x.csv", "1,2,3\n1,,3\n", FEATURES, "example 1 holds ''; expected numbers only"),
        ("x.csv", "a,b,c\n", FEATURES, "holds no examples"),
        ("x.csv", "1,2,3,4\n", FEATURES, "has shape [1, 4]; the model expects features [n, 3]"),
    ],
)
def test_what_does_not_fit_is_one_message(write, name, content, entrance, message):
    path = write(name, content)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_inputs(path, entrance)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "content", "entrance", "bad", "message"),
    [
        ("x.txt", "7 3\n\n \n19\n", TOKENS, "7 3\n\nx\n", "line 3 holds more than token ids"),
        ("x.jsonl", "[7, 3]\n\n\n[19]\n", TOKENS, "[7]\n\n7\n", "line 3 is no list of token ids"),
        ("x.csv", "a,b,c\n1,2,3\n\n\n4,5,6\n", FEATURES, "1,2,3\n\nx,2,3\n", "example 1 holds 'x'"),
    ],
)
def test_blank_lines_are_told_and_lines_are_counted_with_them(
    write, name, content, entrance, bad, message
):
    notes = []
    path = write(name, content)
    assert len(read_inputs(path, entrance, notes.append)) == 2
    assert notes == [f"{path}: 2 blank lines were passed over; rows are counted without them"]
    with pytest.raises(InputError, match=message):
        read_inputs(write(name, bad), entrance)


def test_pickles_are_refused(write):
    lists = np.array([[1], [1, 2]], dtype=object)
    with pytest.raises(InputError, match=r"cannot be read as a \.npy array of numbers"):
        read_inputs(write("x.npy", lists), TOKENS)
    with pytest.raises(InputError, match="pickle"):
        read_inputs(write("x.npz", {"x": lists}), TOKENS)


def test_a_file_of_another_kind_or_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"files ending in '.npx' cannot be read \(did you mean"):
        check_file(tmp_path / "x.npx")
    with pytest.raises(InputError, match="there is no file"):
        check_file(tmp_path / "x.npy")


def test_json_lines_of_a_dataset_read_back(write):
    rows = [[1, 5, 9], [2], [19, 18]]
    path = write("x.jsonl", "\n".join(map(json.dumps, rows)))
    found = read_inputs(path, TOKENS)
    assert [sorted(row) for row in rows] == [[n for n in row.tolist() if n] for row in found]


def test_a_first_line_of_numbers_is_an_example_and_told(write):
    """A frame without names has the header 0,1,2: it was an example without a word."""
    notes = []
    path = write("x.csv", "0,1,2\n3,4,5\n")
    np.testing.assert_array_equal(read_inputs(path, FEATURES, notes.append), TABLE)
    assert notes == [
        f"{path}: the first line holds numbers alone and was taken as an example, no header"
    ]
    read_inputs(write("x.csv", "a,b,c\n3,4,5\n"), FEATURES, notes.append)
    assert len(notes) == 1


NAMED = Entrance("features", (3,), names=("a", "b", "1"))


def test_columns_are_taken_by_name(write):
    notes = []
    path = write("x.csv", "1,label,b,a\n2,x,true,0\n5,y,false,3\n")
    found = read_inputs(path, NAMED, notes.append)
    np.testing.assert_array_equal(found, [[0, 1, 2], [3, 0, 5]])
    assert notes == [f"{path}: columns that the model does not take were ignored: 'label'"]


@pytest.mark.parametrize(
    ("content", "entrance", "message"),
    [
        ("a,b,1,\n0,1,2,yes\n", NAMED, "the header ends in a trailing comma, which makes a col"),
        (",a,b,1\n0,0,1,2\n", NAMED, "column 1 has the name ''; .* Row numbers of pandas?"),
        ("a,b,\n0,1,2\n", FEATURES, r"column 3 has no name in the header: .* name it 'label'"),
        (",a,b,c\n0,1,2,3\n", FEATURES, "column 1 has no name in the header: it may be the row"),
        ("a,b,c,\n0,1,2,yes\n", FEATURES, r"column 4 .* \(the model expects features \[n, 3\]"),
    ],
)
def test_a_label_or_an_index_without_a_name_is_no_feature(write, content, entrance, message):
    with pytest.raises(InputError, match=message):
        read_inputs(write("x.csv", content), entrance)


def test_a_label_that_pandas_named_is_ignored_by_name(write):
    notes = []
    path = write("x.csv", "Unnamed: 0,1,b,a,Unnamed: 4\n0,2,true,0,yes\n1,5,false,3,no\n")
    np.testing.assert_array_equal(read_inputs(path, NAMED, notes.append), [[0, 1, 2], [3, 0, 5]])
    told = "columns that the model does not take were ignored: 'Unnamed: 0', 'Unnamed: 4'"
    assert notes == [f"{path}: {told}"]


def test_a_column_that_is_missing_is_named(write):
    with pytest.raises(InputError, match=r"lacks 1 of the model's 3 columns: '1'; it has 'a', 'b'"):
        read_inputs(write("x.csv", "a,b\n1,2\n"), NAMED)
    with pytest.raises(InputError, match="column 'b' misses a value in row 2"):
        read_inputs(write("x.csv", "a,b,1\n1,2,3\n1,,3\n"), NAMED)


def test_a_parquet_table_is_taken_by_name_and_without_names_by_place(tmp_path):
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(pa.table({"1": [2, 5], "b": [1.0, 4.0], "y": [0, 1], "a": [0, 3]}), path)
    np.testing.assert_array_equal(read_inputs(path, NAMED), TABLE)
    np.testing.assert_array_equal(read_inputs(path, FEATURES), [[2, 1, 0], [5, 4, 3]])
