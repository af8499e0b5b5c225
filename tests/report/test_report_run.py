"""From a study to its report with real networks: killed, resumed, locked, read once, registered.

What needs no network is tested on scripted studies, in ``test_lock_and_read``.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import keras
import mlflow.keras
import numpy as np
import pytest
import requests
from click.testing import CliRunner
from mlflow_servers import served_model
from real_studies import REAL_STUDY
from sklearn.datasets import load_digits, load_iris
from stopped_commands import stopped_at
from told_lines import Notes

from pipeline import tracking
from pipeline.cli import main
from pipeline.datasets import SealedTest
from pipeline.report import run as module
from pipeline.report.options import ReportOptions
from pipeline.report.render.json import as_json
from pipeline.report.render.text import as_text
from pipeline.report.run import make_report
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search
from pipeline.tracking.models.load import fetched
from pipeline.training import export

pytestmark = REAL_STUDY

SPACE = """
family: mlp
trials: 4
epochs: 4
patience: 4
fixed: {depth: 1, width: 32}
search:
  dropout_rate: {low: 0.0, high: 0.5}
references:
  baseline: {depth: 1, width: 32}
"""


def search(trials):
    options = SearchOptions(search_space="small.yaml", executor="inline", trials=trials)
    run_search(options, prepare(options), Notes())


def report(**options):
    said = []
    return make_report(ReportOptions(**{"study": "digits"} | options), said.append), said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a searched study; the tests below run in order and share it."""
    path = tmp_path_factory.mktemp("study")
    with contextlib.chdir(path):
        (path / "small.yaml").write_text(SPACE)
        search(trials=4)
        yield path


@pytest.fixture
def reads(monkeypatch):
    """The locks with which the test part was read."""
    locks = []
    original = SealedTest.read

    def counted(self, lock):
        locks.append(lock)
        return original(self, lock)

    monkeypatch.setattr(SealedTest, "read", counted)
    return locks


def stored():
    store = tracking.connect()
    run_id = store.read_study(study="digits").run_id
    return store, run_id


def finalists_of(store, run_id):
    experiment = store.get_run(run_id).info.experiment_id
    runs = store.search_runs([experiment], "tags.role = 'finalist'")
    return {run.info.run_id: run.data.tags.get("state") for run in runs}


def test_a_report_killed_among_its_finalists_loses_none_that_ended(folder):
    arguments = stopped_at("(1/", "report", "--seeds", "2", "--finalists", "2")
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as running:
        said = next(line for line in running.stderr if "(1/" in line)
        running.kill()
        running.communicate()
    assert said.startswith("finalist ")
    store, run_id = stored()
    assert store.tag(run_id, "selection_locked") is None
    ended = {run for run, state in finalists_of(store, run_id).items() if state == "COMPLETE"}
    first, said = report(seeds=2, finalists=2)
    used = {run.mlflow_run_id for f in first.confirmation.finalists for run in f.runs}
    assert ended and ended <= used
    trained = [line for line in said if line.startswith("finalist ")]
    assert len(trained) == len(used) - len(ended)
    assert "RUNNING" not in {run.info.status for run in map(store.get_run, used)}


def test_the_first_report_locked_and_read_the_test_part_once(folder, reads):
    again, said = report()
    store, run_id = stored()
    assert (store.test_reads(run_id), reads, said) == (1, [], [])
    assert store.read_selection(run_id)["winner"] == again.selection.winner
    assert again.test.reads == 1
    assert again.model_uri == store.tag(run_id, "model_uri") == "models:/digits-least-overfit/1"


def test_every_page_is_kept_and_a_second_report_shows_the_same(folder):
    store, run_id = stored()
    pages = {entry.path for entry in store.list_artifacts(run_id, "report")}
    assert pages >= {"report/report.json", "report/report.md", "report/report.html"}
    pictures = [name for name in pages if name.endswith(".png")]
    assert pictures
    assert store.read_file(run_id, pictures[0]).startswith(b"\x89PNG")
    assert b"<html" in store.read_file(run_id, "report/report.html")[:500]
    kept = json.loads(store.read_file(run_id, "report/report.json"))
    assert as_json(report()[0]) == kept


@contextlib.contextmanager
def users_mlflow(tracking_uri):
    """MLflow as a user's own script has it, which loads the model without this package."""
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)


def test_the_registered_model_is_what_is_delivered(folder, recwarn):
    """What was recorded per test example is what the registered model predicts."""
    shown, _ = report()
    store, _ = stored()
    address = "models:/digits-least-overfit@champion"
    with fetched(address) as files:
        model = files.load()
    with users_mlflow(store.tracking_uri):
        assert mlflow.keras.load_model(address).optimizer.built
    assert not [w for w in recwarn if "optimizer" in str(w.message)]
    dataset = module.load_dataset(shown.study, None)
    part = dataset.validation
    probabilities = np.asarray(model.predict(part.inputs, verbose=0))
    nll = -np.log(probabilities[np.arange(len(part.labels)), part.labels])
    assert float(nll.mean()) == pytest.approx(shown.delivered.measurement.val_ce, rel=1e-3)
    runs = shown.finalist(shown.selection.winner).runs
    delivered = ",".join(str(run.mlflow_run_id) for run in runs)
    assert store.tag(shown.study.run_id, "delivered_run") == delivered


def test_every_way_to_the_ensemble_gives_the_mean_of_its_branches(folder, monkeypatch):
    """Saved, in MLflow in both its flavors, and from a real scoring server."""
    shown, _ = report()
    store, _ = stored()
    dataset = module.load_dataset(shown.study, None)
    inputs = dataset.validation.inputs[:60]
    runs = shown.parts(shown.selection.winner)
    networks = [
        export.delivered(run.config, dataset, [store.load_weights(str(run.mlflow_run_id))])
        for run in runs
    ]
    branches = [network.predict(inputs, verbose=0) for network in networks]
    assert len(branches) == 2 and np.abs(branches[0] - branches[1]).max() > 1e-2
    address = "models:/digits-least-overfit@champion"
    with fetched(address) as files:
        found = {"keras": keras.saving.load_model(files.file).predict(inputs, verbose=0)}
    with users_mlflow(store.tracking_uri):
        found["mlflow.keras"] = mlflow.keras.load_model(address).predict(inputs, verbose=0)
        found["mlflow.pyfunc"] = mlflow.pyfunc.load_model(address).predict(inputs)
    with served_model(folder, address, monkeypatch) as server:
        body = {"inputs": inputs.tolist()}
        answer = requests.post(f"{server}/invocations", json=body, timeout=60)
    assert answer.ok, answer.text
    found["mlflow models serve"] = np.array(answer.json()["predictions"])
    for way, given in found.items():
        mean = np.mean(branches, axis=0)
        np.testing.assert_allclose(given, mean, atol=1e-6, rtol=0, err_msg=way)


def test_another_rule_is_a_what_if_beside_the_locked_result(folder, reads):
    other, said = report(rule="best_val")
    assert (other.test, other.model_uri, reads, said) == (None, None, [], [])
    locked = report()[0]
    page = " ".join(as_text(other).split())
    assert f"what-if: the choice is locked on trial {locked.selection.winner}, made by" in page
    assert other.extras[f"Test, locked trial {locked.selection.winner}"].startswith("accuracy ")
    assert other.extras["Model of the locked trial"] == "models:/digits-least-overfit/1"


def test_a_forced_second_reading_is_counted(folder, reads):
    forced, said = report(seeds=2, finalists=2, read_test_again=True)
    assert (forced.test.reads, len(reads)) == (2, 1)
    assert not [line for line in said if line.startswith("training")]
    assert "read 2 times" in " ".join(as_text(forced).split())


def test_a_report_on_part_of_a_study_says_so(folder):
    store, run_id = stored()
    store.set_tag(run_id, "trials_total", "10")
    assert report()[0].selection.notes[-1].startswith("the study has 4 of 10 trials: ")


def test_shuffled_labels_deliver_nothing(folder, reads):
    """A whole search where there is nothing to learn: no finalist, no model, exit code 3."""
    inputs, labels = load_digits(return_X_y=True)
    shuffled = np.random.default_rng(0).permutation(labels)
    np.savez("shuffled.npz", x=inputs.astype(np.float32), y=shuffled)
    options = SearchOptions(
        dataset="shuffled.npz", search_space="small.yaml", executor="inline", trials=4
    )
    run_search(options, prepare(options), Notes())
    result = CliRunner().invoke(main, ["report", "--dataset", "shuffled.npz", "--format", "json"])
    assert result.exit_code == 3, result.output
    assert json.loads(result.stdout)["status"] == "no_skill"
    store, _ = stored()
    names = [model.name for model in store.search_registered_models()]
    assert "shuffled-least-overfit" not in names
    assert reads == []
    run_id = store.read_study(study="shuffled").run_id
    assert (store.tag(run_id, "selection_locked"), store.test_reads(run_id)) == (None, 0)


def separable(num, rare, rng):
    """Two classes far apart, a share of ``rare`` of them in the second."""
    labels = (np.arange(num) < round(num * rare)).astype(int)
    return rng.normal(size=(num, 4)) + 8.0 * labels[:, None], labels


def hardly_above_the_majority(rng):
    inputs = rng.normal(size=(3000, 2))
    rare = 1.0 / (1.0 + np.exp(2.9 - inputs[:, 0] - 0.8 * inputs[:, 1]))
    return inputs, (rng.random(3000) < rare).astype(int)


UNBALANCED = {
    "ninety-nine": lambda rng: separable(2500, 0.01, rng),
    "ninety-five": lambda rng: separable(500, 0.05, rng),
    "iris": lambda rng: load_iris(return_X_y=True),
    "hardly-above": hardly_above_the_majority,
    "noise": lambda rng: (rng.normal(size=(1000, 4)), (rng.random(1000) < 0.3).astype(int)),
    "twenty-eight": lambda rng: separable(28, 0.5, rng),
}


@pytest.mark.parametrize("name", UNBALANCED)
def test_the_guard_tells_skill_from_chance_where_classes_are_unbalanced_or_few(folder, name):
    inputs, labels = UNBALANCED[name](np.random.default_rng(3))
    np.savez(f"{name}.npz", x=inputs.astype(np.float32), y=labels)
    # So many epochs that 90 training examples are learned, too, a few steps each.
    longer = SPACE.replace("epochs: 4", f"epochs: {40 if len(labels) < 200 else 12}")
    (folder / "quick.yaml").write_text(
        longer.replace("width: 32}", "width: 32, batch_size: 16}", 1)
    )
    options = SearchOptions(dataset=f"{name}.npz", search_space="quick.yaml", executor="inline")
    run_search(options, prepare(options), Notes())
    found = report(study=name, seeds=1)[0].selection
    if name in ("noise", "twenty-eight"):
        assert (found.status, found.winner) == ("no_skill", None)
    else:
        assert found.status == "ok"
    too_small = any("is too small to tell skill from chance" in note for note in found.notes)
    assert too_small == (name == "twenty-eight")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ("width: 1, learning_rate: 0.05", "ok"),
        ("width: 32, learning_rate: 1e6", "no_skill"),
        # The output layer carries no penalty, and learns from what is left of the hidden one.
        ("width: 32, regularizer: l2, lambda_l2: 1e9", "ok"),
    ],
)
def test_extreme_networks_are_measured_and_judged(folder, changed, status):
    text = SPACE.replace("width: 32}", f"{changed}}}", 1).replace("epochs: 4", "epochs: 8")
    (folder / "extreme.yaml").write_text(text)
    study = f"extreme-{status}-{len(changed)}"
    options = SearchOptions(
        search_space="extreme.yaml", executor="inline", trials=3, study=study, references=False
    )
    run_search(options, prepare(options), Notes())
    assert report(study=study, seeds=1)[0].selection.status == status
