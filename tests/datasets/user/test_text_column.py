"""The column of texts of a table: the only feature, read as it stands."""

import re

import pandas as pd
import pytest

from pipeline.datasets import as_lines, describe, load
from pipeline.datasets.text_encoding import texts_of
from pipeline.datasets.user.tables import read_table
from pipeline.errors import DatasetError
from pipeline.records import DataOptions, DatasetSpec

SAID = DataOptions(text="said", label="topic")


def frame(rows=40):
    topics = ["a", "b"] * (rows // 2)
    return pd.DataFrame(
        {
            "id": range(rows),
            "said": [f"word{i % 3}, Of {topics[i]}\nNA" for i in range(rows)],
            "topic": topics,
            "count": [i % 5 for i in range(rows)],
        }
    )


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.tsv"])
def test_texts_are_read_as_they_stand_and_the_others_left_out(tmp_path, name):
    held = frame()
    held.loc[3, "said"] = None
    held.loc[4, "said"] = "?!"
    path = tmp_path / name
    held.to_parquet(path) if name.endswith("t") else held.to_csv(
        path, index=False, sep="\t" if name == "x.tsv" else ","
    )
    raw = read_table(path, SAID)
    texts = texts_of(raw.inputs, "said")
    assert texts[0] == "word0, Of a\nNA"
    assert texts[3:5].tolist() == ["", "?!"]
    assert (raw.kind, raw.class_names) == ("multi_hot", ("a", "b"))
    assert (raw.columns.label, raw.columns.features) == ("topic", ("said",))
    assert [(finding.code, finding.message) for finding in raw.findings] == [
        ("wordless", "2 texts hold no word, first in row 4"),
        ("beside_text", "left out, because beside --text no other column is used: 'id', 'count'"),
    ]
    (kind,) = raw.columns.types
    assert (kind.kind, kind.gaps) == ("text", 1)
    shown = "\n".join(as_lines(describe(load(DatasetSpec(str(path), options=SAID)))))
    assert re.search(
        r"\nsaid +text +1 +7 +a one per word, the 10,000 most frequent of train", shown
    )
    assert "[beside_text]" in shown


def test_beside_a_text_the_last_column_alone_may_be_the_label(tmp_path):
    path = tmp_path / "x.csv"
    frame()[["said", "topic"]].to_csv(path, index=False)
    assert read_table(path, DataOptions(text="said")).columns.label == "topic"
    path = tmp_path / "y.csv"
    frame()[["said", "topic"]].rename(columns={"said": "label"}).to_csv(path, index=False)
    assert read_table(path, DataOptions(text="label")).columns.label == "topic"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DataOptions(text="sad"), r"has no column 'sad' \(--text\) \(did you mean 'said'\?\)"),
        (
            DataOptions(text="topic", label="topic"),
            "'topic' is --text and the label or --drop, too",
        ),
        (
            DataOptions(text="said", drop=("said",), label="topic"),
            "'said' is --text and the label or --drop, too",
        ),
        (
            DataOptions(text="count", label="topic"),
            "column 'count' holds values of the type number",
        ),
        (
            DataOptions(text="said", label="topic", categorical=("count",)),
            "beside --text 'said' other columns are not used; leave --categorical out, or --text",
        ),
    ],
)
def test_refusals(tmp_path, options, message):
    frame().to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DatasetError, match=message):
        read_table(tmp_path / "x.csv", options)
