"""Ctrl-C in a real terminal: the whole tree ends, in good order the first time, at once the second.

A shell with job control is needed: only there does the kernel send the signal to every process in
the foreground, and only there does the prompt come back while an orphan still runs.
"""

import sqlite3
import sys
from pathlib import Path

import pytest
from terminals import CTRL_C, PROMPT, Terminal
from test_mlflow_project import copy_of_the_project, environment

SPACE = """\
family: mlp
trials: 40
epochs: {epochs}
patience: {epochs}
fixed: {{width: 16, batch_size: 32}}
search:
  dropout_rate: {{low: 0.1, high: 0.7}}
"""
STOPPED = "stopping: what is training is finished first"
TRAINS = r"running|epoch \d+/\d+"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_of_the_project(tmp_path_factory.mktemp("terminal"))
    (folder / "short.yaml").write_text(SPACE.format(epochs=60))
    (folder / "endless.yaml").write_text(SPACE.format(epochs=100_000))
    return folder


@pytest.fixture
def terminal(project):
    opened = Terminal(project, environment() | {"KERAS_BACKEND": "jax"})
    yield opened
    opened.close()


def states(folder: Path, study: str) -> list[tuple[str, str]]:
    """Returns role and status of every run of a study, as the database has them."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        return sorted(
            database.execute(
                "SELECT role.value, runs.status FROM runs"
                " JOIN tags AS role ON role.run_uuid = runs.run_uuid AND role.key = 'role'"
                " JOIN tags AS study ON study.run_uuid = runs.run_uuid AND study.key = 'study'"
                " WHERE study.value = ?",
                (study,),
            )
        )


def ways(study: str, space: str) -> dict[str, str]:
    """Returns how a search on this space is started, directly and by ``mlflow run``."""
    values = {"study": study, "search_space": f"{space}.yaml", "cohort_size": "2"}
    direct = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in values.items())
    indirect = " ".join(f"-P {name}={value}" for name, value in values.items())
    python = sys.executable
    return {
        "search": f"{python} -m pipeline search {direct}\n",
        "run": f"{python} -m pipeline run {direct}\n",
        "mlflow": f"{python} -m mlflow run . --env-manager local {indirect}\n",
    }


@pytest.mark.parametrize("way", ["search", "mlflow"])
def test_after_ctrl_c_what_trains_is_kept_and_nothing_is_left_running(way, terminal):
    study = f"softly-{way}"
    terminal.type(ways(study, "short")[way].encode())
    terminal.wait_for(TRAINS)
    terminal.type(CTRL_C)
    text = terminal.wait_for(PROMPT)
    assert STOPPED in text
    assert "the same command continues" in text
    assert "Traceback" not in text
    # What is behind the prompt would be drawn over it.
    assert text.endswith(PROMPT)
    terminal.wait_until_idle(5)
    assert terminal.text.endswith(PROMPT)
    assert terminal.status() == (1 if way == "mlflow" else 130), text
    found = states(terminal.folder, study)
    assert ("study", "KILLED") in found
    # MLflow itself says of every command that did not end well that it failed.
    assert (("command", "FAILED") in found) is (way == "mlflow")
    assert ("trial", "FINISHED") in found
    assert ("trial", "RUNNING") not in found
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("way", ["search", "run", "mlflow"])
def test_after_the_second_ctrl_c_all_ends_at_once(way, terminal):
    study = f"at-once-{way}"
    terminal.type(ways(study, "endless")[way].encode())
    terminal.wait_for(TRAINS)
    terminal.type(CTRL_C)
    terminal.wait_for(STOPPED)
    terminal.type(CTRL_C)
    text = terminal.wait_for(PROMPT, 60)
    terminal.wait_until_idle(20)
    assert "Traceback" not in text
    assert terminal.text.endswith(PROMPT), terminal.text
    assert terminal.status() == (1 if way == "mlflow" else 130), text
    found = states(terminal.folder, study)
    assert [role for role, _ in found].count("study") == 1
    assert "RUNNING" not in {status for _, status in found}


@pytest.mark.parametrize("way", ["search", "mlflow"])
def test_ctrl_c_before_anything_trains_ends_all(way, terminal):
    terminal.type(ways(f"early-{way}", "short")[way].encode())
    if way == "mlflow":
        terminal.wait_for("=== Running command")
    command = "pipeline run" if way == "mlflow" else "-m pipeline search"
    terminal.wait_until_running(command, worked=1.0)
    terminal.type(CTRL_C)
    text = terminal.wait_for(PROMPT)
    terminal.wait_until_idle(20)
    assert "Traceback" not in text
    assert "KeyboardInterrupt" not in text
    assert terminal.text.endswith(PROMPT)
    assert terminal.status() != 0, "it did not come to its end"
