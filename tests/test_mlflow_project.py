"""A search and a report through the real ``mlflow run``, in a copy of the project's own files.

One run is made for all tests here; each looks at another side of what it left behind.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import own_models
import pytest

ROOT = Path(__file__).parents[1]
BESIDE_PYTHON = Path(sys.executable).parent
TRIALS, EPOCHS = 7, 3
JAX = {"KERAS_BACKEND": "jax"}
"""Where what is trained does not matter: it is imported and compiled sooner."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Ran:
    """A copy of the project in which ``mlflow run`` ended."""

    folder: Path
    status: int
    output: str

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"


def copy_of_the_project(folder: Path) -> Path:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"],
        capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout: " + listed.stderr.strip())
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def environment() -> dict[str, str]:
    """The caller's, without addresses of MLflow, and with this Python found first."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "PYTHON", "VIRTUAL_ENV"))
    }
    return kept | {"PATH": f"{BESIDE_PYTHON}{os.pathsep}{os.environ['PATH']}"}


def mlflow_run(folder: Path, *arguments: str, manager: str = "local", **variables: str) -> Ran:
    words = [str(BESIDE_PYTHON / "mlflow"), "run", ".", "--env-manager", manager, *arguments]
    own = environment() | {"MLFLOW_ENV_ROOT": str(folder / "environments")} | variables
    done = subprocess.run(
        words, cwd=folder, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=500,
    )  # fmt: skip
    return Ran(folder, done.returncode, done.stdout)


def report(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "report", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = copy_of_the_project(tmp_path_factory.mktemp("project"))
    return mlflow_run(
        folder, "-P", "dataset=digits", "-P", f"trials={TRIALS}", "-P", f"epochs={EPOCHS}",
        "-P", "study=a study's name", "-P", "workers=auto",
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(ran):
    """Every run in the store, as MLflow tells: ``(client, parent, children)``."""
    from mlflow import MlflowClient

    client = MlflowClient(ran.uri)
    found = every_run(client)
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1, [run.info.run_name for run in parents]
    children = {
        int(run.data.tags["trial"]): run for run in found if run.data.tags["role"] == "trial"
    }
    owners = {run.data.tags["mlflow.parentRunId"] for run in children.values()}
    assert owners == {parents[0].info.run_id}
    return client, parents[0], children


def every_run(client, condition=""):
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(experiments, filter_string=condition)


@pytest.fixture(scope="module")
def reported(ran, runs):
    done = report(ran.folder, "--study", "a study's name", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_ends_well_in_a_table_that_names_a_winner(ran):
    assert ran.status == 0, ran.output
    assert "overfits least on digits" in ran.output
    assert "Test part (read once)" in ran.output
    assert "--workers auto: " in ran.output


def test_the_study_is_one_run_in_the_experiment_of_every_study(ran, runs):
    client, parent, children = runs
    assert client.get_experiment(parent.info.experiment_id).name == "least-overfit"
    assert parent.data.tags["study"] == "a study's name"
    assert parent.info.status == "FINISHED"
    assert sorted(children) == list(range(TRIALS))
    assert {run.info.status for run in children.values()} == {"FINISHED"}


def test_its_params_are_the_few_that_matter_and_the_space_is_a_file(runs):
    client, parent, _ = runs
    assert 10 <= len(parent.data.params) <= 20
    assert "auto" not in parent.data.params.values()
    assert (parent.data.params["epochs"], parent.data.params["family"]) == (str(EPOCHS), "mlp")
    assert parent.data.params["search.dropout_rate"] == "0 to 0.7"
    files = [entry.path for entry in client.list_artifacts(parent.info.run_id)]
    assert "search_space.yaml" in files


def test_the_run_that_mlflow_made_is_a_child_of_the_study(ran, runs):
    client, parent, _ = runs
    (command,) = every_run(client, "tags.role = 'command'")
    assert f"=== Run (ID '{command.info.run_id}') succeeded ===" in ran.output
    assert command.data.tags["mlflow.project.entryPoint"] == "main"
    assert command.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert command.data.params["trials"] == str(TRIALS)
    assert command.info.status == "FINISHED"


def test_parameters_arrive(runs):
    _, parent, children = runs
    assert parent.data.tags["trials_total"] == str(TRIALS)
    assert all(run.data.metrics["epochs"] <= EPOCHS for run in children.values())
    assert max(run.data.metrics["epochs"] for run in children.values()) == EPOCHS


def test_json_and_mlflow_hold_the_same_numbers(runs, reported):
    _, parent, children = runs
    assert reported["status"] == "ok"
    assert parent.data.tags["winner"] == str(reported["winner"])
    measures = ("val_ce", "val_accuracy", "train_ce", "train_accuracy", "gap_ce", "gap_ce_se",
                "gap_accuracy", "penalty", "best_epoch")  # fmt: skip
    for trial in reported["trials"]:
        run = children[trial["number"]]
        assert trial["mlflow_run_id"] == run.info.run_id
        assert trial["verdict"] == run.data.tags["verdict"]
        for name in measures:
            assert trial[name] == run.data.metrics[name], (trial["number"], name)
    for name in ("ce", "ce_low", "ce_high", "accuracy", "gap_ce", "gap_ce_low", "gap_ce_high"):
        assert reported["test"][name] == parent.data.metrics[f"test_{name}"], name


def test_reading_the_report_again_does_not_read_the_test_part_again(ran, runs, reported):
    client, parent, _ = runs
    again = report(ran.folder, "--study", "a study's name", "--format", "json")
    assert json.loads(again.stdout) == reported
    assert reported["test"]["reads"] == 1
    assert client.get_run(parent.info.run_id).data.tags["test_reads"] == "1"


def test_the_champion_is_registered(runs, reported):
    client, parent, _ = runs
    version = client.get_model_version_by_alias("digits-least-overfit", "champion")
    assert reported["model_uri"] == f"models:/digits-least-overfit/{version.version}"
    assert version.run_id == parent.info.run_id


def test_the_same_command_again_reads_nothing_and_registers_nothing(ran, runs, reported):
    """It stands behind the tests of the first run."""
    client, first, _ = runs
    for _ in range(2):
        done = mlflow_run(
            ran.folder, "-P", "dataset=digits", "-P", f"trials={TRIALS}", "-P", f"epochs={EPOCHS}",
            "-P", "study=a study's name",
        )  # fmt: skip
        assert done.status == 0, done.output
        assert "Test part (read once)" in done.output
        assert "reading the test part" not in done.output
        assert "registering the model" not in done.output
    (parent,) = every_run(client, "tags.role = 'study'")
    assert parent.info.run_id == first.info.run_id
    assert parent.data.tags["test_reads"] == "1"
    assert len(every_run(client, "tags.role = 'command'")) == 3
    versions = client.search_model_versions("name='digits-least-overfit'")
    assert [str(version.version) for version in versions] == [reported["model_uri"].split("/")[-1]]
    shown = json.loads(report(ran.folder, "--study", "a study's name", "--format", "json").stdout)
    assert shown == reported


def test_a_switch_can_be_turned_off_and_the_search_entry_point_reports_nothing(tmp_path):
    folder = copy_of_the_project(tmp_path)
    quick = ("-P", "trials=2", "-P", "epochs=1", "-P", "references=no-references")
    done = mlflow_run(folder, "-e", "search", *quick, **JAX)
    assert done.status == 0, done.output
    assert "(baseline)" not in done.output
    assert "overfits least" not in done.output
    shown = report(folder, "--format", "json", "--rule", "best_val")
    assert [trial["name"] for trial in json.loads(shown.stdout)["trials"]] == [None, None]


def test_a_file_of_ones_own_is_searched_and_reported(tmp_path):
    folder = copy_of_the_project(tmp_path)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 5)).astype("float32")
    np.savez(folder / "mine.npz", x=inputs, y=(inputs[:, 0] > 0).astype("int32"))
    few = ("-P", "trials=2", "-P", "epochs=3", "-P", "seeds=2", "-P", "finalists=2")
    done = mlflow_run(folder, "-P", "dataset=mine.npz", *few, **JAX)
    assert done.status == 0, done.output
    assert "overfits least on mine" in done.output


def test_a_model_of_ones_own_is_searched_and_reported(tmp_path):
    folder = copy_of_the_project(tmp_path)
    (folder / "my_model.py").write_text(own_models.TEMPLATE)
    (folder / "my_model.yaml").write_text(own_models.SPACE)
    few = ("-P", "trials=2", "-P", "epochs=2", "-P", "train_examples=300", "-P", "seeds=1")
    done = mlflow_run(folder, "-P", "family=my_model.py:build", *few, **JAX)
    assert done.status == 0, done.output
    assert "digits" in done.output and "my_model.py:build" in done.output
    assert "Test part (read once)" in done.output

    from mlflow import MlflowClient

    client = MlflowClient(done.uri)
    (parent,) = every_run(client, "tags.role = 'study'")
    assert parent.data.params["family"] == "my_model.py:build"
    assert "my_model.py" in [entry.path for entry in client.list_artifacts(parent.info.run_id)]


def test_bad_input_fails_the_run_with_one_message(tmp_path):
    folder = copy_of_the_project(tmp_path)
    done = mlflow_run(folder, "-P", "dataset=digit")
    assert done.status != 0
    assert "did you mean 'digits'" in done.output
    assert "Traceback" not in done.output


def test_a_misspelt_parameter_is_refused_before_anything_is_trained(tmp_path):
    folder = copy_of_the_project(tmp_path)
    done = mlflow_run(folder, "-P", "trial=3")
    assert done.status != 0
    assert "No such option '--trial'. (Did you mean one of: " in done.output
    assert "--trials" in done.output
    assert not (folder / "studies.journal").exists()


def test_with_uv_it_runs_in_an_environment_of_its_own(tmp_path):
    """MLflow copies uv.lock and pyproject.toml elsewhere and syncs there, without the sources."""
    if shutil.which("uv", path=environment()["PATH"]) is None:
        pytest.skip("uv is not on PATH")
    folder = copy_of_the_project(tmp_path)
    done = mlflow_run(folder, "-P", "trials=2", "-P", "epochs=1", manager="uv")
    assert done.status == 0, done.output
    assert "overfits least on digits" in done.output or "can be recommended" in done.output
