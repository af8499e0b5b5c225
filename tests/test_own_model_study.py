"""A study of the user's own model, from the template to a prediction: the page's own commands."""

import csv
import json
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
import requests
from click.testing import CliRunner
from mlflow_servers import served_model
from own_models import TRANSFORMER

from pipeline.cli import main
from pipeline.search.space import space
from pipeline.training.own import registry

PAGE = (Path(__file__).parents[1] / "docs" / "own-model.md").read_text(encoding="utf-8")
SMALL = ("--epochs", "2", "--train-examples", "300", "--trials", "4", "--device", "cpu")

pytestmark = pytest.mark.filterwarnings(
    # As in tests/training/conftest.py: Keras 3.15 saves a model by copies that NumPy warns of.
    "ignore:__array__ implementation:DeprecationWarning",
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture(autouse=True)
def _forgotten():
    yield
    registry.forget()


def call(*words, code=0):
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    return done


def assert_served_as_predicted(folder, model, new, monkeypatch):
    """Compares a scoring server's answers with those of ``predict`` and of MLflow's pyfunc."""
    np.save("new.npy", new)
    asked = ("--model", model, "--input", "new.npy", "--probabilities")
    table = list(csv.reader(call("predict", *asked).stdout.splitlines()))
    predicted = np.array([row[3:] for row in table[1:]], dtype=float)
    # MLflow keeps a store of each address, so a relative one would be that of another test.
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    try:
        loaded = np.asarray(mlflow.pyfunc.load_model(model).predict(new))
    finally:
        mlflow.set_tracking_uri(None)
    assert len(loaded) == len(new) and np.ptp(loaded, axis=0).max() > 0.01
    with monkeypatch.context() as patch, served_model(folder, model, patch) as server:
        body = {"inputs": new.tolist()}
        answer = requests.post(f"{server}/invocations", json=body, timeout=60)
    assert answer.ok, answer.text
    served = np.array(answer.json()["predictions"])
    for way in (predicted, loaded):
        np.testing.assert_allclose(served, way, atol=1e-6, rtol=0)


def test_the_pages_function_makes_a_model_for_each_of_its_references(folder):
    from pipeline.training.own.making import made

    function, *_ = blocks("python")
    (text,) = blocks("yaml")
    (folder / "my_model.py").write_text(function)
    own = registry.family_of("my_model.py:build")
    loaded = space.parse(text.encode(), folder / "my_model.yaml", own=own)
    for reference in loaded.references:
        model, read = made(reference.config, (8, 8, 1), 10)
        assert model.output_shape == (None, 10)
        assert read == {"my_width", "my_l2", "my_rate"}


def test_the_template_is_written_once_and_its_space_is_valid(folder):
    done = call("space", "init", "--dataset", "digits", "--family-file", "my_model.py")
    assert done.stderr == (
        "model: my_model.py\nsearch space: my_model.yaml\n"
        "Next: pipeline search --dataset digits --family my_model.py:build\n"
    )
    checked = call("space", "check", "my_model.yaml", "--family", "my_model.py:build")
    assert "my_model.yaml: valid; 20 trials of at most 100 epochs; references: baseline" in (
        checked.stdout
    )
    again = call("space", "init", "--dataset", "digits", "--family-file", "my_model.py", code=2)
    assert "my_model.py is there already: give another name, or move it" in again.stderr
    wrong = call("space", "init", "--dataset", "digits", "--family-file", "model.txt", code=2)
    assert "--family-file model.txt: expected a name that ends in .py" in wrong.stderr


@pytest.mark.slow
def test_the_pages_commands_search_report_predict_and_serve(folder, monkeypatch):
    (commands,) = blocks("sh")
    words = [line.split()[1:] for line in commands.splitlines()]
    assert [line[0] for line in words] == ["space", "search", "search", "report"]
    call(*words[0])
    told = call(*words[1], *SMALL).stdout
    assert f"model: {folder / 'my_model.py'}:build, " in told
    assert "parameters in the largest of a few tries" in told
    # In workers, which import the file by its path.
    found = call(*words[2], *SMALL)
    assert "4 complete of 4 trials" in found.stdout
    assert "Next: pipeline report --study digits --family my_model.py:build" in found.stdout
    refused = call(*words[3][:3], "--seeds", "2", code=2)
    assert "the report on study 'digits' needs your model's code: give --family" in refused.stderr
    told = json.loads(call(*words[3], "--seeds", "2", "--format", "json").stdout)
    assert told["status"] == "ok" and told["model_uri"]
    assert {trial["config"]["family"] for trial in told["trials"]} == {"my_model.py:build"}
    assert all("my_rate" in trial["config"] for trial in told["trials"])
    # Once the choice is locked, no code is needed any more: not even the file.
    text = (folder / "my_model.py").read_text()
    (folder / "my_model.py").write_text("raise RuntimeError('it ran')")
    registry.forget()
    page = call("report", "--study", "digits", "--seeds", "2").stdout
    assert "my_model.py:build, my width" in " ".join(page.split())
    assert "depth 2" not in page and "width 64," not in page.replace("my width 64,", "")
    new = np.random.default_rng(0).integers(0, 17, (20, 8, 8, 1)).astype(np.uint8)
    # The file cannot be run now: what is delivered does without it.
    assert_served_as_predicted(folder, told["model_uri"], new, monkeypatch)
    (folder / "my_model.py").write_text(text + "# another one\n")
    changed = call(*words[2], *SMALL, code=2)
    assert "study 'digits': my_model.py was changed since the study began" in changed.stderr
    (folder / "my_model.py").write_text(text)
    run = told["trials"][0]["mlflow_run_id"]
    compared = call("reproduce", run, "--family", "my_model.py:build", "--device", "cpu")
    assert "The numbers agree." in compared.stdout


@pytest.mark.slow
def test_a_mistake_fails_its_trial_and_the_pages_python_goes_on(folder, capsys):
    """In this process, through ``search(family=...)``: one trial of three meets the mistake."""
    *_, python = blocks("python")
    call("space", "init", "--dataset", "digits", "--family-file", "my_model.py")
    text = (folder / "my_model.py").read_text()
    mistake = '    if config.my_rate == 0.4:\n        raise ValueError("my mistake")\n'
    head, line, rest = text.partition("    inputs = keras.Input(input_shape)\n")
    (folder / "my_model.py").write_text(head + mistake + line + rest)
    at = len((head + mistake).splitlines())
    few = "trials=3, epochs=1, train_examples=300, executor='inline', device='cpu'"
    code = python.replace("trials=20", few).replace("report()", "report(seeds=1)")
    names = {}
    exec(code, names)
    cause = f"OwnModelError: my_model.py, line {at}: ValueError: my mistake"
    states = {trial.number: (trial.state, trial.cause) for trial in names["study"].trials}
    assert states[1] == ("FAIL", cause)
    assert [states[number][0] for number in (0, 2)] == ["COMPLETE", "COMPLETE"]
    told = capsys.readouterr().err
    assert f"trials will fail with: my_model.py, line {at}: ValueError: my mistake" in told
    assert names["study"].rows()[2]["my_l2"] == 0.01


TOKENS = """\
family: own
trials: 3
epochs: 8
patience: 3
fixed: {batch_size: 16, learning_rate: 0.01, standardize: false, my_rate: 0.1}
search:
  my_width: [8, 12, 16]
references: {baseline: {my_width: 8}}
"""


@pytest.mark.slow
def test_a_transformer_on_token_ids_is_searched_confirmed_delivered_and_served(folder, monkeypatch):
    """Its blocks are in a file beside the model's, which is copied and watched with it."""
    head, blocks_of_it, rest = TRANSFORMER.partition("def build")
    (folder / "my_layers.py").write_text(head)
    (folder / "my_model.py").write_text("from my_layers import *\n\n\n" + blocks_of_it + rest)
    (folder / "my_model.yaml").write_text(TOKENS)
    inputs = np.random.default_rng(0).integers(1, 20, (400, 9))
    many_large = ((inputs > 10).sum(axis=1) > 4).astype(int)
    np.savez("tokens.npz", x=inputs.astype(np.float32), y=many_large)
    words = ("--dataset", "tokens.npz", "--family", "my_model.py:build")
    found = call("search", *words, "--device", "cpu").stdout
    assert "3 complete of 3 trials" in found and "Nothing can be recommended" not in found
    more = ("--seeds", "2", "--finalists", "2", "--format", "json")
    told = json.loads(call("report", "--study", "tokens", *words[2:], *more).stdout)
    assert told["status"] == "ok" and len(told["delivered"]["seeds"]) == 2
    assert_served_as_predicted(folder, told["model_uri"], inputs[:20].astype("f4"), monkeypatch)
    run = told["trials"][0]["mlflow_run_id"]
    assert "The numbers agree." in call("reproduce", run, *words[2:], "--device", "cpu").stdout
    with (folder / "my_layers.py").open("a") as file:
        file.write("# changed\n")
    changed = call("search", *words, "--trials", "4", code=2)
    assert "study 'tokens': my_layers.py was changed since the study began" in changed.stderr
