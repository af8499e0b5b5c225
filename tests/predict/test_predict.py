"""A model's predictions for a file; in the slow tests those of a searched, registered model."""

import contextlib
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from told_lines import Notes

from pipeline import datasets, tracking
from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.predict.inputs import Entrance
from pipeline.predict.predict import Predictions, _probabilities, as_csv, entrance_of, write
from pipeline.records import DatasetSpec
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search

SPACE = """
family: mlp
trials: 1
epochs: 3
patience: 3
fixed: {depth: 1, width: 16}
search:
  dropout_rate: {low: 0.0, high: 0.5}
references: {}
"""


def like_keras(shape, dtype, *layers):
    return SimpleNamespace(
        inputs=[SimpleNamespace(shape=(None, *shape), dtype=dtype)], layers=layers
    )


def test_what_a_model_takes_is_read_off_it():
    encoding = SimpleNamespace(num_tokens=500)
    assert entrance_of(like_keras((7,), "float32"), "m") == Entrance("features", (7,))
    assert entrance_of(like_keras((8, 8, 1), "float32"), "m") == Entrance("image", (8, 8, 1))
    tokens = entrance_of(like_keras((None,), "int32", encoding), "m")
    assert tokens == Entrance("tokens", (None,), 500)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (like_keras((None,), "float32"), r"m takes inputs of shape \[None\] \(float32\); expected"),
        (like_keras((3, 4), "float32"), r"m takes inputs of shape \[3, 4\]"),
        (SimpleNamespace(inputs=[1, 2], layers=()), "m takes 2 inputs; expected a model that"),
    ],
)
def test_a_model_of_another_kind_is_refused(model, message):
    with pytest.raises(InputError, match=message):
        entrance_of(model, "m")


@pytest.mark.parametrize(
    "outputs",
    [
        np.array([[0.5, 0.4]]),
        np.array([[1.5, -0.5]]),
        np.array([[np.nan, 1.0]]),
        np.ones((2, 1, 1)),
    ],
)
def test_outputs_that_are_no_probabilities_are_refused(outputs):
    with pytest.raises(InputError, match="that are no probabilities"):
        _probabilities(outputs, "m")


def test_the_csv_says_row_class_and_probability():
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    found = Predictions(probabilities, ("cat", 'a "big", dog'))
    assert "".join(as_csv(found)) == ('row,class,probability\n0,"a ""big"", dog",0.75\n1,cat,0.5\n')
    table = list(csv.reader(as_csv(found, every_class=True)))
    assert table[0] == ["row", "class", "probability", "p(cat)", 'p(a "big", dog)']
    assert table[1] == ["0", 'a "big", dog', "0.75", "0.25", "0.75"]


def test_an_output_that_cannot_be_written_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"--output .*: No such file or directory"):
        write(iter(["a"]), tmp_path / "nowhere" / "x.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "m.keras", "--input", "x.npx"], "files ending in '.npx' cannot be read"),
        (["--model", "m.keras", "--input", "y.npy"], "there is no file y.npy"),
        (
            ["--model", "m.keras", "--input", "x.npy"],
            "there is no model m.keras; expected",
        ),
        (["--model", "models:/a@b", "--input", "x.npy"], "there is no MLflow store"),
    ],
)
def test_what_is_not_there_is_one_message_and_nothing_is_made(
    arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((1, 3)))
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a searched study, its trial 0 registered."""
    from pipeline.training import backend

    path = tmp_path_factory.mktemp("predict")
    with contextlib.chdir(path):
        (path / "small.yaml").write_text(SPACE)
        options = SearchOptions(search_space="small.yaml", executor="inline")
        record = run_search(options, prepare(options), Notes())
        trial = tracking.connect().read_study("digits").trials[0]
        dataset = datasets.load(DatasetSpec("digits"))
        np.save("x.npy", dataset.validation.inputs)
        backend.prepare("auto", "float32", None)
        from pipeline.training import export

        store = tracking.connect()
        weights = store.load_weights(str(trial.mlflow_run_id))
        model = export.restore(trial.config, dataset, weights)
        names = [f"digit {number}" for number in range(10)]
        example = dataset.raw_example()
        store.register_model(
            str(record.run_id), model, example, "digits", names, tensor=dataset.raw_tensor()
        )
        model.save(path / "model.keras")
        yield path


def call(*arguments):
    result = CliRunner().invoke(main, ["predict", *arguments])
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(result.stdout.splitlines()))


slow = [
    pytest.mark.slow,
    # Keras hands its variables to numpy in a way that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


def marked(test):
    for mark in slow:
        test = mark(test)
    return test


@marked
def test_predictions_are_those_that_were_measured(folder):
    trial = tracking.connect().read_study("digits").trials[0]
    labels = datasets.load(DatasetSpec("digits")).validation.labels
    arguments = ("--input", "x.npy", "--probabilities", "--batch-size", "100")
    rows = call("--model", "models:/digits@champion", *arguments)
    assert [row["class"] for row in rows] == [f"digit {n}" for n in trial.validation.predicted]
    true = [float(row[f"p(digit {label})"]) for row, label in zip(rows, labels, strict=True)]
    np.testing.assert_allclose(true, np.exp(-trial.validation.nll), atol=1e-5)
    confidence = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(confidence, trial.validation.confidence, atol=1e-5)


@marked
def test_every_address_of_a_model_predicts_the_same(folder):
    run_id = str(tracking.connect().read_study("digits").run_id)
    (described,) = folder.rglob("MLmodel")
    addresses = ("models:/digits/1", f"runs:/{run_id}/model", str(described.parent))
    expected = call("--model", "models:/digits@champion", "--input", "x.npy")
    for address in addresses:
        assert call("--model", address, "--input", "x.npy") == expected
    unnamed = call("--model", "model.keras", "--input", "x.npy")
    assert [f"digit {row['class']}" for row in unnamed] == [row["class"] for row in expected]
    call("--model", "model.keras", "--input", "x.npy", "--output", "out.csv")
    assert list(csv.DictReader(Path("out.csv").read_text().splitlines())) == unnamed


@marked
def test_a_model_that_does_not_fit_is_one_message(folder):
    np.save("wide.npy", np.zeros((2, 8, 9)))
    (folder / "broken.keras").write_bytes(b"no archive")
    for arguments, message in [
        (
            ["model.keras", "wide.npy"],
            "[2, 8, 9, 1]; the model expects images [n, 8, 8, 1]",
        ),
        (["broken.keras", "x.npy"], "broken.keras cannot be read as a Keras model"),
        (
            ["models:/digit@champion", "x.npy"],
            "mean 'digits'?); there are: models:/digits@",
        ),
        (
            ["models:/digits/7", "x.npy"],
            "not found); there are: models:/digits@champion",
        ),
        (["runs:/0/model", "x.npy"], "there is no model runs:/0/model in sqlite:///"),
    ]:
        model, file = arguments
        result = CliRunner().invoke(main, ["predict", "--model", model, "--input", file])
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


@marked
def test_a_model_with_code_of_its_own_is_not_run(folder):
    import keras

    layers = [keras.Input((3,)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save("code.keras")
    result = CliRunner().invoke(main, ["predict", "--model", "code.keras", "--input", "x.npy"])
    assert result.exit_code == 2
    assert "code.keras cannot be read as a Keras model" in result.stderr


@marked
def test_the_model_takes_raw_inputs_where_it_is_served(folder, monkeypatch):
    """What ``mlflow models serve`` does with a request's JSON, without its server."""
    import mlflow
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.connect().tracking_uri)
    served = mlflow.pyfunc.load_model("models:/digits@champion")
    inputs = np.load("x.npy")[:5]
    request = json.loads(json.dumps({"inputs": inputs.tolist()}))
    parsed = infer_and_parse_data(request, served.metadata.get_input_schema())
    rows = call("--model", "models:/digits@champion", "--input", "x.npy")[:5]
    found = served.predict(parsed).max(axis=1)
    np.testing.assert_allclose(found, [float(row["probability"]) for row in rows], atol=1e-6)
    np.save("scaled.npy", np.load("x.npy") / 16)
    arguments = ["predict", "--model", "models:/digits@champion", "--input", "scaled.npy"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "as if the images were scaled to 0 to 1 already, but the model was tr" in result.stderr
    with pytest.raises(ValueError, match="the model was trained on images from 0 to 16"):
        served.predict(np.load("scaled.npy"))
    assert served.metadata.metadata["class_names"][3] == "digit 3"
