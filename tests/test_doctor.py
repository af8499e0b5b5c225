"""The doctor: what is ready, what is broken and what to do; and that it leaves nothing behind."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from pretended_gpus import A100, INSTANCES, T4, pretend

from pipeline import doctor
from pipeline.cli import main
from pipeline.datasets import limits
from pipeline.search.executors.ray import cluster


@pytest.fixture
def backend(monkeypatch):
    """Leaves out the import of the backend, which takes long."""
    ready = doctor.Finding("ok", "backend", "tensorflow, trains on cpu")
    monkeypatch.setattr(doctor, "backend_found", lambda say: iter([ready]))


def call(*arguments):
    return CliRunner().invoke(main, ["doctor", *arguments])


def line(result, subject):
    (found,) = (entry for entry in result.stdout.splitlines() if entry[9:].startswith(subject))
    return found


@pytest.mark.usefixtures("backend")
def test_a_fresh_folder_is_ready_and_stays_empty(folder):
    result = call()
    assert result.exit_code == 0, result.stdout
    assert {entry.split()[0] for entry in result.stdout.splitlines()} <= {"ok", "warning"}
    assert "sqlite:///" in line(result, "mlflow store")
    assert line(result, "mlflow store").endswith("not there yet: the first search makes it")
    assert line(result, "storage").endswith("is not there yet: the first search makes it")
    assert "digits: with scikit-learn" in result.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--data-dir", "nowhere"], {}, "nowhere is no folder. Create it, or change PIPELINE_DATA"),
        ([], {"PIPELINE_DATA_DIR": "a-file"}, "a-file is no folder"),
        (["--storage", "no/x.journal"], {}, "no/x.journal: there is no folder no. Create no"),
        (["--storage", "a-file"], {}, "a-file is no journal file of Optuna's. Give the --storage"),
        (["--storage", "sqlite:///a-file"], {}, "could not be reached"),
        ([], {"MLFLOW_TRACKING_URI": "http://me:secret@127.0.0.1:9"}, "Check MLFLOW_TRACKING_URI"),
        (["--ray-address", "127.0.0.1:9"], {}, "no Ray cluster answers there (Connection refused)"),
    ],
)
def test_what_is_broken_is_told_with_what_to_do(
    folder, monkeypatch, arguments, environment, message
):
    (folder / "a-file").write_text("nothing that anybody knows\n" * 50)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = call(*arguments)
    assert result.exit_code == 1
    problems = [entry for entry in result.stdout.splitlines() if entry.startswith("problem")]
    assert len(problems) == 1
    assert message in problems[0]
    assert "secret" not in result.output
    assert [path.name for path in folder.iterdir()] == ["a-file"]


@pytest.mark.usefixtures("backend")
def test_every_gpu_is_named_with_its_room_and_whether_it_is_seen(
    folder, monkeypatch, tmp_path_factory
):
    tool = tmp_path_factory.mktemp("tool")
    pretend(monkeypatch, tool, A100, T4, free=(40960, 512), instances=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", INSTANCES[1])
    found = [entry[26:] for entry in call().stdout.splitlines() if entry[9:].startswith("gpu ")]
    hidden = f", hidden by CUDA_VISIBLE_DEVICES={INSTANCES[1]}"
    assert found == [
        f"GPU 0, instance 0 ({A100} MIG 3g.20gb), 1.0 GiB free{hidden}",
        f"GPU 0, instance 1 ({A100} MIG 3g.20gb), 2.0 GiB free",
        f"GPU 1 ({T4}), 0.5 GiB free{hidden}",
    ]


def test_packages_are_checked_against_what_is_required(monkeypatch):
    known = {"keras": "2.15.0", "optuna": None}
    original = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda name: known.get(name, original(name)))
    found = {finding.subject: finding for finding in doctor.versions()}
    assert found["keras"].as_line() == (
        "problem  keras            2.15.0; needed is >=3.15. pip install 'keras>=3.15'"
    )
    assert (found["optuna"].status, found["optuna"].text) == ("problem", "not installed")
    assert found["numpy"].status == "ok"


def test_little_room_is_told(monkeypatch, tmp_path):
    for free, status in ((50 * 2**30, "ok"), (2**30, "warning"), (2**20, "problem")):
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda place, usage=usage: usage)
        assert [finding.status for finding in doctor.folder(tmp_path)] == ["ok", status]
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: False)
    assert "cannot be written" in next(iter(doctor.folder(tmp_path))).text


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    limit, used, nowhere = tmp_path / "memory.max", tmp_path / "memory.current", tmp_path / "none"
    monkeypatch.setattr(limits, "CGROUP_FILES", ((nowhere, nowhere), (limit, used)))
    used.write_text("0\n")
    limit.write_text("max\n")
    assert limits.container_memory() is None
    limit.write_text(f"{2**30}\n")
    assert limits.container_memory() == (2**30, 0)
    assert [finding.status for finding in doctor.machine()] == ["ok", "warning"]


def test_an_unknown_backend_is_told_without_an_import(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    said = []
    (found,) = doctor.backend_found(said.append)
    assert (found.status, said) == ("problem", [])
    assert found.remedy == "Set KERAS_BACKEND to tensorflow or jax, or unset it"


def test_a_backend_that_cannot_be_imported_is_told(monkeypatch):
    from pipeline.training import backend

    def broken(*arguments):
        raise ImportError("libcudart.so.12:\ncannot open")

    monkeypatch.setattr(backend, "prepare", broken)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    said = []
    (found,) = doctor.backend_found(said.append)
    assert found.status == "problem"
    assert "cannot be imported: ImportError: libcudart.so.12: cannot open" in found.text
    assert said == ["importing Keras with tensorflow (may take half a minute)"]


def test_a_search_that_is_there_is_found(folder):
    journal = folder / "studies.journal"
    journal.write_text('{"op_code": 0}\n')
    assert doctor.storage_found(None).text.startswith("studies.journal, 0.0 MiB")
    assert doctor.storage_found(str(Path("studies.journal"))).status == "ok"


@pytest.mark.usefixtures("backend")
def test_the_cluster_is_told_where_an_address_is_given(folder, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert "starts it on this machine alone, unless --ray-address or RAY" in line(call(), "ray")
    monkeypatch.setattr(cluster, "described", lambda address: f"{address}: 2 machines with 8 CPUs")
    found = line(call("--ray-address", "head:6379"), "ray")
    assert found.endswith("; cluster at head:6379: 2 machines with 8 CPUs")


@pytest.mark.usefixtures("backend")
def test_a_missing_ray_is_a_problem_only_where_a_cluster_is_named(folder, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(cluster, "is_installed", lambda: False)
    assert line(call(), "ray").endswith(
        "not installed; only --executor ray needs it. pip install 'least-overfit[ray]'"
    )
    assert call().exit_code == 0
    assert call("--ray-address", "head:6379").exit_code == 1


@pytest.mark.usefixtures("backend")
def test_a_variable_of_ray_that_is_wrong_is_a_warning_since_others_may_mean_it(folder, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://me:secret@host")
    found = call()
    assert "RAY_ADDRESS ray://***@host: expected" in line(found, "ray")
    assert "secret" not in found.output
    assert found.exit_code == 0
