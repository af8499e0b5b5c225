import os
import subprocess

import numpy as np
import pytest
from mlflow import MlflowClient
from tracking_samples import CHANCE, complete

from pipeline.errors import InputError, TrackingError
from pipeline.records import TestExamples, TestResult, TrialConfig
from pipeline.tracking import parent_run
from pipeline.tracking.queries import children_of

RESULT = TestResult(0.4, 0.3, 0.5, 0.9, 0.85, 0.95, 0.1, 0.05, 0.15, reads=1)


@pytest.fixture
def client(tracking):
    return MlflowClient(tracking.tracking_uri)


@pytest.fixture
def project_run(client, monkeypatch):
    """Makes runs as `mlflow run` does: params logged, shell-quoted; the id in a variable."""

    def made(experiment="0", **params):
        run = client.create_run(experiment, tags={"mlflow.source.type": "PROJECT"})
        for key, value in params.items():
            client.log_param(run.info.run_id, key, value)
        monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
        return run.info.run_id

    return made


def test_running_again_continues_the_same_run(open_study, client):
    first = open_study(epochs=5)
    first.trial_started(0, None, TrialConfig())
    first.study_finished()
    assert client.get_run(first.run_id).info.status == "FINISHED"
    again = open_study(epochs=5)
    assert again.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "RUNNING"
    again.trial_finished(complete(0))


def test_another_study_is_another_run(open_study):
    assert open_study("one").run_id != open_study("two").run_id


def test_the_run_of_mlflow_run_is_adopted_and_its_params_stand(open_study, client, project_run):
    run_id = project_run(dataset="'digits'", epochs="''")
    run = open_study(epochs=5, seed=0)
    assert run.run_id == run_id
    assert "MLFLOW_RUN_ID" not in os.environ
    parent = client.get_run(run_id)
    assert parent.data.params == {"dataset": "'digits'", "epochs": "''", "seed": "0"}
    assert parent.info.run_name == "first"
    run.trial_started(0, None, TrialConfig())
    child = client.get_run(run.run_ids([0])[0])
    assert child.info.experiment_id == parent.info.experiment_id == "0"


def test_a_new_run_of_mlflow_run_becomes_the_parent(open_study, client, project_run, tracking):
    old = open_study(epochs=5)
    for number in range(3):
        old.trial_started(number, None, TrialConfig())
        old.trial_finished(complete(number))
    digest = tracking.lock_selection(old.run_id, {"winner": 1})
    tracking.count_test_read(old.run_id)
    tracking.log_test_result(old.run_id, RESULT)
    old.study_finished()
    finalists = tracking.open_finalists(old.run_id)
    tags = {"trial": "1", "finalist_of": "1", "seed": "77"}
    finalists.trial_started(0, "finalist 1 seed 77", TrialConfig(), tags)
    finalists.trial_finished(complete(0))
    tracking.log_report(old.run_id, {"report.html": "<html>", "gap.png": b"PNG"})
    tracking.keep_test_examples(old.run_id, TestExamples(np.zeros(3, np.int32), {}, ("a", "b")))

    new_id = project_run(epochs="5")
    new = open_study(epochs=5)
    assert new.run_id == new_id
    record = tracking.read_study("first")
    assert record.run_id == new_id
    assert [trial.number for trial in record.trials] == [0, 1, 2]
    assert record.chance == CHANCE
    tags = client.get_run(old.run_id).data.tags
    assert (tags["continued_in"], tags["role"]) == (new_id, "continued")
    assert tracking.read_selection(new_id) == {"winner": 1}
    assert client.get_run(new_id).data.tags["selection_locked"] == digest
    assert tracking.read_test_result(new_id) == RESULT
    assert list(tracking.read_finalists(record)) == [(1, 77)]
    assert tracking.read_file(new_id, "report/gap.png") == b"PNG"
    assert tracking.read_file(new_id, "report/report.html") == b"<html>"
    assert tracking.read_test_examples(new_id).class_names == ("a", "b")
    assert tracking.count_test_read(new_id) == 2
    assert open_study(epochs=5).run_id == new_id


def test_an_interrupted_change_of_parents_is_completed(
    open_study, client, project_run, tracking, fake_mlflow
):
    old = open_study()
    for number in range(3):
        old.trial_started(number, None, TrialConfig())
    tracking.count_test_read(old.run_id)
    new_id = project_run()
    calls = []

    def dies_at_the_second(call):
        if call.name == "set_tag":
            calls.append(call)
            if len(calls) == 2:
                raise KeyboardInterrupt
        return call.forward()

    fake_mlflow.handler = dies_at_the_second
    with pytest.raises(KeyboardInterrupt):
        open_study()
    fake_mlflow.reset()
    assert len(tracking.read_study("first").trials) == 3
    again = open_study()
    assert again.run_id == new_id
    assert len(children_of(tracking, [client.get_run(new_id)])) == 3
    assert client.get_run(old.run_id).data.tags["role"] == "continued"
    assert tracking.test_reads(new_id) == 1


def test_a_run_of_another_study_is_not_adopted(open_study, monkeypatch):
    other = open_study("other")
    monkeypatch.setenv("MLFLOW_RUN_ID", other.run_id)
    with pytest.raises(
        InputError, match="belongs to study 'other', not to 'first': unset MLFLOW_RUN_ID"
    ):
        open_study("first")


def test_a_run_id_that_does_not_exist_is_an_error(open_study, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(
        InputError, match=r"MLFLOW_RUN_ID names run '0{32}', which is not at sqlite:///.*: unset it"
    ):
        open_study("first")


def test_ids_of_what_was_deleted_are_errors_that_say_how_to_bring_it_back(
    open_study, client, monkeypatch
):
    run = client.get_run(open_study("a").run_id)
    client.delete_run(run.info.run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with pytest.raises(
        InputError, match=f"deleted: .*mlflow runs restore --run-id {run.info.run_id}"
    ):
        open_study("b")
    client.delete_experiment(run.info.experiment_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", run.info.experiment_id)
    with pytest.raises(
        InputError, match="MLFLOW_EXPERIMENT_ID names experiment 1, which was deleted: bring it"
    ):
        open_study("b")


@pytest.mark.parametrize("chosen", ["77", "abc", "9" * 30, "1; drop table runs"])
def test_an_experiment_id_that_does_not_exist_is_an_error(open_study, monkeypatch, chosen):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", chosen)
    with pytest.raises(
        InputError,
        match=f"MLFLOW_EXPERIMENT_ID names experiment '{chosen}', which is not at sqlite.*: give",
    ):
        open_study("first")


def test_the_experiment_is_mlflows_variable_or_least_overfit(open_study, client, monkeypatch):
    name = client.get_experiment(client.get_run(open_study("a").run_id).info.experiment_id).name
    assert name == "least-overfit"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    name = client.get_experiment(client.get_run(open_study("b").run_id).info.experiment_id).name
    assert name == "mine"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert client.get_run(open_study("c").run_id).info.experiment_id == "0"


def test_a_deleted_experiment_is_an_error_that_says_how_to_bring_it_back(open_study, client):
    experiment = client.get_run(open_study("a").run_id).info.experiment_id
    client.delete_experiment(experiment)
    with pytest.raises(
        TrackingError, match=f"mlflow experiments restore --experiment-id {experiment}"
    ):
        open_study("a")


def test_a_deleted_study_starts_afresh(open_study, client, tracking):
    old = open_study()
    old.trial_started(0, None, TrialConfig())
    client.delete_run(old.run_id)
    new = open_study()
    assert new.run_id != old.run_id
    assert tracking.read_study("first").trials == ()


def test_a_definition_of_more_params_than_one_batch_takes(open_study, client):
    run = open_study(**{f"key{number}": number for number in range(230)})
    assert len(client.get_run(run.run_id).data.params) == 230


def test_names_with_quotes_are_found(open_study, tracking):
    open_study("ada's")
    assert tracking.read_study("ada's").study == "ada's"


def test_the_environment_names_python_and_the_key_packages():
    names = [line.split()[0] for line in parent_run.environment_text().splitlines()]
    assert names[:2] == ["python", "keras"]
    assert {"tensorflow", "optuna", "mlflow", "platform"} <= set(names)


def test_the_commit_is_that_of_files_the_repository_tracks(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True
        )

    (tmp_path / "__init__.py").write_text("")
    assert parent_run.git_commit(tmp_path) is None
    git("init")
    assert parent_run.git_commit(tmp_path) is None
    git("add", "."), git("commit", "-m", "first")
    commit = parent_run.git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "__init__.py").write_text("changed = True")
    assert parent_run.git_commit(tmp_path) == f"{commit}-dirty"


def test_the_page_of_a_new_experiment_opens_on_its_runs(open_study, client):
    open_study()
    tags = client.get_experiment_by_name("least-overfit").tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
