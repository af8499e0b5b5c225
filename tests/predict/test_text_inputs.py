"""Texts as a model takes them, from a file of lines, a folder, or a table."""

import pandas as pd
import pytest

from pipeline.datasets.dataset import RawColumn
from pipeline.errors import DatasetError, InputError
from pipeline.predict.table_inputs import read_raw_inputs
from pipeline.predict.text_inputs import is_texts, read_text_inputs

TEXT = (RawColumn("said", "text"),)


def test_a_file_holds_a_text_per_line(tmp_path):
    notes = []
    path = tmp_path / "x.txt"
    path.write_text("One text.\n\nÄ third\n", encoding="utf-8")
    inputs, files = read_text_inputs(path, TEXT, notes.append)
    assert inputs["said"].tolist() == [["One text."], [""], ["Ä third"]]
    assert files == ()
    assert notes == [
        f"{path}: every line was taken as a text (3)",
        f"{path}: 1 text holds no word, first in line 2 [wordless]",
    ]
    path.write_text("")
    with pytest.raises(InputError, match=r"x.txt holds no examples; expected a text per line"):
        read_text_inputs(path, TEXT, print)


def test_a_folder_holds_a_text_per_file(tmp_path):
    for name, text in (("b/1.txt", "x\ny"), ("a/2.txt", "z"), ("a/1.TXT", "...")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    notes = []
    inputs, files = read_text_inputs(tmp_path, TEXT, notes.append)
    assert files == ("a/1.TXT", "a/2.txt", "b/1.txt")
    assert inputs["said"].tolist() == [["..."], ["z"], ["x\ny"]]
    assert notes == [f"{tmp_path}: 1 text holds no word, first a/1.TXT [wordless]"]
    (tmp_path / "a" / "x.png").touch()
    with pytest.raises(DatasetError, match=r"a/x.png cannot be read here; expected only .txt"):
        read_text_inputs(tmp_path, TEXT, print)


def test_a_model_of_other_columns_takes_no_text_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("a")
    with pytest.raises(
        InputError, match=r"x.txt is a text file, but the model takes a table's col"
    ):
        read_text_inputs(path, (*TEXT, RawColumn("n", "number")), print)
    with pytest.raises(
        InputError, match=r"is a folder of files, but the model takes a table's col"
    ):
        read_text_inputs(tmp_path, (RawColumn("n", "category"),), print)


def test_a_table_gives_its_column_as_it_stands(tmp_path):
    notes = []
    texts = ["One, Text", None, " na ", "-"]
    frame = pd.DataFrame({"other": range(4), "said": texts})
    for name in ("x.csv", "x.parquet"):
        path = tmp_path / name
        frame.to_csv(path, index=False) if name == "x.csv" else frame.to_parquet(path)
        found = read_raw_inputs(path, TEXT, notes.append)
        assert found["said"].tolist() == [["One, Text"], [""], [" na "], ["-"]]
        assert notes[-2:] == [
            f"{path}: columns that the model does not take were ignored: 'other'",
            f"{path}: 2 texts hold no word, first in row 2 [wordless]",
        ]


def test_what_is_read_as_texts_is_told_by_the_name(tmp_path):
    assert is_texts(tmp_path)
    assert is_texts(tmp_path / "x.TXT")
    assert not is_texts(tmp_path / "x.csv")
