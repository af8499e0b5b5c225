"""A message delivered twice changes nothing; a run whose answer was lost is found again."""

import time
from dataclasses import replace

import pytest
from mlflow import MlflowClient
from tracking_samples import CHANCE, EVERY_FIELD, complete

from pipeline.errors import TrackingError
from pipeline.records import TrialConfig
from pipeline.tracking import connect
from pipeline.tracking.delivery.child_runs import ChildRuns
from pipeline.tracking.delivery.message import Message, NewRun
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.delivery.sender import Background
from pipeline.tracking.queries import children_of

POINTS = tuple(
    (f"epoch/{name}", 0.1 * step, 1_000 + step, step) for name in "ab" for step in (1, 2)
)


@pytest.fixture
def parent(open_study, tracking):
    return tracking, tracking.get_run(open_study().run_id)


def end_of(parent, number=4):
    tags = {"trial": str(number), "mlflow.parentRunId": parent.info.run_id, "role": "trial"}
    new = NewRun(f"trial {number}", tags, {"depth": "2"}, 1_700_000_000_000)
    return Message(
        number, f"finish trial {number}", new, POINTS, {"state": "COMPLETE"},
        {"validation.npz": b"results"}, status="FINISHED", ended=1_700_000_005_000,
    )  # fmt: skip


def seen(client, run_id):
    run = client.get_run(run_id)
    history = {key: client.get_metric_history(run_id, key) for key in ("epoch/a", "epoch/b")}
    points = {
        key: [(m.value, m.timestamp, m.step) for m in found] for key, found in history.items()
    }
    return run.info.status, run.info.start_time, run.info.end_time, run.data.params, points


def test_an_end_makes_the_run_and_a_second_delivery_changes_nothing(parent):
    client, run = parent
    runs = ChildRuns(client, run, {})
    assert runs.run_id(4) is None
    runs.deliver(end_of(run))
    before = seen(client, runs.run_id(4))
    assert before[:4] == ("FINISHED", 1_700_000_000_000, 1_700_000_005_000, {"depth": "2"})
    assert [len(points) for points in before[4].values()] == [2, 2]
    runs.deliver(end_of(run))
    assert seen(client, runs.run_id(4)) == before
    assert len(client.search_runs([run.info.experiment_id])) == 2


def test_what_is_delivered_to_a_local_folder_is_on_the_disk_before_it_is_forgotten(
    parent, monkeypatch
):
    client, run = parent
    flushed = {}

    def seen_by(path):
        flushed[path.name] = path.read_bytes() if path.is_file() else sorted(path.iterdir())

    monkeypatch.setattr("pipeline.tracking.artifacts.flush", seen_by)
    runs = ChildRuns(client, run, {})
    runs.deliver(end_of(run))
    assert flushed["validation.npz"] == b"results"
    # The entries of the folder, and of the run's folder that holds it.
    assert [path.name for path in flushed["artifacts"]] == ["validation.npz"]
    assert [path.name for path in flushed[runs.run_id(4)]] == ["artifacts"]
    assert runs.run_id(4) in [path.name for path in flushed["least-overfit"]]
    assert "least-overfit" in [path.name for path in flushed["mlartifacts"]]


def test_a_run_whose_answer_was_lost_is_not_made_twice(parent, fake_mlflow):
    client, run = parent
    runs = ChildRuns(client, run, {})

    def lost(call):
        answer = call.forward()
        if call.name == "create_run":
            raise ConnectionError("the answer was lost")
        return answer

    fake_mlflow.handler = lost
    with pytest.raises(TrackingError, match="could not finish trial 4: the answer was lost"):
        runs.deliver(end_of(run))
    fake_mlflow.reset()
    runs.deliver(end_of(run))
    (child,) = client.search_runs([run.info.experiment_id], "tags.role = 'trial'")
    assert child.info.run_id == runs.run_id(4)
    assert child.info.status == "FINISHED"


def parent_opened_at(client, milliseconds):
    tags = {"role": "study", "study": "first", "dataset": "digits", "opened_at": str(milliseconds)}
    return client.create_run("0", tags=tags).info.run_id


def test_what_waits_finds_the_parent_that_took_over(tracking, open_study, tmp_path):
    old = open_study()
    client = MlflowClient(tracking.tracking_uri)
    Outbox(tmp_path / "o").put(end_of(client.get_run(old.run_id)), old.run_id)
    adopted = parent_opened_at(client, 10**14)
    assert open_study().run_id == adopted
    assert tracking.deliver_waiting(tmp_path / "o") == 1
    (trial,) = tracking.read_study("first").trials
    assert trial.number == 4
    assert client.get_run(trial.mlflow_run_id).data.tags["mlflow.parentRunId"] == adopted
    assert not (tmp_path / "o").exists()
    assert tracking.deliver_waiting(tmp_path / "o") == 0


def test_a_search_killed_while_the_store_was_away_is_delivered_as_if_nothing_had_been(
    tracking, open_study, tmp_path, store_uri, fake_mlflow
):
    run, lines = open_study("first"), []
    undisturbed = connect(store_uri).open_study("second", "digits", {"epochs": 5}, {})
    undisturbed.log_dataset("a1" * 32, CHANCE)

    def away(call):
        raise ConnectionError("refused")

    fake_mlflow.handler = away
    with run.in_background(tmp_path / "o", lines.append):
        for log in (run, undisturbed):
            log.trial_started(0, "baseline", EVERY_FIELD, {"seed": "5"})
            log.trial_epochs(0, 1, {"val_ce": 0.5})
            log.trial_finished(replace(complete(0), weights=None), "healthy")
            log.trial_started(1, None, TrialConfig())
        assert run.run_ids([0, 1]) == {}
        deadline = time.monotonic() + 60
        while not lines and time.monotonic() < deadline:
            time.sleep(0.01)
        assert isinstance(run._channel, Background)
    fake_mlflow.reset()
    assert len(lines) == 1
    assert tracking.deliver_waiting(tmp_path / "o") == 1
    (late,) = tracking.read_study("first").trials
    prompt = tracking.read_study("second").trials[0]
    assert replace(late, mlflow_run_id=None, validation=None) == replace(
        prompt, mlflow_run_id=None, validation=None
    )
    client = MlflowClient(tracking.tracking_uri)
    assert len(client.get_metric_history(late.mlflow_run_id, "epoch/val_ce")) == 1
    tags = client.get_run(late.mlflow_run_id).data.tags
    assert (tags["seed"], tags["verdict"], tags["name"]) == ("5", "healthy", "baseline")


def test_a_parent_that_took_over_and_gave_back_is_found(tracking, open_study, tmp_path):
    client = MlflowClient(tracking.tracking_uri)
    one = open_study().run_id
    two = parent_opened_at(client, 10**14)
    assert open_study().run_id == two
    client.set_tag(one, "role", "study")
    client.set_tag(one, "opened_at", str(10**15))
    assert open_study().run_id == one
    Outbox(tmp_path / "o").put(end_of(client.get_run(two)), two)
    assert tracking.deliver_waiting(tmp_path / "o") == 1
    (trial,) = tracking.read_study("first").trials
    assert client.get_run(trial.mlflow_run_id).data.tags["mlflow.parentRunId"] == one


def test_what_waits_for_a_parent_that_is_gone_is_named(tracking, open_study, tmp_path):
    run = open_study()
    client = MlflowClient(tracking.tracking_uri)
    path = Outbox(tmp_path / "o").put(end_of(client.get_run(run.run_id)), "0" * 32)
    with pytest.raises(TrackingError) as raised:
        tracking.deliver_waiting(tmp_path / "o")
    assert f"it waits in {path}: bring the run back, or remove that file" in str(raised.value)
    assert path.exists()


def test_closing_a_run_that_was_deleted_says_nothing_more(parent):
    client, run = parent
    runs = ChildRuns(client, run, {})
    runs.deliver(Message(4, "finish trial 4", status="FAILED", ended=1))
    assert runs.run_id(4) is None


def test_of_two_runs_of_a_trial_the_written_one_counts(parent):
    client, run = parent
    tags = dict(end_of(run).new_run.tags)
    ids = [client.create_run("0", tags=tags, start_time=5).info.run_id for _ in "ab"]
    for written in ids:
        client.set_tag(written, "state", "COMPLETE")
        assert children_of(client, [run])[4].info.run_id == written
        client.delete_tag(written, "state")
