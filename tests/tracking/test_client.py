import subprocess
import sys
import time

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import verify_rest_response

from pipeline.errors import AddressError, TrackingError
from pipeline.tracking import connect
from pipeline.tracking.client import Client, error_code, is_permanent, translated_errors
from pipeline.tracking.database import artifact_location


def test_an_unreachable_server_is_one_line_soon_and_without_credentials():
    started = time.monotonic()
    with pytest.raises(TrackingError) as raised:
        connect("http://ada:hunter2@127.0.0.1:9")
    assert time.monotonic() - started < 60
    message = str(raised.value)
    assert message.startswith(
        "MLflow at http://***@127.0.0.1:9 could not be reached (is it running, is the address "
    )
    assert "hunter2" not in message
    assert "\n" not in message


def test_the_impatience_of_the_first_contact_does_not_last(monkeypatch):
    import os

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with pytest.raises(TrackingError):
        connect("http://127.0.0.1:9")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.mark.parametrize("address", ["./mlruns", "file:./mlruns", "sqllite:///x.db"])
def test_a_store_that_cannot_be_written_is_refused(address):
    with pytest.raises(TrackingError, match=r"is no tracking store .* expected sqlite:///FILE"):
        connect(address)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "x.db").write_text("these are not the pages of a database" * 100)
    with pytest.raises(TrackingError, match=r"could not be reached .*: file is not a database"):
        connect(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="could not be reached"):
        connect(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")


def test_files_lie_beside_a_sqlite_database_and_elsewhere_where_the_store_says(tmp_path):
    location = artifact_location(f"sqlite:///{tmp_path / 'my runs.db'}", "least overfit/2")
    assert location == (tmp_path / "mlartifacts" / "least_overfit_2").as_uri()
    assert artifact_location("http://tracking:5000", "least-overfit") is None


def test_only_the_stores_own_errors_are_translated():
    with (
        pytest.raises(TrackingError, match="could not write: disk full"),
        translated_errors("http://x", "write"),
    ):
        raise OSError("disk full\nmore")
    with pytest.raises(KeyError), translated_errors("http://x", "write"):
        raise KeyError("ours")


def test_a_failed_call_says_what_was_being_done(tracking, fake_mlflow):
    def refused(call):
        raise ConnectionError("http://ada:hunter2@host refused\nmore")

    fake_mlflow.handler = refused
    with pytest.raises(TrackingError) as raised:
        tracking.doing("lock the selection").get_run("abc")
    assert str(raised.value) == (
        f"MLflow at {tracking.address} could not lock the selection: http://***@host refused"
    )
    assert isinstance(raised.value.__cause__, ConnectionError)
    with pytest.raises(TrackingError, match="could not answer: http"):
        tracking.get_run("abc")


@pytest.mark.parametrize(
    ("code", "reason"),
    [("UNAUTHENTICATED", "401, wrong name or password"), ("PERMISSION_DENIED", "403, not allowed")],
)
def test_a_wrong_password_is_told_as_such(code, reason):
    def refused(function, *arguments, **named):
        error = MlflowException("failed with error code 401 != 200")
        error.error_code = code
        raise error

    with pytest.raises(TrackingError) as raised:
        Client.open("http://ada:hunter2@127.0.0.1:5000", refused)
    assert str(raised.value) == (
        f"MLflow at http://***@127.0.0.1:5000 does not let this user in ({reason}): set "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what "
        "the server knows"
    )


def test_calls_of_files_are_seen_and_translated_like_those_of_runs(tracking, fake_mlflow):
    def full(call):
        if call.name == "write":
            raise OSError(28, "No space left on device")
        return call.forward()

    run_id = tracking.create_run("0").info.run_id
    fake_mlflow.handler = full
    with pytest.raises(TrackingError, match=r"could not keep a.txt: .* No space left on device"):
        tracking.log_files(run_id, {"a.txt": "text"})
    assert tracking.read_file(run_id, "a.txt") is None


def test_mlflows_code_of_an_error_is_found(tracking):
    with pytest.raises(TrackingError) as raised:
        tracking.get_run("0" * 32)
    assert error_code(raised.value) == "RESOURCE_DOES_NOT_EXIST"
    assert error_code(TrackingError("ours")) == ""


@pytest.mark.parametrize("module", ["models.load", "probe"])
def test_mlflows_telemetry_is_off_whichever_module_comes_first(module, monkeypatch):
    """MLflow starts it while it is imported."""
    for name in ("CI", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    code = (
        f"import sys, pipeline.tracking.{module};"
        "from mlflow.telemetry.client import get_telemetry_client;"
        "sys.exit('on' if get_telemetry_client() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_door_opens_no_library():
    code = (
        "import sys, pipeline.tracking;"
        "bad = {'mlflow', 'keras', 'tensorflow', 'optuna'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_fresh_store_is_made_without_a_word(tmp_path):
    code = (
        "import sys; from pipeline.tracking import connect;"
        "run = connect().open_study('s', 'digits', {}, {}); run.study_finished();"
        "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlartifacts", "mlflow.db"]


@pytest.mark.parametrize("address", ["http://[bad", "postgresql://u:pw@host:port/x"])
def test_what_is_no_address_is_refused_in_a_line(address):
    with pytest.raises(
        AddressError, match=r"is no address \(.*\): expected sqlite:///FILE"
    ) as raised:
        connect(address)
    assert "pw" not in str(raised.value)
    assert raised.value.exit_code == 2


def answered(status):
    error = requests.HTTPError("no")
    error.response = requests.Response()
    error.response.status_code = status
    return error


def coded(code):
    error = MlflowException("no")
    error.error_code = code
    return error


def paged(status):
    """Returns what MLflow's client raises for a proxy's own page."""
    response = requests.Response()
    response.status_code = status
    response._content = b"<html>no</html>"
    with pytest.raises(MlflowException) as raised:
        verify_rest_response(response, "/api/2.0/mlflow/runs/log-batch")
    return raised.value


@pytest.mark.parametrize(
    ("cause", "permanent"),
    [
        (ConnectionError("refused"), False),
        (answered(503), False),
        (answered(429), False),
        (answered(413), True),
        (answered(403), True),
        (paged(413), True),
        (paged(502), False),
        (paged(404), False),
        (coded("TEMPORARILY_UNAVAILABLE"), False),
        (coded("BAD_REQUEST"), False),
        (coded("ENDPOINT_NOT_FOUND"), False),
        (coded("PERMISSION_DENIED"), True),
        (coded("RESOURCE_DOES_NOT_EXIST"), True),
        (TrackingError("it is damaged"), True),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(cause, permanent):
    error = TrackingError("MLflow could not")
    error.__cause__ = cause
    assert is_permanent(error) == permanent
