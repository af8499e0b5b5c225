"""An ``mlflow server``, or a served model, on this machine, in a folder of its own."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
from reverse_proxy import ReverseProxy


def free_port() -> int:
    """Returns a port that is free, and is not one that the system gives to connections of others.

    A server binds it seconds later.
    """
    while True:
        # Not the global one, which hypothesis sets to the same place in every process.
        port = random.SystemRandom().randrange(24_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers(address: str) -> bool:
    """Whether a server is there; one that binds its port first and starts then is not yet."""
    try:
        return requests.get(address, timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def serve(folder, *arguments, environment=None) -> tuple[subprocess.Popen, str]:
    port = free_port()
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--port",
                str(port),
                "--workers",
                "1",
                *arguments,
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | (environment or {}),
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if answers(f"{address}/health"):
            return process, address
        time.sleep(0.3)
    process.kill()
    pytest.fail((folder / "server.log").read_text())


BASIC_AUTH = find_spec("flask_wtf") is not None
"""Whether MLflow's own app for names and passwords can start here: it needs Flask-WTF."""


@contextlib.contextmanager
def team_server(folder, database, user):
    """Gives the port of a server such as a team has, which lets in who gives name and password.

    It keeps runs in a PostgreSQL database and files behind its artifact proxy. Where MLflow's
    basic-auth app cannot start, a reverse proxy of the tests asks for the password in its place.

    Args:
        folder: Where its files and its log are.
        database: SQLAlchemy's address of the database.
        user: ``name:password``.
    """
    where = ("--backend-store-uri", database, "--serve-artifacts")
    where += ("--artifacts-destination", str(folder / "artifacts"))
    environment, app, proxy = {}, (), None
    if BASIC_AUTH:
        name, _, password = user.partition(":")
        (folder / "auth.ini").write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\n"
            f"admin_username = {name}\n"
        )
        app = ("--app-name", "basic-auth")
        environment = {
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "only-for-this-test",
        }
    process, address = serve(folder, *where, *app, environment=environment)
    port = int(address.rpartition(":")[2])
    try:
        if not BASIC_AUTH:
            proxy = ReverseProxy(port, user)
            port = int(proxy.address.rpartition(":")[2])
        yield port
    finally:
        if proxy is not None:
            proxy.close()
        end(process)


def end(process: subprocess.Popen) -> None:
    # One that has died is told by what needed it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def served_model(folder, model, monkeypatch, tracking_uri=None):
    """Gives the address at which ``mlflow models serve`` gives a model of a folder's store."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", model),
        *("--env-manager", "local", "--port", str(port), "--workers", "1"),
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri or f"sqlite:///{folder}/mlflow.db")
    # `mlflow` looks for its server there; the model has to do without the package.
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", programs)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with (folder / "served.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 240
        while not answers(f"{address}/ping"):
            said = (folder / "served.log").read_text()[-2000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.5)
        yield address
    finally:
        end(process)
