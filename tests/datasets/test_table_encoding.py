"""What is fitted on a table's training rows, by value; and that nothing else is looked at."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets import load
from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.preprocessing import assemble
from pipeline.datasets.raw_rows import RawRows, Words
from pipeline.datasets.table_encoding import RARE, YEAR, TableEncoding, fit, on_circle
from pipeline.datasets.user.tables import read_table
from pipeline.records import DatasetSpec


def words(*values):
    distinct = tuple(sorted(set(values)))
    codes = np.array([distinct.index(value) for value in values], dtype=np.int32)
    return Words(codes, distinct)


def encoded(kind, values, train=None):
    column = RawColumn("c", kind)
    encoding = fit([column], RawRows({"c": values if train is None else train}))
    return encoding, encoding.apply(RawRows({"c": values}))


def test_a_number_is_centred_scaled_and_its_gaps_are_filled_and_marked():
    values = np.array([1.0, 3.0, np.nan, 3.0, 10.0])
    encoding, found = encoded("number", values)
    filled = np.array([1, 3, 3, 3, 10.0])
    assert encoding.numbers[0].fill == 3.0
    np.testing.assert_allclose(found[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-6)
    np.testing.assert_array_equal(found[:, 1], [0, 0, 1, 0, 0])
    assert encoding.columns[0].gaps
    assert found.dtype == np.float32


def test_a_gap_that_train_has_not_is_filled_and_not_marked():
    _, found = encoded("number", np.array([np.nan, 4.0]), np.array([2.0, 4.0, 9.0]))
    assert found.shape == (2, 1)
    assert found[0] == found[1]


def test_seconds_keep_their_information():
    values = 1_700_000_000.0 + 40 * np.arange(100)
    assert len(np.unique(values.astype(np.float32))) < 40
    _, found = encoded("number", values)
    np.testing.assert_allclose(np.diff(found[:, 0]), 40 / values.std(), rtol=1e-4)


def test_a_column_without_values_or_without_spread_in_train_stays_finite():
    for train in (np.full(4, np.nan), np.full(4, 7.0)):
        _, found = encoded("number", np.array([7.0, np.nan, 8.0]), train)
        assert np.isfinite(found).all()


def test_a_category_is_one_of_its_frequent_words_and_rare_ones_share_a_place():
    values = ["b"] * RARE + ["a"] * RARE + ["x", "y"] + [""]
    encoding, found = encoded("category", words(*values))
    assert encoding.categories[0].words == ("", "a", "b")
    expected = [3] * RARE + [2] * RARE + [0, 0] + [1]
    np.testing.assert_array_equal(found.argmax(axis=1), expected)
    np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_a_word_that_train_has_not_counts_as_a_rare_one_or_as_none():
    train = words(*["a"] * RARE, *["b"] * RARE)
    _, found = encoded("category", words("a", "z", ""), train)
    np.testing.assert_array_equal(found, [[1, 0], [0, 0], [0, 0]])
    _, found = encoded("category", words("a", "z", ""), words(*["a"] * RARE, "rare"))
    np.testing.assert_array_equal(found, [[0, 1], [1, 0], [1, 0]])


def test_a_date_has_places_on_the_circles_that_it_goes_round():
    days = 86_400.0 * np.arange(0, 1_000, 3)
    encoding, found = encoded("date", days)
    assert encoding.numbers[0].circles == ("year", "week")
    assert found.shape == (len(days), 5)
    np.testing.assert_allclose(found[:, 1], np.sin(on_circle(days, YEAR)), atol=1e-6)
    hours = 3_600.0 * np.arange(0, 60)
    assert encoded("date", hours)[0].numbers[0].circles == ("day",)


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "n": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300)),
            "w": rng.choice([*"abc", None], 300),
            "d": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 2_000, 300), "D"),
            "label": rng.choice(["u", "v"], 300),
        }
    )
    frame.to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


def changed(raw, members, how):
    """The data with the features of these rows changed; everything else as it was."""
    inputs = {}
    for name, values in raw.inputs.columns.items():
        if isinstance(values, Words):
            codes = values.codes.copy()
            codes[members] = how(codes[members])
            inputs[name] = Words(codes, values.distinct)
        else:
            inputs[name] = values.copy()
            inputs[name][members] = how(values[members])
    return replace(raw, inputs=RawRows(inputs))


@pytest.mark.parametrize("how", [lambda values: values[::-1], lambda values: values[:1]])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_changing_validation_or_test_changes_nothing_fitted(table, part, how):
    spec = DatasetSpec(str(table))
    whole, raw = load(spec), read_table(table)
    other = assemble("mine", changed(raw, getattr(whole.split, part), how), spec)
    np.testing.assert_array_equal(other.split.train, whole.split.train)
    assert isinstance(whole.encoding, TableEncoding)
    assert other.encoding == whole.encoding
    np.testing.assert_array_equal(other.train.inputs, whole.train.inputs)
    np.testing.assert_array_equal(other.mean, whole.mean)
    np.testing.assert_array_equal(other.deviation, whole.deviation)
    in_train = assemble("mine", changed(raw, whole.split.train, lambda values: values[:1]), spec)
    assert in_train.encoding != whole.encoding


def test_it_is_fitted_on_the_examples_that_are_used(table):
    assert load(DatasetSpec(str(table), train_examples=20)).encoding != (
        load(DatasetSpec(str(table))).encoding
    )
