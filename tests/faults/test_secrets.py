"""Secrets of addresses and of the environment reach no screen, log, store, file or page."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow_servers import end, serve

from pipeline.cli import main

SECRET, ENCODED, WORD = "S3cr3t-Pw", "S3cr3t%2DPw", "T0k3n-0f-Ada"
HOSTILE = (
    "postgresql://ada:{0}@127.0.0.1:1/x",
    "postgresql://ada:{1}@127.0.0.1:1/x",
    "postgresql://ada:{0}@h:port/x",
    "postgresql://ada:p@{0}@127.0.0.1:1/x",
    "mysql://ada:{0}@127.0.0.1:1/x",
    "mysql://127.0.0.1:1/x?user=ada&password={0}",
    "mssql://ada:{0}@127.0.0.1:1/x",
    "http://ada:{0}@127.0.0.1:1",
    "http://ada:a {0}@127.0.0.1:1",
    "http://127.0.0.1:1/?api_key={0}",
    "http://ada:{0}@[bad",
    "ftp://ada:{0}@127.0.0.1:1",
    "sqlite:///file:nowhere/x.db?uri=true&mode=ro&password={0}",
)


@pytest.fixture
def call(tmp_path, monkeypatch, migrated):
    """Returns a function that runs a command beside a fresh store and gives what it said."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", WORD)

    def run(*arguments):
        result = CliRunner().invoke(main, arguments)
        error = result.exception
        assert error is None or isinstance(error, SystemExit), error
        return result

    return run


def hostile():
    return [address.format(SECRET, ENCODED) for address in HOSTILE]


@pytest.mark.parametrize("address", hostile())
def test_no_error_of_a_tracking_store_tells_its_secret(address, call, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    result = call("report", "--study", "none")
    told = result.output + caplog.text
    assert result.exit_code in (1, 2)
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in told
    for secret in (SECRET, ENCODED, WORD):
        assert secret not in told


@pytest.mark.parametrize("address", hostile())
def test_no_error_of_a_storage_tells_its_secret(address, call):
    result = call("search", "--trials", "1", "--executor", "inline", "--storage", address)
    assert result.exit_code in (1, 2)
    assert (result.stdout, "Traceback" in result.stderr) == ("", False)
    assert SECRET not in result.stderr
    assert ENCODED not in result.stderr


def run(folder, environment, *arguments, codes=(0,)):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder, env=environment, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode in codes, said.decode()
    return said


@pytest.mark.slow
def test_a_traceback_of_a_process_tells_no_secret(tmp_path):
    address = f"http://ada:{SECRET}@127.0.0.1:1/?token={WORD}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": address}
    said = run(tmp_path, environment, "--debug", "report", "--study", "x", codes=(1,))
    assert b"Traceback" in said
    assert b"TrackingError: MLflow at http://***@127.0.0.1:1/?token=***" in said
    assert SECRET.encode() not in said
    assert WORD.encode() not in said


@pytest.mark.slow
def test_a_search_and_its_report_keep_no_secret_anywhere(tmp_path):
    """Everything that a search, a report and the doctor say, and every byte that they leave."""
    here, there = tmp_path / "here", tmp_path / "server"
    here.mkdir()
    there.mkdir()
    storage = f"sqlite:///file:studies.db?uri=true&password={SECRET}"
    search = ("search", "--trials", "2", "--epochs", "1", "--no-references", "--storage", storage)
    server, address = serve(there)
    try:
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": address.replace("://", f"://ada:{SECRET}@"),
            "MLFLOW_TRACKING_TOKEN": WORD,
            "TMPDIR": str(here),
            "XDG_STATE_HOME": str(here / "state"),
        }
        if find_spec("jax"):
            environment["KERAS_BACKEND"] = "jax"
        said = run(here, environment, *search)
        said += run(here, environment, "doctor", "--storage", storage, codes=(0, 1))
        # Two epochs' nets have no skill on some machines: then there are pages, but no winner.
        report = ("report", "--seeds", "1", "--output", "pages", "--format", "json")
        said += run(here, environment, *report, codes=(0, 3))
    finally:
        end(server)
    assert (here / "pages" / "report.html").is_file()
    found = [("said", said)]
    found += [(str(path), path.read_bytes()) for path in files_below(tmp_path)]
    assert len(found) > 15
    for place, content in found:
        for secret in (SECRET, ENCODED, WORD):
            assert secret.encode() not in content, place
            assert secret not in place


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
