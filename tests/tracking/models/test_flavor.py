"""What is written beside a model that checks what it takes: no import of this package."""

import ast
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets.dataset import RawColumn
from pipeline.tracking.models.flavor import described_columns, write_table_code, write_tensor_code
from pipeline.tracking.models.served_table import ServedTable

COLUMNS = (
    RawColumn("km/h", "number", gaps=True),
    RawColumn("when", "date", "%d.%m.%Y"),
    RawColumn("word", "category"),
    RawColumn("code", "category", "number"),
)
FRAME = pd.DataFrame(
    {
        "code": [1.0, 2.0, np.nan],
        "more": 1,
        "word": [" a", None, "?"],
        "when": ["01.01.1970", None, "1970-01-02"],
        "km/h": [1, 2, 3],
    }
)


class Model:
    """Stands for the Keras model: gives the numbers that it takes, and the lengths of the words."""

    def __call__(self, inputs, training):
        assert training is False
        words = np.char.str_len(np.concatenate([inputs["word"], inputs["code"]], 1).astype(str))
        return np.concatenate([inputs["km|h"], inputs["when"], words], axis=1)


EXPECTED = [[1, 0, 1, 1], [2, np.nan, 0, 1], [3, 86_400, 0, 0]]


def test_a_frame_becomes_what_the_model_takes():
    served = ServedTable(Model(), described_columns(COLUMNS))
    np.testing.assert_array_equal(served.predict(FRAME), EXPECTED)
    np.testing.assert_array_equal(served.predict(FRAME.astype({"km/h": "Int64"})), EXPECTED)
    np.testing.assert_array_equal(served.predict(pd.concat([FRAME] * 900)), EXPECTED * 900)


def test_a_frame_that_does_not_fit_is_refused_by_name():
    served = ServedTable(Model(), described_columns(COLUMNS))
    with pytest.raises(ValueError, match=r"the model's columns \['word'\] are missing"):
        served.predict(FRAME.drop(columns="word"))
    wrong = FRAME.assign(when=[1, 2, 3], **{"km/h": ["x", 1, 2]})
    with pytest.raises(
        ValueError, match="'km/h' holds 'x' in row 1, no number; column 'when' holds"
    ):
        served.predict(wrong)


TOKENS = {"kind": "tokens", "num_words": 20}


def without_the_package(folder, loader, values):
    """Checks what the modules beside a model import, and that they can be imported."""
    imported = set()
    for file in (folder / "code").iterdir():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    allowed = {"keras", "numpy", "pandas", *sys.stdlib_module_names}
    assert imported - allowed == {values}
    script = f"import sys; sys.modules['pipeline'] = None; import {loader} as s; s._load_pyfunc"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder / "code")
    assert done.returncode == 0, done.stderr


def test_the_code_beside_a_model_does_without_the_package(tmp_path):
    (tmp_path / "data").mkdir()
    said = write_table_code(tmp_path, "data", described_columns(COLUMNS))
    loader = "least_overfit_served_table"
    assert said == {"loader_module": loader, "code": "code", "data": "data"}
    without_the_package(tmp_path, loader, "least_overfit_raw_values")
    columns = json.loads((tmp_path / "data" / "columns.json").read_text())
    assert columns[0] == {
        "name": "km/h", "kind": "number", "form": "", "gaps": True, "input": "km|h",
    }  # fmt: skip


def test_the_code_beside_a_model_of_one_array_does_without_the_package(tmp_path):
    (tmp_path / "data").mkdir()
    said = write_tensor_code(tmp_path, "data", TOKENS)
    loader = "least_overfit_served_tensor"
    assert said == {"loader_module": loader, "code": "code", "data": "data"}
    without_the_package(tmp_path, loader, "least_overfit_raw_tensors")
    assert json.loads((tmp_path / "data" / "tensor.json").read_text()) == TOKENS
