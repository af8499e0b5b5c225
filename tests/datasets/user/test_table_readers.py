"""Tables as people write them: what a spelling means, and what is refused with which option."""

import gzip
import json
import time
from dataclasses import asdict

import numpy as np
import pandas as pd
import psutil
import pytest

from pipeline.datasets import as_lines, describe, load
from pipeline.datasets.formats.csv_files import read_csv_table
from pipeline.datasets.formats.table import TextForm
from pipeline.datasets.user.tables import read_table
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec


@pytest.fixture
def write(tmp_path):
    def to_file(content, name="mine.csv"):
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return to_file


NUMBERS = [(f"{i * i / 4}", f"{(i * 7919 % 1000) * 1000 + i}") for i in range(24)]
"""Decimal numbers, and whole ones from thousands on."""


def table(delimiter=",", decimal=".", thousands="", quote=""):
    """A table of two features in this spelling."""
    rows = [["half", "count", "label"]]
    for number, (half, count) in enumerate(NUMBERS):
        grouped = f"{int(count):,}".replace(",", thousands)
        cells = (half.replace(".", decimal), grouped, "ab"[number % 2])
        rows.append([f"{quote}{cell}{quote}" for cell in cells])
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def numbers(raw):
    return np.asarray(raw.inputs, dtype=float)


EXPECTED = np.array(NUMBERS, dtype=float)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (table(), "mine.csv"),
        (table(";", ","), "mine.csv"),
        (table("\t"), "mine.csv"),
        (table("\t", ","), "mine.tsv"),
        (table("|"), "mine.csv"),
        (table(), "mine.csv.gz"),
        (table("\t"), "mine.tsv.gz"),
        (table().encode("utf-16"), "mine.csv"),
        (table(";", ",").encode("utf-16"), "mine.CSV"),
        ("\ufeff" + table(";").replace("\n", "\r\n"), "mine.csv"),
        (table(thousands=",", quote='"'), "mine.csv"),
        (table(";", ",", thousands="."), "mine.csv"),
        (table(";", thousands=","), "mine.csv"),
        (table().replace("half", '"half"').replace("\n0.25,", '\n"0.25",'), "mine.csv"),
    ],
)
def test_spellings_of_one_table(write, content, name):
    raw = read_table(write(content, name))
    np.testing.assert_array_equal(numbers(raw), EXPECTED.astype(np.float32))
    assert raw.class_names == ("a", "b")
    assert raw.fit_encoding is None


def test_a_sample_that_says_nothing_is_followed_by_the_rest(write):
    """The first thousand rows have no fractions; a decimal comma comes after them."""
    rows = [f"{i * i % 91};{i % 7};{'ab'[i % 2]}" for i in range(1_200)] + ["3,5;1.061;a"]
    raw = read_table(write("\n".join(["x;z;label", *rows])))
    np.testing.assert_array_equal(numbers(raw)[-1], np.float32([3.5, 1061]))


def test_a_newline_in_a_header_or_a_cell(write):
    rows = "".join(f'"b\n{i % 3}",{i * i},{i % 2}\n' for i in range(24))
    raw = read_table(write(f'"kind\nof it",x,label\n{rows}'))
    assert raw.columns.features == ("kind of it", "x")
    assert raw.inputs.columns["kind of it"].distinct == ("b\n0", "b\n1", "b\n2")
    np.testing.assert_array_equal(raw.labels, np.arange(24) % 2)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a;b;label\n1,061;2;x\n2,500;1;y\n", {}, "comma is a decimal mark or one of thousands"),
        ("a;b;label\n1,5;2;x\n2.5;1;y\n", {}, "'2.5' and '1,5', one with a decimal point and one"),
        ("a|b,c,label\n1|2,3,x\n4|5,6,y\n", {}, "could be separated by ',' and '|'; .*--delimiter"),
        ("a,b,label\n1,2,x\n1,2\n", {}, "row 2, line 3, has 2 cells, the header 3: '1,2'"),
        ('a,b,label\n1,"2\n",x\n1,2\n', {}, "row 2 has 2 cells, the header 3: '1,2'"),
        ("a,b,label\n" * 2 + "1,käfer,x\n", {"delimiter": ";"}, "the header has one column"),
        ("a,b,label\n1,käfer,x\n".encode("latin-1"), {}, r"line 2 is not UTF-8 text .*iconv"),
        (table().encode("utf-16")[:-1], {}, "begins as UTF-16 text, but byte"),
        ("", {}, "starts with an empty line"),
        ("a,b,label\n", {}, "has 0 rows of 3 columns"),
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_refused_with_the_option(write, content, options, message):
    with pytest.raises(DatasetError, match=message):
        read_table(write(content), DataOptions(**options))


def test_the_option_says_how_it_is_read(write):
    text = "a;b;label\n" + "1,061;7;x\n2,500;3;y\n1,250;8;x\n" * 4
    for decimal, first in ((",", 1.061), (".", 1061)):
        raw = read_table(write(text), DataOptions(decimal=decimal))
        assert numbers(raw)[0, 0] == np.float32(first)
    rows = "".join(f"{i % 4}|2,{i % 5},{'xy'[i % 2]}\n" for i in range(24))
    path = write(f"a|b,c,label\n{rows}")
    assert read_table(path, DataOptions(delimiter=",")).columns.features == ("a|b", "c")
    assert read_table(path, DataOptions("b,c,label", delimiter="|")).columns.features == ("a",)


def test_a_column_with_the_other_decimal_mark_is_refused_by_name(write, tmp_path):
    rows = "".join(f"{i},5;{i / 4 + 0.1:.2f};{'xy'[i % 2]}\n" for i in range(24))
    for options in (DataOptions(decimal=","), DataOptions(decimal=".")):
        name, cell = ("b", "0.10") if options.decimal == "," else ("a", "0,5")
        with pytest.raises(DatasetError, match=f"column '{name}' holds numbers such as '{cell}'"):
            read_table(write("a;b;label\n" + rows), options)
    raw = read_table(write("a;b;label\n" + rows), DataOptions(decimal=",", categorical=("b",)))
    assert raw.columns.features == ("a", "b")
    late = [f"{i * i % 91};{i / 4};{'ab'[i % 2]}" for i in range(1_200)] + ["3,5;1.0;a"]
    with pytest.raises(DatasetError, match="column 'x' holds numbers such as '3,5'"):
        read_table(write("\n".join(["x;z;label", *late])))
    for cells in (["1,5", "2,25"], ["1,061", "2,500"]):
        held = pd.DataFrame({"n": cells * 12, "x": range(24), "label": ["a", "b"] * 12})
        held.to_parquet(tmp_path / "mine.parquet")
        with pytest.raises(DatasetError, match=f"column 'n' holds numbers such as '{cells[0]}'"):
            read_table(tmp_path / "mine.parquet")


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (table(";", ","), TextForm("UTF-8", ";", ",")),
        (table("\t").encode("utf-16"), TextForm("UTF-16", "\t", ".")),
        ("a|label\n" + "1|x\n2|y\n3|x\n" * 8, TextForm("UTF-8", "|", None)),
        ("a;b;label\n" + "1.061;7;x\n2.500;3;y\n" * 9, TextForm("UTF-8", ";", ".")),
    ],
)
def test_how_a_text_is_written_is_told(write, content, written):
    path = write(content)
    assert read_table(path).columns.written == written
    shown = describe(load(DatasetSpec(str(path), options=DataOptions(ignore=("constant",)))))
    assert shown["columns"]["written"] == asdict(written)
    mark = f", decimal mark '{written.decimal}'" if written.decimal else ""
    delimiter = "tab" if written.delimiter == "\t" else f"'{written.delimiter}'"
    told = f"text in {written.encoding}, columns separated by {delimiter}{mark}"
    assert told in as_lines(json.loads(json.dumps(shown)))


@pytest.mark.parametrize(
    ("cells", "usual", "expected", "unclear"),
    [
        (["1.061"], ",", [1061], "1.061"),
        (["1,061"], ",", [1.061], "1,061"),
        (["1,061"], ".", [1061], "1,061"),
        (["1.061"], ".", [1.061], "1.061"),
        (["1.061", "0.5"], ",", [1.061, 0.5], ""),
        (["1,061", "0,5"], ".", [1.061, 0.5], ""),
        (["3", "4"], ",", [3, 4], ""),
        (["1.061", *["7"] * 1_200, "0.5"], ",", [1.061, 7], ""),
        ([*["7"] * 1_200, "1.061"], ",", [7], "1.061"),
    ],
)
def test_what_training_wrote_decides_where_a_file_leaves_it_open(
    write, cells, usual, expected, unclear
):
    path = write("n;m\n" + "".join(f"{cell};1\n" for cell in cells))
    table = read_csv_table(path, lambda _: None, ["n", "m"], usual_decimal=usual)
    values = table.numbers("n")
    np.testing.assert_array_equal(values[: len(expected)], np.float32(expected))
    assert table.written.unclear == unclear
    assert values[-1] == (1061 if unclear and len(cells) > 9 else values[-1])


def test_text_options_are_for_text_files(tmp_path):
    pd.DataFrame({"x": [1.5, 2] * 9, "label": ["a", "b"] * 9}).to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(DatasetError, match=r"--decimal is for text files such as .csv, but"):
        read_table(tmp_path / "mine.parquet", DataOptions(decimal=","))


def test_a_file_that_is_no_gzip_or_too_large_unpacked(write, tmp_path, monkeypatch):
    (tmp_path / "mine.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DatasetError, match=r"cannot be unpacked .*expected a file that gzip wrote"):
        read_table(tmp_path / "mine.csv.gz")
    bomb = write(b"a,label\n" + b"0,0\n" * 10_000_000, "bomb.csv.gz")
    free = 100 * 2**20
    monkeypatch.setattr("pipeline.datasets.limits.available_bytes", lambda: free)
    monkeypatch.setattr("pipeline.datasets.formats.csv_dialect.available_bytes", lambda: free)
    with pytest.raises(DatasetError, match=r"unpacked, needs .* in memory, but at most 33.3 MiB"):
        read_table(bomb)


def test_every_form_of_a_file_gives_the_same_rows(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "word": rng.choice(["a b", "ö", "NA"], 60),
            "number": np.where(rng.random(60) < 0.2, np.nan, rng.normal(size=60).round(3)),
            "moment": pd.Timestamp("2024-01-31 10:00")
            + pd.to_timedelta(rng.integers(0, 9, 60), "D"),
            "yes": rng.random(60) < 0.5,
            "label": rng.choice(["u", "v"], 60),
        }
    )
    frame.to_csv(tmp_path / "mine.csv", index=False)
    frame.to_csv(tmp_path / "mine.tsv", index=False, sep="\t", na_rep="-")
    frame.to_csv(tmp_path / "mine.csv.gz", index=False, sep=";", decimal=",", na_rep="?")
    frame.to_parquet(tmp_path / "mine.parquet")
    frame.set_index("number").reset_index().to_feather(tmp_path / "mine.feather")
    encodings, inputs = [], []
    for name in ("mine.csv", "mine.tsv", "mine.csv.gz", "mine.parquet"):
        dataset = load(DatasetSpec(str(tmp_path / name)))
        encodings.append([(one.column.name, one.column.kind) for one in dataset.encoding.numbers])
        inputs.append(dataset.train.inputs)
        assert dataset.name == "mine"
        assert "" in dataset.encoding.categories[0].words
    assert all(one == encodings[0] for one in encodings)
    for other in inputs[1:]:
        np.testing.assert_array_equal(other, inputs[0])
    raw = read_table(tmp_path / "mine.feather")
    assert raw.columns.features[0] == "number"


@pytest.mark.slow
def test_two_hundred_thousand_rows_of_fifty_columns(tmp_path):
    rng = np.random.default_rng(0)
    rows = 200_000
    frame = pd.DataFrame({f"n{i}": rng.normal(size=rows).round(4) for i in range(40)})
    frame.iloc[::50, 3] = np.nan
    for i in range(10):
        frame[f"w{i}"] = rng.choice([f"word {j}" for j in range(20 * (i + 1))], rows)
    frame["label"] = rng.integers(0, 3, rows)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    del frame
    before, start = psutil.Process().memory_info().rss, time.process_time()
    dataset = load(DatasetSpec(str(tmp_path / "mine.csv")))
    assert time.process_time() - start < 60
    assert psutil.Process().memory_info().rss - before < 2 * 2**30
    assert dataset.split_sizes == {"train": 120_000, "validation": 40_000, "test": 40_000}


def test_what_a_feather_file_unpacks_to_is_foreseen(tmp_path, monkeypatch):
    """Ten million zeros take some kilobytes when they are compressed."""
    from pipeline.datasets import limits
    from pipeline.datasets.formats import feather_files

    frame = pd.DataFrame({"x": np.zeros(1_000_000), "label": np.arange(1_000_000) % 2})
    frame.to_feather(tmp_path / "mine.feather", compression="zstd")
    assert (tmp_path / "mine.feather").stat().st_size < 2**20
    monkeypatch.setattr(limits, "available_bytes", lambda: 3 * 2**23)
    monkeypatch.setattr(feather_files, "checked_table", pytest.fail)
    with pytest.raises(DatasetError, match=r"1,000,000 rows of 2 columns, needs 15.3 MiB"):
        read_table(tmp_path / "mine.feather", DataOptions(label="label"))
