"""A table's columns have names: the model that comes of it takes them in any order."""

import contextlib
import csv
import warnings
from io import StringIO

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from real_studies import REAL_STUDY

from pipeline.cli import main

pytestmark = REAL_STUDY
SPACE = """
family: mlp
trials: 2
epochs: 15
patience: 15
fixed: {depth: 1, width: 16, batch_size: 16, learning_rate: 0.01}
search: {dropout_rate: {low: 0.0, high: 0.2}}
references: {baseline: {}}
"""
MODEL = "models:/mine-least-overfit@champion"
FEATURES = ["a", "b", "c"]


def frame(seed, rows=800):
    """A table whose class is the size of a; b and c have no part in it and larger scales."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, rows)
    columns = {
        "b": rng.normal(100, 1, rows),
        "c": rng.integers(990, 1010, rows),
        "a": rng.normal(3 * kind, 1),
        "kind": kind,
        "one": 1,
    }
    return pd.DataFrame(columns)


def call(*arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a searched, reported and registered study on a table."""
    path = tmp_path_factory.mktemp("tables")
    with contextlib.chdir(path):
        frame(0).to_csv("mine.csv", index=False)
        (path / "small.yaml").write_text(SPACE)
        options = ("--label", "kind", "--search-space", "small.yaml", "--executor", "inline")
        told = call("search", "--dataset", "mine.csv", *options).stderr
        assert "label 'kind' (2 classes); features (3): b, c, a" in told
        assert "left out, because every row has the same value: 'one'" in told
        call("report", "--dataset", "mine.csv", "--seeds", "1")
        yield path


def predicted(table, name="new.csv"):
    getattr(table, "to_csv" if name.endswith("csv") else "to_parquet")(name, index=False)
    result = call("predict", "--model", MODEL, "--input", name, "--probabilities")
    rows = list(csv.DictReader(StringIO(result.stdout)))
    return np.array([[float(row["p(0)"]), float(row["p(1)"])] for row in rows]), result.stderr


def test_columns_in_another_order_give_the_same_and_extra_ones_are_told(folder):
    new = frame(1, 200)
    here, told = predicted(new)
    assert (here.argmax(axis=1) == new["kind"]).mean() > 0.88
    assert "columns that the model does not take were ignored: 'kind', 'one'" in told
    for name in ("shuffled.csv", "shuffled.parquet"):
        shuffled, told = predicted(new[FEATURES], name)
        np.testing.assert_array_equal(shuffled, here)
        assert "ignored" not in told


def test_a_missing_or_renamed_column_is_refused_by_name(folder):
    frame(1, 20).rename(columns={"a": "A"}).to_csv("renamed.csv", index=False)
    result = CliRunner().invoke(main, ["predict", "--model", MODEL, "--input", "renamed.csv"])
    assert result.exit_code == 2
    assert "renamed.csv lacks 1 of the model's 3 columns: 'a'" in str(result.exception or "") + (
        result.stderr
    )


def test_pyfunc_and_plain_keras_agree_with_predict(folder):
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        from mlflow import keras as mlflow_keras
        from mlflow import pyfunc
    try:
        new = frame(2, 50)
        here, _ = predicted(new)
        model = pyfunc.load_model(MODEL)
        for table in (new, new[FEATURES], new.sample(frac=1, random_state=0).sort_index()):
            np.testing.assert_allclose(model.predict(table), here, atol=1e-6)
        tail = model.predict(new[FEATURES][30:])
        np.testing.assert_allclose(tail, here[30:], atol=1e-6)
        whole = pd.DataFrame({"a": [0, 3], "c": [1000, 1000], "b": [100, 100]})
        np.testing.assert_allclose(
            model.predict(whole), model.predict(whole.astype("float64")), atol=1e-6
        )
        with pytest.raises(mlflow.MlflowException, match=r"Model is missing inputs \['a'\]"):
            model.predict(new[["b", "c"]])
        plain = mlflow_keras.load_model(MODEL)
        raw = new[["b", "c", "a"]].to_numpy("float32")
        np.testing.assert_allclose(plain.predict(raw, verbose=0), here, atol=1e-6)
    finally:
        mlflow.set_tracking_uri(None)
