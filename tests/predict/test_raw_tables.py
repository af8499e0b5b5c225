"""A table with gaps, categories and dates: every way to the model gives the same probabilities."""

import contextlib
import csv
import json
import subprocess
import sys
import warnings
from io import StringIO

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from click.testing import CliRunner
from mlflow_servers import served_model
from real_studies import REAL_STUDY

from pipeline.cli import main
from pipeline.datasets.formats import raw_values
from pipeline.tracking.models.load import fetched

pytestmark = REAL_STUDY
SPACE = """
family: mlp
trials: 2
epochs: 25
patience: 25
fixed: {depth: 1, width: 16, batch_size: 16, learning_rate: 0.01}
search: {dropout_rate: {low: 0.0, high: 0.1}}
references: {baseline: {}}
"""
MODEL = "models:/mine-least-overfit@champion"


def frame(seed, rows=600):
    """Birds: what is big depends on the species, on a speed and on a moment in seconds."""
    rng = np.random.default_rng(seed)
    species = rng.choice(["a b", "ö", 'x;"y'], rows, p=[0.5, 0.3, 0.2])
    speed = rng.normal(50, 5, rows).round(2)
    stamp = 1_700_000_000 + 40 * rng.integers(0, 50, rows)
    big = np.where(species == "ö", speed > 47, speed > 53) & (stamp > 1_700_000_400)
    day = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(rows) + 1,
            "km/h": np.where(rng.random(rows) < 0.1, np.nan, speed),
            "species": pd.Series(species).where(rng.random(rows) > 0.05, None).to_numpy(object),
            "stamp": stamp,
            "when": day.strftime("%d.%m.%Y"),
            "flag": rng.random(rows) < 0.5,
            "code": rng.integers(1, 4, rows),
            "size": np.where(big, "big", "small"),
        }
    )


def call(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a searched, reported and registered study on the table."""
    path = tmp_path_factory.mktemp("raw tables")
    with contextlib.chdir(path):
        frame(0).to_csv("mine.csv", index=False, sep=";", decimal=",")
        (path / "small.yaml").write_text(SPACE)
        options = ("--label", "size", "--categorical", "code", "--search-space", "small.yaml")
        told = call("search", "--dataset", "mine.csv", *options, "--executor", "inline").stderr
        lines = {line.split("  ")[0]: line for line in told.splitlines()}
        assert "left out" in lines["id"]
        assert "gaps filled with the median and marked" in lines["km/h"]
        assert "date" in lines["when"]
        call("report", "--dataset", "mine.csv", "--seeds", "1")
        yield path


def predicted(name, *options):
    result = call("predict", "--model", MODEL, "--input", name, "--probabilities", *options)
    rows = list(csv.DictReader(StringIO(result.stdout)))
    found = np.array([[float(row["p(big)"]), float(row["p(small)"])] for row in rows])
    return found, result.stderr


@pytest.fixture(scope="module")
def here(folder):
    """What ``predict`` says of new rows, and these."""
    new = frame(1, 200)
    new.to_csv("new.csv", index=False)
    found, told = predicted("new.csv")
    assert "columns that the model does not take were ignored: 'id', 'size'" in told
    accuracy = (np.array(["big", "small"])[found.argmax(axis=1)] == new["size"]).mean()
    # A tenth of the speeds and a twentieth of the words are missing: nobody gets all right.
    assert accuracy > 0.8
    return new, found


def test_every_form_of_the_file_gives_the_same(here):
    new, expected = here
    turned = new[new.columns[::-1]]
    turned.to_csv("turned.csv.gz", index=False, sep=";", decimal=",")
    turned.to_csv("turned.tsv", index=False, sep="\t", na_rep="?", encoding="utf-16")
    turned.to_parquet("turned.parquet")
    turned.to_feather("turned.feather")
    for name in ("turned.csv.gz", "turned.tsv", "turned.parquet", "turned.feather"):
        np.testing.assert_array_equal(predicted(name)[0], expected)


def test_what_is_new_is_told_and_what_is_wrong_refused_by_name(here):
    few = frame(2, 3).astype({"stamp": float, "species": object})
    few.loc[0, "stamp"], few.loc[1, "species"] = np.nan, "dodo"
    few.to_csv("few.csv", index=False)
    told = predicted("few.csv")[1]
    assert "missing values in columns that had none in training were filled in: 'stamp' (1)" in told
    assert "words that were rare or absent in training count as others: 'species' ('dodo')" in told
    few.assign(when="soon", **{"km/h": "fast"}).to_csv("wrong.csv", index=False)
    result = CliRunner().invoke(main, ["predict", "--model", MODEL, "--input", "wrong.csv"])
    assert result.exit_code == 2
    assert "column 'km/h' holds 'fast' in row 1, no number" in result.stderr
    assert "column 'when' holds 'soon' in row 1; expected dates as %d.%m.%Y" in result.stderr
    few.drop(columns=["flag"]).to_csv("less.csv", index=False)
    result = CliRunner().invoke(main, ["predict", "--model", MODEL, "--input", "less.csv"])
    assert "less.csv lacks 1 of the model's 6 columns: 'flag'" in result.stderr


def test_the_decimal_mark_is_that_of_training_where_a_file_leaves_it_open(here):
    few = frame(3, 40).astype({"km/h": object})
    few["km/h"] = "1.061"
    few.to_csv("open.csv", index=False, sep=";")
    few.assign(**{"km/h": 1061.0}).to_parquet("said.parquet")
    found, told = predicted("open.csv")
    np.testing.assert_array_equal(found, predicted("said.parquet")[0])
    assert "'1.061' were read with the decimal mark of the training file, ','" in told
    few.assign(**{"km/h": 1.061}).to_parquet("point.parquet")
    found, told = predicted("open.csv", "--decimal", ".")
    np.testing.assert_array_equal(found, predicted("point.parquet")[0])
    assert "decimal mark" not in told
    few.loc[0, "km/h"] = "50.5"
    few.to_csv("clear.csv", index=False, sep=";")
    assert "have the decimal mark '.', in the training file ','" in predicted("clear.csv")[1]
    result = CliRunner().invoke(
        main, ["predict", "--model", MODEL, "--input", "clear.csv", "--decimal", ","]
    )
    assert "column 'km/h' holds '50.5' in row 1, no number with a decimal comma" in result.stderr


def test_pyfunc_takes_frames_as_pandas_reads_them(folder, here):
    new, expected = here
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        from mlflow import pyfunc
    try:
        model = pyfunc.load_model(MODEL)
        frames = [
            pd.read_csv("new.csv"),
            pd.read_parquet("turned.parquet"),
            new[new.columns[::-1]].astype({"code": float, "flag": object, "stamp": "Int64"}),
            new.assign(when=pd.to_datetime(new["when"], format="%d.%m.%Y")),
            new.assign(species=new["species"].astype("category"), more=1),
            new.astype({"species": "string"}),
            new.assign(**{"km/h": new["km/h"].map("{:.2f}".format).str.replace(".", ",")}),
        ]
        for one in frames:
            np.testing.assert_allclose(model.predict(one), expected, atol=1e-6)
        with pytest.raises(mlflow.MlflowException, match=r"Model is missing inputs \['flag'\]"):
            model.predict(new.drop(columns=["flag"]))
        with pytest.raises(ValueError, match=r"holds '5[.]5' in row 1, no number with"):
            model.predict(new.assign(**{"km/h": "5.5"}))
        with pytest.raises(ValueError, match="column 'km/h' holds 'fast' in row 1, no number"):
            model.predict(new.assign(**{"km/h": "fast"}))
    finally:
        mlflow.set_tracking_uri(None)


PLAIN = """
import sys
sys.modules["pipeline"] = None
import json, keras, numpy as np
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
with np.load("plain.npz") as stored:
    inputs = {name: stored[name] for name in stored.files}
np.save("plain.npy", np.asarray(model(inputs)))
"""


def test_plain_keras_loads_it_with_the_package_blocked(folder, here):
    new, expected = here
    with fetched(MODEL, f"sqlite:///{folder}/mlflow.db") as files:
        columns = [vars(column) for column in files.columns]
        described = [one | {"input": one["name"].replace("/", "|")} for one in columns]
        inputs = raw_values.model_inputs(described, new)
        plain = {name: array.astype(str) for name, array in inputs.items() if array.dtype == object}
        np.savez("plain.npz", **inputs | plain)
        command = [sys.executable, "-c", PLAIN, str(files.file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load("plain.npy"), expected, atol=1e-6)


def test_mlflow_serves_it_in_json_with_gaps(folder, here, monkeypatch):
    new, expected = here
    with served_model(folder, MODEL, monkeypatch) as address:
        split = json.loads(new.to_json(orient="split", index=False))
        records = json.loads(new[new.columns[::-1]].to_json(orient="records"))
        assert any(None in row for row in split["data"])
        for body in ({"dataframe_split": split}, {"dataframe_records": records}):
            answer = requests.post(f"{address}/invocations", json=body, timeout=60)
            assert answer.ok, answer.text
            np.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-6)
