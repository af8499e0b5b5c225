"""An ``mlflow server`` on this machine, in a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(folder, *arguments) -> tuple[subprocess.Popen, str]:
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
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return process, address
        except requests.ConnectionError:
            time.sleep(0.3)
    process.kill()
    pytest.fail((folder / "server.log").read_text())


def end(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)
