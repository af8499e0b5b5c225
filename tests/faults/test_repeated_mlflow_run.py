"""``mlflow run`` killed, interrupted, run to its end and repeated: one study, as if run once.

Run as a script it does the same with other words for ``-P``, in a copy of the project::

    PYTHONPATH=$PWD:tests:tests/faults python tests/faults/test_repeated_mlflow_run.py \
        dataset=cifar10 train_examples=2000 epochs=4 trials=16
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from test_mlflow_project import (
    BESIDE_PYTHON,
    copy_of_the_project,
    environment,
    report,
)

# Four runs of MLflow's, one after the other.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

ENDED = r"(?m)^trial (\d+)(?: \([^)]*\))?: .* -> \w+, gap"
PATIENCE_SECONDS = 1_800.0


class Started:
    """``mlflow run`` at work in a folder.

    Args:
        folder: A copy of the project.
        words: What comes after ``--env-manager local``.
        variables: Of the environment, beside those of every test here.
    """

    def __init__(self, folder: Path, words: list[str], variables: dict[str, str]) -> None:
        self._log = folder / "mlflow-run.log"
        command = [str(BESIDE_PYTHON / "mlflow"), "run", ".", "--env-manager", "local", *words]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment() | variables, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def wait_for_trials(self, count: int) -> None:
        """Waits until so many trials ended in this run."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(re.findall(ENDED, self.output)) < count:
            assert time.monotonic() < deadline, self.output[-3000:]
            assert self._process.poll() is None, self.output[-3000:]
            time.sleep(0.2)

    def kill_pipeline(self) -> None:
        """Kills the command that MLflow runs, as ``kill -9`` or the out-of-memory killer does."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if {"run", "pipeline"} <= set(process.cmdline()):
                    process.kill()

    def interrupt(self) -> None:
        """Sends Ctrl-C's signal to all of it, as a terminal does."""
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Returns the exit code once it ended."""
        return self._process.wait(timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """Ends what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def killed_interrupted_and_repeated(
    folder: Path, parameters: dict[str, str], variables: dict[str, str], after: int
) -> None:
    """Runs the command four times and holds what is in MLflow against a single run's.

    Args:
        folder: A copy of the project.
        parameters: Of ``-P``; with ``dataset`` and ``trials``.
        variables: Of the environment.
        after: So many trials end before the kill, and again before the interrupt.
    """
    words = [word for pair in parameters.items() for word in ("-P", "=".join(pair))]
    for end in (Started.kill_pipeline, Started.interrupt, None, None):
        started = Started(folder, words, variables)
        try:
            if end is not None:
                started.wait_for_trials(after)
                end(started)
            status = started.wait()
        finally:
            started.close()
        assert (status == 0) is (end is None), started.output
    assert "Test part (read once)" in started.output, started.output
    assert "reading the test part" not in started.output
    assert "registering the model" not in started.output
    check_store(folder, parameters["dataset"], int(parameters["trials"]))


def check_store(folder: Path, dataset: str, trials: int) -> None:
    """Checks that MLflow holds one study, read once and registered once, with right states."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    states = Counter(run.info.status for run in runs)
    assert "RUNNING" not in states, states
    (parent,) = (run for run in runs if run.data.tags.get("role") == "study")
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["test_reads"] == "1"
    # What an earlier command opened says that another one took the study over; it has no trials.
    earlier = {run.info.run_id for run in runs if run.data.tags.get("role") == "continued"}
    for run in runs:
        if run.info.run_id not in (parent.info.run_id, *earlier):
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id, run.info.run_name
    name = f"{dataset}-least-overfit"
    (version,) = client.search_model_versions(f"name='{name}'")
    assert client.get_model_version_by_alias(name, "champion").version == version.version
    shown = report(folder, "--study", dataset, "--format", "json")
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert told["test"]["reads"] == 1
    assert told["model_uri"] == f"models:/{name}/{version.version}"
    # What a kill or a stop cut short is kept as failed; beside it there is the study's total.
    ended = [trial for trial in told["trials"] if trial["state"] in ("COMPLETE", "PRUNED")]
    cut = [trial for trial in told["trials"] if trial["state"] not in ("COMPLETE", "PRUNED")]
    assert len(ended) == trials, [(one["number"], one["state"]) for one in told["trials"]]
    assert {trial["state"] for trial in cut} <= {"FAIL"}
    by_run = {run.info.run_id: run.info.status for run in runs}
    assert {by_run[trial["mlflow_run_id"]] for trial in ended} <= {"FINISHED", "KILLED"}
    assert {by_run[trial["mlflow_run_id"]] for trial in cut} <= {"FAILED"}
    references = [trial["name"] for trial in ended if trial["name"]]
    assert sorted(references) == sorted(set(references))


def test_a_killed_interrupted_and_repeated_command_leaves_one_study(tmp_path):
    folder = copy_of_the_project(tmp_path)
    parameters = {"dataset": "digits", "trials": "10", "epochs": "2", "cohort_size": "2",
                  "seeds": "2", "finalists": "2"}  # fmt: skip
    killed_interrupted_and_repeated(folder, parameters, {"KERAS_BACKEND": "jax"}, after=2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        given = dict(word.split("=", 1) for word in sys.argv[1:])
        killed_interrupted_and_repeated(copy_of_the_project(Path(made)), given, {}, after=2)
    sys.stdout.write("one parent, one reading, one version, right states\n")
