"""The same door, over HTTP: an ``mlflow server`` that keeps the files, and ``mlflow ui``."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import requests
from mlflow_servers import end, serve
from tracking_samples import CHANCE, EVERY_FIELD, complete, measured

from pipeline.errors import TrackingError
from pipeline.records import TestResult, TrialConfig
from pipeline.tracking import connect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    process, address = serve(tmp_path_factory.mktemp("server"))
    yield address
    end(process)


def test_a_study_reads_back_exactly_from_a_server(server, capfd):
    tracking = connect(server)
    run = tracking.open_study("s", "digits", {"epochs": 5}, {})
    run.log_dataset("a1" * 32, CHANCE)
    extreme = measured(val_ce=float("nan"), penalty=float("inf"), ece=0.1 + 0.2)
    for number, measurement in enumerate((measured(), extreme)):
        run.trial_started(number, None, EVERY_FIELD)
        run.trial_epochs(number, 1, {"val_ce": float("nan")})
        run.trial_finished(complete(number, measurement=measurement))
    run.trial_started(2, None, TrialConfig())
    again = tracking.open_study("s", "digits", {"epochs": 5}, {})
    assert again.close_stale() == (2,)
    again.study_finished()
    record = tracking.read_study("s")
    first, second, third = record.trials
    assert (first.config, first.measurement) == (EVERY_FIELD, measured())
    np.testing.assert_equal(vars(second.measurement), vars(extreme))
    np.testing.assert_array_equal(first.validation.nll, complete(0).validation.nll)
    assert third.state == "FAIL"
    assert (record.chance, record.definition) == (CHANCE, {"epochs": 5})
    # An address that ends in a slash is the same store.
    slashed = connect(f"{server}/")
    assert slashed.read_study("s").run_id == record.run_id
    assert slashed.open_study("s", "digits", {"epochs": 5}, {}).run_id == record.run_id
    assert capfd.readouterr() == ("", "")


def test_weights_are_dropped_on_a_server(server):
    tracking = connect(server)
    run = tracking.open_study("weights", "digits", {}, {})
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    outcome = replace(complete(0), weights=(np.ones((3, 2)),))
    run.trial_finished(outcome, keep_weights=True)
    (weights,) = tracking.load_weights(run_id)
    np.testing.assert_array_equal(weights, np.ones((3, 2), np.float32))
    run.drop_weights(0)
    with pytest.raises(TrackingError, match="keeps no weights"):
        tracking.load_weights(run_id)


def test_the_lock_holds_on_a_server(server):
    tracking = connect(server)
    run = tracking.open_study("lock", "digits", {}, {})
    assert tracking.read_selection(run.run_id) is None
    digest = tracking.lock_selection(run.run_id, {"winner": 1})
    assert tracking.lock_selection(run.run_id, {"winner": 1}) == digest
    with pytest.raises(TrackingError, match="is locked"):
        tracking.lock_selection(run.run_id, {"winner": 2})
    assert tracking.read_selection(run.run_id) == {"winner": 1}
    result = TestResult(*(n / 7 for n in range(9)), reads=tracking.count_test_read(run.run_id))
    tracking.log_test_result(run.run_id, result)
    assert tracking.read_test_result(run.run_id) == result


def test_mlflow_ui_in_the_folder_of_a_search_shows_its_runs_and_files(tmp_path, migrated):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(migrated.read_bytes())
    tracking = connect(f"sqlite:///{folder / 'mlflow.db'}")
    run = tracking.open_study("s", "digits", {}, {})
    run.trial_started(0, None, TrialConfig())
    run_id = run.run_ids([0])[0]
    run.trial_finished(complete(0))
    process, address = serve(folder)
    try:
        remote = connect(address)
        assert remote.read_study("s").trials[0].measurement == measured()
        content = requests.get(
            f"{address}/get-artifact",
            params={"run_id": run_id, "path": "validation.npz"},
            timeout=20,
        ).content
        assert content[:2] == b"PK"
    finally:
        end(process)
