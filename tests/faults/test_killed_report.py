"""A report is killed while finalists train: the next one ends it, and nothing is done twice."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from real_studies import REAL_STUDY
from stopped_commands import stopped_at
from told_lines import Notes

from pipeline import tracking
from pipeline.report.options import ReportOptions
from pipeline.report.run import make_report
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search

pytestmark = REAL_STUDY
# Two batch sizes, hence two cohorts: one has ended where the other has not begun.
SPACE = """\
family: mlp
trials: 4
epochs: 30
patience: 30
fixed: {width: 32}
search:
  dropout_rate: {low: 0.0, high: 0.1}
references:
  baseline: {depth: 1}
  deep: {depth: 2, batch_size: 24}
"""
SEEDS, WAIT_SECONDS = 2, 240


@pytest.fixture
def folder(tmp_path, migrated, monkeypatch):
    """A folder with a study that was searched by worker processes, as is usual."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPACE)
    options = SearchOptions(search_space="small.yaml")
    run_search(options, prepare(options), Notes())
    return tmp_path


def finalist_runs(store):
    """Returns the finalists' runs, whatever became of them."""
    experiment = store.get_run(store.read_study(study="digits").run_id).info.experiment_id
    return list(store.search_runs([experiment], "tags.role = 'finalist'"))


def kept(store):
    """Returns the id of the run of every training that ended, by trial and seed."""
    complete = [r for r in finalist_runs(store) if r.data.tags.get("state") == "COMPLETE"]
    found = {(run.data.tags["trial"], run.data.tags["seed"]): run.info.run_id for run in complete}
    assert len(found) == len(complete), "a training was done twice"
    return found


def until(seen):
    """Returns once something is seen."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not seen():
        assert time.monotonic() < deadline, "it was not seen in time"
        time.sleep(0.05)


def workers_of(process):
    """Returns the processes that a process has started."""
    return [
        int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def gone(process):
    """Whether a process has ended; a zombie has."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def killed_report(words, meanwhile=None):
    """Starts ``pipeline report``, kills it at a line of its own, and returns what it had said.

    Args:
        words: Of the line. It stops there by itself.
        meanwhile: It goes on instead, and is killed once this has returned.
    """
    asked = ("report", "--seeds", str(SEEDS), "--finalists", "3")
    goes_on = [sys.executable, "-m", "pipeline", *asked]
    arguments = goes_on if meanwhile else stopped_at(words, *asked)
    said = []
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            said.append(line)
            if words in line:
                break
        if meanwhile:
            meanwhile()
        workers = workers_of(running.pid)
        os.kill(running.pid, 9)
        running.communicate()
    assert running.returncode == -9, said
    assert workers, "it trains in a process of its own"
    until(lambda: all(gone(worker) for worker in workers))
    return said


def test_a_report_killed_while_finalists_train_is_ended_by_the_next_one(folder):
    store = tracking.connect()
    run_id = store.read_study(study="digits").run_id

    def until_it_trains():
        until(lambda: [r for r in finalist_runs(store) if r.info.status == "RUNNING"])

    said = killed_report(" again with other seeds", until_it_trains)
    assert " trainings in 2 cohorts " in said[-1]
    count = int(said[-1].split(": ")[1].split()[0])
    before = kept(store)

    killed_report("(1/")
    first = kept(store)
    assert before.items() <= first.items() and 0 < len(first) < count
    assert store.tag(run_id, "selection_locked") is None
    assert store.test_reads(run_id) == 0

    told = []
    report = make_report(ReportOptions(study="digits", seeds=SEEDS, finalists=3), told.append)
    assert f" {count - len(first)} trainings in " in told[0]
    assert len([line for line in told if line.startswith("finalist ")]) == count - len(first)
    last = kept(store)
    assert first.items() <= last.items() and len(last) == count
    several = (*report.confirmation.finalists, *report.confirmation.others)
    assert {run.mlflow_run_id for one in several for run in one.runs} == set(last.values())
    states = Counter(run.info.status for run in finalist_runs(store))
    assert set(states) == {"FINISHED", "FAILED"} and states["FINISHED"] == count
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    assert list(store.search_runs(experiments, "attributes.status = 'RUNNING'")) == []
    locked = [f.path for f in store.list_artifacts(run_id) if f.path.startswith("selection-")]
    assert len(locked) == 1
    assert (store.test_reads(run_id), report.test.reads) == (1, 1)
    assert report.model_uri == "models:/digits-least-overfit/1"
    assert len(store.search_model_versions("name = 'digits-least-overfit'")) == 1
    # And nothing is left for another one to do.
    again = []
    make_report(ReportOptions(study="digits"), again.append)
    assert again == []
