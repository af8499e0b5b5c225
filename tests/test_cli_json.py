"""One JSON object on stdout, whatever command gives it, and every key of it is documented."""

import json
import math
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline import datasets, doctor, reproduce
from pipeline.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "command-json.md").read_text(encoding="utf-8")


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    return lambda *arguments: CliRunner().invoke(main, arguments)


def documented(heading):
    """Returns the keys that the page explains in the tables below a heading, in their order."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, heading
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def parsed(result, code=0):
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("datasets", "list", "--format", "json"),
        ("datasets", "--format", "json"),
        ("datasets", "--format", "json", "list"),
    ],
)
def test_datasets_are_listed_as_json(arguments, call):
    result = call(*arguments)
    found = parsed(result)
    assert [*found, *found["datasets"][0]] == documented("`pipeline datasets list`")
    assert [entry["name"] for entry in found["datasets"]] == list(datasets.names())
    digits = next(entry for entry in found["datasets"] if entry["name"] == "digits")
    assert digits["availability"] == "with scikit-learn"
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [("show", "digits", "--format", "json")])
def test_a_dataset_is_shown_as_json(arguments, call, tmp_path):
    result = call("datasets", *arguments)
    found = parsed(result)
    assert list(found) == documented("`pipeline datasets show`")
    assert (found["name"], found["input_shape"], found["picture"]) == ("digits", [8, 8, 1], None)
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []
    shown = parsed(call("datasets", *arguments, "--picture", "digits.png"))
    assert shown == found | {"picture": "digits.png"}


def test_the_doctor_answers_as_json(call, monkeypatch):
    ready = doctor.Finding("ok", "backend", "tensorflow, trains on cpu")
    monkeypatch.setattr(doctor, "backend_found", lambda say: iter([ready]))
    found = parsed(call("doctor", "--format", "json"))
    assert [*found, *found["findings"][0]] == documented("`pipeline doctor`")
    assert (found["ready"], found["problems"]) == (True, 0)
    subjects = {finding["subject"] for finding in found["findings"]}
    assert {"python", "keras", "storage", "mlflow store", "backend"} <= subjects
    broken = parsed(call("doctor", "--format", "json", "--storage", "no/x.journal"), code=1)
    assert (broken["ready"], broken["problems"]) == (False, 1)
    (problem,) = (one for one in broken["findings"] if one["status"] == "problem")
    assert problem["subject"] == "storage"
    assert problem["remedy"] == "Create no, or give another --storage"


def test_the_doctor_shows_no_password_as_json(call, monkeypatch):
    ready = doctor.Finding("ok", "backend", "tensorflow, trains on cpu")
    monkeypatch.setattr(doctor, "backend_found", lambda say: iter([ready]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret-word@127.0.0.1:9")
    result = call("doctor", "--format", "json")
    assert parsed(result, code=1)["problems"] == 1
    assert "secret-word" not in result.output


def test_a_search_space_is_checked_as_json(call):
    found = parsed(result := call("space", "check", "digits", "--format", "json"))
    *keys, last = found
    assert [*keys, *found["hyperparameters"][0], last] == documented("`pipeline space check`")
    assert (found["family"], found["trials"], found["next"]) == (
        "mlp", 30, "pipeline search --dataset NAME --search-space digits"
    )  # fmt: skip
    rows = {row["name"]: row for row in found["hyperparameters"]}
    assert rows["dropout_rate"]["role"] == "searched"
    assert rows["lambda_l2"]["condition"] == "regularizer is l2 or l1_l2"
    assert result.stderr == ""


def test_what_is_trained_again_is_compared_as_json(call, monkeypatch):
    rows = (reproduce.Row("val_ce", 0.5, 0.5, 0.1), reproduce.Row("gap_ce", 0.1, math.nan, 0.1))
    compared = [reproduce.Comparison("Trial 3", rows[:1], ("Note.",), study="digits")]
    monkeypatch.setattr(reproduce, "retrain", lambda *asked: tuple(compared))
    found = parsed(result := call("reproduce", "abc", "--format", "json"))
    study, agrees, comparisons, last = found
    keys = [study, agrees, comparisons, *found["comparisons"][0], last]
    assert keys == documented("`pipeline reproduce`")
    quantity = {
        "quantity": "val_ce", "recorded": 0.5, "reproduced": 0.5, "tolerance": 0.1, "within": True,
    }  # fmt: skip
    assert found == {
        "study": "digits", "agrees": True, "next": "pipeline report --study digits",
        "comparisons": [
            {"title": "Trial 3", "agrees": True, "quantities": [quantity], "notes": ["Note."]}
        ],
    }  # fmt: skip
    assert result.stderr == ""
    compared.append(reproduce.Comparison("Trial 4", rows, (), study="digits"))
    found = parsed(call("reproduce", "abc", "--format", "json"), code=1)
    assert (found["agrees"], found["next"]) == (False, "pipeline doctor")
    assert found["comparisons"][1]["quantities"][1]["reproduced"] is None
    text = call("reproduce", "abc")
    assert (text.exit_code, text.stderr) == (1, "Next: pipeline doctor\n")
