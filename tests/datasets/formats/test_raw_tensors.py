"""What programs give a model of one array: cast where that changes nothing, refused otherwise."""

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets.formats.raw_tensors import TensorError, check_scale, model_input

BYTES = {"kind": "image", "shape": [2, 2, 1], "dtype": "uint8", "lowest": 0.0, "highest": 255.0}
SHARES = {"kind": "image", "shape": [2, 2, 3], "dtype": "float32", "lowest": 0.0, "highest": 1.0}
COUNTS = {"kind": "features", "shape": [3], "dtype": "uint8", "lowest": 0.0, "highest": 200.0}
NUMBERS = {"kind": "features", "shape": [3], "dtype": "float32", "lowest": -9.0, "highest": 9.0}
TOKENS = {"kind": "tokens", "num_words": 20}
IMAGES = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1) * 30


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float16", "float32", "float64"])
def test_images_are_the_same_in_any_type_of_number(dtype):
    given = IMAGES.astype(dtype)
    for form in (given, given[..., 0], given.astype(object), given.tolist()):
        found = model_input(BYTES, form)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, IMAGES)


def test_images_with_few_dark_values_are_taken_where_their_scale_is_clear():
    np.testing.assert_array_equal(model_input(BYTES, IMAGES * 0.0), IMAGES * 0)
    np.testing.assert_array_equal(model_input(BYTES, IMAGES.astype("int64") // 150), IMAGES // 150)
    small = np.random.default_rng(0).random((2, 2, 2, 3))
    np.testing.assert_array_equal(model_input(SHARES, small), small.astype(np.float32))
    np.testing.assert_array_equal(model_input(SHARES, small * 1.02), (small * 1.02).astype("f4"))
    masks = BYTES | {"highest": 1.0}
    np.testing.assert_array_equal(model_input(masks, IMAGES > 90.0), IMAGES > 90)
    standard = BYTES | {"dtype": "float32", "lowest": -2.0, "highest": 300.0}
    np.testing.assert_array_equal(model_input(standard, IMAGES / 255), (IMAGES / 255).astype("f4"))


@pytest.mark.parametrize(
    ("taken", "values", "message"),
    [
        (
            BYTES,
            IMAGES / 255,
            "no value is above 0.823529, as if the images were scaled to 0 to 1 already, but the"
            " model was trained on images from 0 to 255; give them as they were before",
        ),
        (BYTES, (IMAGES > 90).astype("float32"), "no value is above 1, as if"),
        (BYTES, IMAGES > 90, "no value is above 1, as if"),
        (BYTES, IMAGES + 0.5, "example 0 holds 0.5; the model was trained on whole numbers from 0"),
        (BYTES, IMAGES.astype("int64") * 2, "example 1 holds 300; the model was trained on whole"),
        (BYTES, IMAGES - 30.0, "example 0 holds -30; the model was trained on whole numbers"),
        (BYTES, IMAGES.astype("f4") * np.nan, "example 0 holds nan, which is not finite"),
        (BYTES, IMAGES[0], r"the values have shape \[2, 2, 1\]; .*x\[None\]"),
        (BYTES, IMAGES[:0], r"there are no examples; expected images \[n, 2, 2, 1\] of whole numb"),
        (BYTES, IMAGES.astype(str), r"the values have dtype <U\d+; expected images"),
        (BYTES, [[[1, 2], [3, 4]], [[1, 2]]], "the examples have different shapes"),
        (BYTES, 7, r"the values have shape \[\]; expected images"),
        (
            SHARES,
            np.full((1, 2, 2, 3), 255, "uint8"),
            "the values are whole numbers up to 255, but the model was trained on images from 0 to"
            " 1; scale these likewise",
        ),
        (SHARES, np.full((1, 2, 2, 3), 255.0), "the values are whole numbers up to 255"),
        (COUNTS, [[1.0, 2.5, 3.0]], r"example 0 holds 2.5; the model was trained on whole numbers"),
        (COUNTS, [[1, 2]], r"the values have shape \[1, 2\]; expected features \[n, 3\]"),
        (NUMBERS, [[1.0, 2.0, 1e39]], r"example 0 holds 1e\+39, which float32 cannot hold"),
        (TOKENS, [[1, 20]], r"example 0 holds 20, which is beyond the vocabulary; expected token"),
        (TOKENS, np.array([[1, 2], [3, -1]]), r"example 1 holds -1, which is beyond the vocabular"),
        (TOKENS, np.array([[1, 2], [0, 0]]), r"example 1 holds padding \(0\) alone"),
        (TOKENS, np.array([[1.0, 2.0]]), r"dtype float64; expected token ids from 0 \(padding\)"),
        (TOKENS, np.array([[True]]), r"dtype bool; expected token ids"),
        (TOKENS, np.array([1, 2]), r"the values have shape \[2\] and dtype int64; expected"),
        (TOKENS, [[1, 2], [3.5]], "example 1 is no list of token ids"),
        (TOKENS, [[1, 2], [True]], "example 1 is no list of token ids"),
        (TOKENS, [[1, 2], [2**70]], "example 1 holds an id beyond 64 bits"),
        (TOKENS, [[1, 2], []], r"example 1 holds padding \(0\) alone"),
        (TOKENS, [], r"\[0\] and dtype"),
        (TOKENS, np.zeros((0, 3), "int64"), "there are no examples; expected token ids"),
    ],
)
def test_what_would_count_as_something_else_is_refused(taken, values, message):
    with pytest.raises(TensorError, match=message):
        model_input(taken, values)


def test_features_are_taken_of_arrays_and_frames():
    rows = [[1, 0, 1], [0, 1, 0]]
    for values in (
        rows,
        np.array(rows, "float64"),
        pd.DataFrame(rows),
        pd.DataFrame(rows, dtype=float),
    ):
        for taken in (COUNTS, NUMBERS):
            found = model_input(taken, values)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_token_ids_are_the_same_in_any_type_of_whole_number(dtype):
    ids = [[3, 4, 0], [19, 0, 0]]
    for values in (np.array(ids, dtype), np.array(ids, dtype).astype(object), [[3, 4], [19]], ids):
        found = model_input(TOKENS, values)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, np.array(ids)[:, : found.shape[1]])


def test_the_scale_is_checked_without_shape_or_type():
    check_scale(
        {"kind": "image", "dtype": "uint8", "lowest": 0, "highest": 16}, np.ones((1, 2), "u1")
    )
    with pytest.raises(TensorError, match="trained on images from 0 to 16"):
        check_scale(
            {"kind": "image", "dtype": "uint8", "lowest": 0, "highest": 16}, np.ones((1, 2))
        )
