"""What the columns of a user's table are taken for, what is left out, and what is refused."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.datasets import as_lines, describe, load
from pipeline.datasets.raw_rows import Words
from pipeline.datasets.user.tables import read_table
from pipeline.errors import DatasetError, InputError
from pipeline.records import DataOptions, DatasetSpec
from pipeline.search.options import SearchOptions, prepare

ROWS = 40
RNG = np.random.default_rng(0)
HALVES = RNG.normal(size=ROWS).round(2)
LABEL = ["u", "v"] * (ROWS // 2)
DAY = datetime.date(2024, 5, 13)


@pytest.fixture
def read(tmp_path):
    """Returns a function that writes columns to a file and reads them as a user's table."""

    def read(columns, name="mine.parquet", **options):
        path = tmp_path / name
        table = pa.table({"other": HALVES, **columns, "label": LABEL})
        if name.endswith(".parquet"):
            parquet.write_table(table, path)
        else:
            table.to_pandas().to_csv(path, index=False)
        return read_table(path, DataOptions(**options))

    return read


def spread(*values):
    """Values over all rows, in turns."""
    return [values[place % len(values)] for place in range(ROWS)]


TYPES = {
    "numbers": (HALVES * 3, "number", ""),
    "whole numbers": (RNG.integers(0, 5, ROWS), "number", ""),
    "numbers with gaps": (spread(1.5, None, 2.5), "number", ""),
    "exact numbers": (spread(Decimal("1.5"), Decimal("2.5")), "number", ""),
    "numbers as text": (spread("1.5", "?", " 2", "-"), "number", ""),
    "booleans": (spread(True, False), "boolean", ""),
    "booleans with gaps": (spread(True, False, None), "boolean", ""),
    "words": (spread("a", "b", "NA"), "category", ""),
    "words of a dictionary": (pa.array(spread("a", "b")).dictionary_encode(), "category", ""),
    "one word and gaps": (spread("a", None), "category", ""),
    "codes with leading zeros": (spread("01", "02", "10"), "category", "number"),
    "days": ([DAY + datetime.timedelta(int(n)) for n in range(ROWS)], "date", "ISO8601"),
    "moments": (pd.date_range("2024-01-01", periods=ROWS, freq="7h"), "date", "ISO8601"),
    "days as text": ([f"{1 + n % 28:02}.03.2024" for n in range(ROWS)], "date", "%d.%m.%Y"),
    "American days": ([f"03/{1 + n % 28}/2024" for n in range(ROWS)], "date", "%m/%d/%Y"),
    "English days": ([f"{1 + n % 28}/3/2024 9:30" for n in range(ROWS)], "date", "%d/%m/%Y %H:%M"),
    "months by name": ([f"May {1 + n % 28}, 2024" for n in range(ROWS)], "date", "%b %d, %Y"),
    "times": ([datetime.time(n % 24, 30) for n in range(ROWS)], "date", "%H:%M:%S"),
    "a third of the words once": ([f"w{n % 30}" for n in range(ROWS)], "category", ""),
    "one value": ([7.0] * ROWS, "constant", ""),
    "nothing": ([None] * ROWS, "constant", ""),
    "names of rows": ([f"row {n}" for n in range(ROWS)], "id", ""),
    "sentences": ([f"this is the sentence of row {n}" for n in range(ROWS)], "text", ""),
    "row numbers": (np.arange(ROWS) + 1, "id", ""),
    "shuffled row numbers": (RNG.permutation(ROWS), "id", ""),
    "tens": (np.arange(ROWS) * 10, "id", ""),
    "patient id": (RNG.choice(10_000, ROWS, replace=False), "id", ""),
    "price": (RNG.choice(10_000, ROWS, replace=False), "number", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_what_a_column_is_taken_for(read, name):
    values, kind, form = TYPES[name]
    raw = read({name: values})
    types = {one.name: one for one in raw.columns.types}
    assert types[name].kind == kind
    if kind in ("constant", "id", "text"):
        assert raw.columns.features == ("other",)
        assert [one.code for one in raw.findings if f"'{name}'" in one.message] == [kind]
        assert types[name].done == "left out"
        return
    assert raw.columns.features == ("other", name)
    if raw.fit_encoding is not None:
        fitted = raw.fit_encoding(raw.inputs)
        assert [one.form for one in fitted.columns if one.name == name] == [form]
        assert np.isfinite(fitted.apply(raw.inputs)).all()


@pytest.mark.parametrize(
    "name", ["numbers", "numbers with gaps", "booleans with gaps", "words", "days", "days as text"]
)
def test_a_text_file_says_the_same(read, name):
    one, other = read({name: TYPES[name][0]}), read({name: TYPES[name][0]}, "mine.csv")
    assert one.columns.types == other.columns.types
    if one.fit_encoding is None:
        np.testing.assert_array_equal(one.inputs, other.inputs)
    else:
        encodings = [raw.fit_encoding(raw.inputs) for raw in (one, other)]
        np.testing.assert_array_equal(
            *(fitted.apply(raw.inputs) for fitted, raw in zip(encodings, (one, other), strict=True))
        )


def test_numbers_without_gaps_stay_as_they_are(read):
    raw = read({"a": HALVES * 2, "b": spread(True, False)})
    assert raw.fit_encoding is None
    assert raw.inputs.dtype == np.float32
    np.testing.assert_array_equal(raw.inputs[:, 1], np.float32(HALVES * 2))


def test_numbers_that_float32_would_destroy_are_encoded(read):
    stamps = 1_700_000_000 + 40 * RNG.integers(0, 30, ROWS)
    raw = read({"stamp": stamps})
    fitted = raw.fit_encoding(raw.inputs)
    found = fitted.apply(raw.inputs)[:, 1]
    np.testing.assert_allclose(found, (stamps - stamps.mean()) / stamps.std(), atol=1e-5)


def test_a_column_may_be_said_to_be_one_of_categories(read):
    raw = read(
        {"code": RNG.integers(1, 4, ROWS), "id": np.arange(ROWS)}, categorical=("code", "id")
    )
    assert isinstance(raw.inputs.columns["code"], Words)
    assert raw.inputs.columns["code"].distinct == ("1", "2", "3")
    assert raw.columns.features == ("other", "code", "id")
    gaps = read({"code": spread(1.0, None, 2.0)}, categorical=("code",))
    assert gaps.inputs.columns["code"].distinct == ("", "1", "2")
    with pytest.raises(DatasetError, match=r"has no column 'cod' \(--categorical\).*'code'"):
        read({"code": spread(1, 2)}, categorical=("cod",))


def test_row_numbers_may_be_kept(read):
    raw = read({"step": np.arange(ROWS)}, ignore=("id",))
    assert raw.columns.features == ("other", "step")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": [[1]] * ROWS, "b": spread(np.inf, 1.0), "c": ["x", *["1"] * (ROWS - 1)]},
            "column 'a' holds values of type list.*; column 'b' holds inf in row 1, which is infin"
            ".*; column 'c' holds text among numbers, first 'x' in row 1 .*--categorical",
        ),
        (
            {"a": spread("01/02/2024", "03/04/2024", "05/06/2024")},
            "column 'a' holds dates such as '01/02/2024', whose day and month cannot be told apart",
        ),
        ({"a": spread(b"x", b"y")}, "column 'a' holds values of type binary"),
    ],
)
def test_all_that_cannot_be_used_is_told_at_once(read, columns, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read(columns)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith("leave the columns out with --drop.")


def test_where_nothing_is_left_it_is_said_why(tmp_path):
    frame = pd.DataFrame({"id": np.arange(ROWS), "one": 1, "label": LABEL})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(
        DatasetError, match=r"same value: 'one'; left out, .* name the rows .* 'id'; expected feat"
    ):
        read_table(tmp_path / "mine.csv")


def test_the_types_are_told_in_a_table(tmp_path):
    frame = pd.DataFrame({"id": np.arange(ROWS), "w": spread("a", "b", None), "label": LABEL})
    frame.assign(x=HALVES).to_csv(tmp_path / "mine.csv", index=False)
    lines = as_lines(describe(load(DatasetSpec(str(tmp_path / "mine.csv")))))
    start = next(place for place, line in enumerate(lines) if line.startswith("column"))
    assert lines[start : start + 4] == [
        "column  type          gaps  distinct  what is done",
        "id      id               0        40  left out",
        "w       category        13         2  a one per word, rare ones share one; gaps "
        "are a word",
        "x       number           0        36  scaled",
    ]


def test_another_backend_is_refused_before_the_search(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    stamps = 1_700_000_000 + 40 * RNG.integers(0, 30, ROWS)
    for column in (spread("a", "b", None), stamps):
        pd.DataFrame({"w": column, "label": LABEL}).to_csv(tmp_path / "mine.csv", index=False)
        with pytest.raises(InputError, match=r"\('w'\).*with TensorFlow only, but its backend is"):
            prepare(SearchOptions(str(tmp_path / "mine.csv")))


def test_what_encoding_takes_is_foreseen(tmp_path, monkeypatch):
    words = [f"word {n % 150}" for n in range(600)]
    frame = pd.DataFrame({f"w{i}": words for i in range(60)} | {"label": ["u", "v"] * 300})
    frame.to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.setattr("pipeline.datasets.limits.available_bytes", lambda: 30 * 2**20)
    with pytest.raises(DatasetError, match=r"600 rows that become 6,120 numbers each, needs 14.0"):
        read_table(tmp_path / "mine.csv")
