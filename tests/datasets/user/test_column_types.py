"""What the columns of a user's table are taken for, what is left out, and what is refused."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.datasets import as_lines, describe, load
from pipeline.datasets.formats.raw_values import ColumnError, model_input
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
    "years of two digits": ([f"{n % 28 + 1:02}.03.24" for n in range(ROWS)], "date", "%d.%m.%y"),
    "short years": ([f"{n % 9 + 13}/03/{n % 9 + 45}" for n in range(ROWS)], "date", "%d/%m/%y"),
    "days with names": ([f"{1 + n % 28}-Mar-2024" for n in range(ROWS)], "date", "%d-%b-%Y"),
    "months": ([f"2024-{n % 12 + 1:02}" for n in range(ROWS)], "date", "%Y-%m"),
    "versions": ([f"1.{n % 3}.{n % 9 + 10}" for n in range(ROWS)], "category", ""),
    "codes": ([f"{n % 7 + 20}-45-{n % 3 + 61}" for n in range(ROWS)], "category", ""),
    "numbers of too many digits": (10**18 + np.arange(ROWS) * 7 % 41, "id", ""),
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


def test_long_whole_numbers_keep_their_digits(read):
    """Those of a text may have more than 64 bits, and those beside gaps are floats in pandas."""
    for first in (10**15, 10**18, 10**20):
        cells = [str(first + n % 4) for n in range(ROWS)]
        for name in ("mine.csv", "mine.parquet"):
            raw = read({"code": cells}, name, categorical=("code",))
            assert raw.inputs.columns["code"].distinct == tuple(sorted({*cells}))
    beside_gaps = [*(10**18 + n % 3 for n in range(ROWS - 1)), None]
    raw = read({"code": beside_gaps}, categorical=("code",))
    assert raw.inputs.columns["code"].distinct == ("", *(str(10**18 + n) for n in range(3)))
    ids = read({"code": [str(10**20 + n * n) for n in range(ROWS)]}, "mine.csv")
    assert [one.code for one in ids.findings] == ["id"]
    large = read({"size": [f"{n % 7 + 1}e20" for n in range(ROWS)]}, "mine.csv")
    assert large.columns.features == ("other", "size")
    assert large.columns.types[1].distinct == 7


def test_years_of_two_digits_are_told(read):
    raw = read({"born": spread("31.12.45", "30.11.85")}, "mine.csv")
    seconds = raw.inputs.columns["born"][:2].astype("M8[s]")
    assert [str(day)[:10] for day in seconds] == ["2045-12-31", "1985-11-30"]
    (found,) = [one for one in raw.findings if one.code == "century"]
    assert (
        found.message
        == "years of two digits: 69 to 99 are 1969 to 1999, others 2000 to 2068: 'born'"
    )


def test_words_that_are_probably_one_are_told_and_those_of_two_code_points_are_one(read):
    raw = read({"hue": spread("red", "Red", "k\u00e4fer", "ka\u0308fer"), "b": spread("u", "v")})
    assert raw.inputs.columns["hue"].distinct == ("Red", "k\u00e4fer", "red")
    (found,) = [one for one in raw.findings if one.code == "case"]
    assert found.message.endswith("stay apart: 'hue' ('Red', 'red')")


@pytest.mark.parametrize(
    "texts",
    [
        spread("2024-01-01 00:00:00", "2024-01-02 00:00:00"),
        spread("2024-01-01", "2024-01-02"),
        spread("2024-01-01T10:00:00", "2024-01-02 10:00:00"),
        spread("2024-01-01T10:00:00Z", "2024-01-02T12:00:00+02:00"),
        spread("10:30", "11:30"),
        spread("True", "FALSE"),
        spread("07", "7.0", "8"),
    ],
)
def test_words_are_the_same_in_every_file_and_type(read, tmp_path, texts):
    """What a file's reader or pandas takes for a date, a time or a boolean is one word."""
    raw = read({"a": texts}, "mine.csv", categorical=("a",))
    expected = raw.inputs.columns["a"].as_strings().tolist()
    form = "number" if texts[0] == "07" else ""
    for one in (
        pd.Series(texts),
        pd.Series(texts, dtype="category"),
        pd.Series(texts, dtype="string"),
    ):
        assert model_input("category", form, one)[:, 0].tolist() == expected
    parsed = pd.read_csv(tmp_path / "mine.csv", parse_dates=["a"] if "-" in texts[0] else None)["a"]
    assert model_input("category", form, parsed)[:, 0].tolist() == expected


@pytest.mark.parametrize(
    ("kind", "form", "values", "message"),
    [
        ("category", "", [None, 7, 8], r"holds 7.0 in row 2, while training had words"),
        ("category", "", ["a", 7], r"holds 7 in row 2, while training had words.*dtype=str"),
        ("category", "", pd.Series([3, 4], dtype="category"), "holds 3 in row 1, while training"),
        ("category", "", [b"a"], "holds b'a' in row 1, while training had words"),
        ("category", "number", [True, False], "holds True in row 1, a truth value where training"),
        (
            "category",
            "number",
            [10**18, None],
            r"holds 1e\+18 in row 1, a float that may have lost",
        ),
        ("boolean", "", [0, 1, 2], "holds 2 in row 3, no boolean"),
        ("date", "%d.%m.%Y", [20240131], "holds 20240131 in row 1; expected dates as"),
        ("text", "", ["a", 1.5], "holds 1.5 in row 2, no text"),
    ],
)
def test_values_that_may_mean_several_words_are_refused(kind, form, values, message):
    with pytest.raises(ColumnError, match=message):
        model_input(kind, form, pd.Series(values))


def test_a_column_of_gaps_is_one_whatever_its_type():
    for values in ([np.nan, np.nan], [None, None], [pd.NaT, pd.NaT], ["", "NA"], [pd.NA, "?"]):
        assert model_input("category", "", pd.Series(values))[:, 0].tolist() == ["", ""]


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
        (
            {"a": ["31.12.2024", "2024-11-30"] * (ROWS // 2)},
            "'a' holds dates in several forms, such as '31.12.2024' in row 1 and '2024-11-30' in",
        ),
        (
            {"a": ["2024-01-31"] * 9 + ["31/01/24"] * 31},
            "'2024-01-31' in row 1 and '31/01/24' in row 10",
        ),
        (
            {"a": ["soon", *["5 May 2024", "6 May 2024"] * 19, None]},
            "text among dates, first 'soon' in row 1 .--cat",
        ),
        (
            {"a": [f"Mon, {n % 28 + 1} Jan 2024" for n in range(ROWS)]},
            "dates such as 'Mon, 1 Jan 2024', which cannot",
        ),
        (
            {"a": spread("03-04-2024", "05-06-2024")},
            "'03-04-2024', whose day and month cannot be told",
        ),
        (
            {"a": [10**18 + n % 9 for n in range(ROWS - 1)] + [None]},
            "beyond 2.53, of which 9 different ones become 1",
        ),
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
