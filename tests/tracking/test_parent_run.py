import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from tracking_samples import CHANCE, complete

from pipeline.errors import InputError, TrackingError
from pipeline.records import TestExamples, TestResult, TrialConfig
from pipeline.tracking import parent_run
from pipeline.tracking.command_run import command_run_ended
from pipeline.tracking.experiment_page import describe_experiment
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


@pytest.mark.parametrize("way", ["search", "report"])
def test_two_ctrl_c_leave_no_run_of_a_command_running(
    tracking, open_study, client, project_run, way
):
    """The second one ends `mlflow run` while it waits: it no longer says what became of its run."""
    if way == "report":
        open_study(epochs=5).study_finished()
    run_id = project_run()
    for error, status in ((ValueError, "RUNNING"), (KeyboardInterrupt, "KILLED")):
        with pytest.raises(error), command_run_ended():
            os.environ["MLFLOW_RUN_ID"] = run_id
            if way == "search":
                open_study(epochs=5)
            else:
                tracking.adopt_report_run()
            raise error
        assert client.get_run(run_id).info.status == status
    with pytest.raises(KeyboardInterrupt), command_run_ended():
        raise KeyboardInterrupt


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


@pytest.fixture
def second_parent(client, open_study):
    """Makes what a change of parents left that an older version began: a younger parent."""

    def made():
        tags = {"role": "study", "study": "first", "dataset": "digits", "opened_at": str(10**14)}
        return client.create_run("0", tags=tags).info.run_id

    return made


def test_the_run_of_mlflow_run_is_a_child_of_the_study(open_study, client, project_run):
    run_id = project_run(dataset="'digits'", epochs="auto")
    run = open_study(epochs=5)
    assert run.run_id != run_id
    assert "MLFLOW_RUN_ID" not in os.environ
    command = client.get_run(run_id)
    assert command.info.run_name == "command on first"
    expected = {"role": "command", "study": "first", "mlflow.parentRunId": run.run_id}
    assert expected.items() <= command.data.tags.items()
    parent = client.get_run(run.run_id)
    link = f"#/experiments/{parent.info.experiment_id}/runs/{run.run_id}"
    assert f"[first]({link})" in command.data.tags["mlflow.note.content"]
    assert client.get_experiment(parent.info.experiment_id).name == "least-overfit"
    assert "auto" not in parent.data.params.values()


@pytest.mark.parametrize("again", [False, True])
def test_it_says_in_which_experiment_a_new_study_is(open_study, client, project_run, again):
    mine = client.create_experiment("mine")
    if again:
        first = open_study().run_id
    project_run(mine)
    run = open_study()
    name = client.get_experiment(client.get_run(run.run_id).info.experiment_id).name
    assert name == ("least-overfit" if again else "mine")
    assert not again or run.run_id == first


def test_repeated_commands_of_mlflow_run_leave_one_parent(open_study, project_run, tracking):
    ids = set()
    for _ in range(3):
        project_run()
        run = open_study()
        run.trial_started(len(ids), None, TrialConfig())
        run.study_finished()
        ids.add(run.run_id)
    assert len(ids) == 1
    assert tracking.read_study("first").run_id in ids


def test_a_study_that_an_older_version_opened_is_continued_and_read(tracking, client, open_study):
    """Its times are numbers, its chance level metrics, its params every leaf of the space."""
    first = open_study()
    for key in ("opened_at", "chance_accuracy", "chance_ce"):
        client.delete_tag(first.run_id, key)
    client.set_tag(first.run_id, "opened_at", "1795719790133")
    client.log_metric(first.run_id, "chance_accuracy", CHANCE.accuracy)
    client.log_metric(first.run_id, "chance_ce", CHANCE.ce)
    client.log_param(first.run_id, "space.family", "mlp")
    assert tracking.read_study("first").chance == CHANCE
    again = tracking.open_study("first", "digits", {"epochs": 5}, {}, {"family": "mlp"})
    assert again.run_id == first.run_id
    assert client.get_run(first.run_id).data.params == {"space.family": "mlp"}


def test_the_parent_opened_last_is_the_parent(open_study, client, second_parent, tracking):
    old = open_study(epochs=5)
    for number in range(3):
        old.trial_started(number, None, TrialConfig())
        old.trial_finished(complete(number))
    digest = tracking.lock_selection(old.run_id, {"winner": 1})
    tracking.count_test_read(old.run_id)
    tracking.log_test_result(old.run_id, RESULT)
    old.study_finished()
    finalists = tracking.open_finalists(old.run_id)
    tags = {"trial": "1", "seed": "77"}
    finalists.trial_started(0, "finalist 1 seed 77", TrialConfig(), tags)
    finalists.trial_finished(complete(0))
    tracking.log_report(old.run_id, {"report.html": "<html>", "gap.png": b"PNG"})
    tracking.keep_test_examples(old.run_id, TestExamples(np.zeros(3, np.int32), {}, ("a", "b")))

    new_id = second_parent()
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
    assert list(tracking.read_finalists(record).trained) == [(1, 77)]
    assert tracking.read_file(new_id, "report/gap.png") == b"PNG"
    assert tracking.read_file(new_id, "report/report.html") == b"<html>"
    assert tracking.read_test_examples(new_id).class_names == ("a", "b")
    assert tracking.count_test_read(new_id) == 2
    assert open_study(epochs=5).run_id == new_id


def test_an_interrupted_change_of_parents_is_completed(
    open_study, client, second_parent, tracking, fake_mlflow
):
    old = open_study()
    for number in range(3):
        old.trial_started(number, None, TrialConfig())
    tracking.count_test_read(old.run_id)
    new_id = second_parent()
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


def test_a_run_of_another_study_is_refused(open_study, monkeypatch):
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


def test_more_params_than_one_batch_takes(tracking, client):
    params = {f"key{number}": str(number) for number in range(230)}
    run = tracking.open_study("first", "digits", {}, {}, params)
    assert client.get_run(run.run_id).data.params == params


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


def test_the_description_of_an_experiment_leads_to_its_views(open_study, client):
    experiment = client.get_run(open_study().run_id).info.experiment_id
    note = client.get_experiment(experiment).tags["mlflow.note.content"]
    address = f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey="
    assert f"[All trials]({address}leastoverfit1)" in note
    assert f"[studies]({address}leastoverfit4)" in note


def test_a_line_of_a_study_takes_the_place_of_its_earlier_one(open_study, client):
    experiment = client.get_run(open_study().run_id).info.experiment_id
    for line in ("**a**: one", "**b**: two", "**a**: three"):
        describe_experiment(client, experiment, line)
    describe_experiment(client, experiment)
    note = client.get_experiment(experiment).tags["mlflow.note.content"]
    assert note.split("\n")[2:] == ["- **b**: two"]
    assert note.split("\n")[0].endswith(". **a**: three")


def test_a_description_that_somebody_wrote_stays(open_study, client):
    experiment = client.get_run(open_study().run_id).info.experiment_id
    client.set_experiment_tag(experiment, "mlflow.note.content", "ours since May")
    describe_experiment(client, experiment, "**a**: one")
    assert client.get_experiment(experiment).tags["mlflow.note.content"] == "ours since May"


def test_a_place_for_models_that_cannot_be_written_is_an_error_at_once(open_study, client):
    experiment = client.get_experiment(client.get_run(open_study().run_id).info.experiment_id)
    folder = Path(local_file_uri_to_path(experiment.artifact_location)) / "models"
    assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(TrackingError) as raised:
        open_study("second")
    assert str(raised.value).startswith("MLflow at sqlite:///")
    place = f"{experiment.artifact_location}/models"
    assert f"could not write in {place}, where the report will keep its model" in str(raised.value)
