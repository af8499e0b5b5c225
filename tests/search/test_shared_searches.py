"""Several ``pipeline search`` processes on one study in PostgreSQL: one total, whatever dies."""

import contextlib
import re
import shutil
import signal
import sqlite3
import time

import optuna
import psycopg
import pytest
from forks import FORK
from shared_searches import (
    SPACE,
    TRIALS,
    Search,
    askers,
    books,
    in_optuna,
    num_delivered,
    paced,
    searches_of,
)

from pipeline import tracking
from pipeline.report.options import ReportOptions
from pipeline.report.run import make_report

pytestmark = pytest.mark.slow
TIMES = (1.0, 15.0)
"""Between signs of life, and after which one that gave none is dead."""


@pytest.fixture
def study(migrated, tmp_path, monkeypatch, database):
    """Returns a function that starts a search of the study."""
    monkeypatch.delenv("PIPELINE_DATA_DIR", raising=False)
    shutil.copy(migrated, tmp_path / "mlflow.db")
    (tmp_path / "small.yaml").write_text(SPACE)
    started = []

    def start(name, **how):
        started.append(Search(tmp_path, database, name, **how))
        return started[-1]

    with paced(tmp_path):
        yield start
    for search in started:
        if search.process.is_alive():
            search.process.kill()
        search.process.join()


def test_two_that_start_at_the_same_instant_and_one_that_comes_later_make_one_study(
    study, tmp_path, database
):
    begin = FORK.Event()
    one, two = (study(name, wait=begin, held_after=0) for name in ("one", "two"))
    begin.set()
    for search in (one, two):
        search.until_held()
    # Each has its part, however late it came.
    assert len(askers(database)) == 2
    one.go()
    two.go()
    assert (one.ended(), two.ended()) == (0, 0), one.said + two.said
    record = books(tmp_path, database)
    assert len(one.trained) + len(two.trained) == TRIALS == len(record.trials)
    assert one.trained, "each had work"
    assert two.trained, "each had work"
    assert len(searches_of(tmp_path)) == 2
    kept = [trial for trial in record.trials if tracking_keeps_weights(tmp_path, trial)]
    assert len(kept) < TRIALS, "what the whole study does not need is dropped"
    # The total is raised later, by three at once.
    more = [study(name, more=("--trials", "15")) for name in "abc"]
    assert [search.ended() for search in more] == [0, 0, 0], [search.said for search in more]
    books(tmp_path, database, trials=15)
    assert sum(len(search.trained) for search in more) == 3
    for search in (one, two, *more):
        assert "postgres:" not in search.said


def tracking_keeps_weights(folder, trial):
    return tracking.connect(f"sqlite:///{folder}/mlflow.db").keeps_weights(trial.mlflow_run_id)


def test_what_a_killed_search_trained_on_another_machine_is_trained_by_the_others(
    study, tmp_path, database
):
    killed = study("killed", host="node-a", times=TIMES, held_after=2)
    killed.until_held()
    other = study("other", host="node-b", times=TIMES)
    other.until("at work: this one and another `pipeline search` (host node-a, process")
    killed.send(signal.SIGKILL)
    assert killed.ended() == -signal.SIGKILL
    assert other.ended() == 0, other.said
    if "has not delivered" in other.said:
        # It was killed between Optuna's word and MLflow's: its machine has what is left.
        assert study("again", host="node-a", times=TIMES).ended() == 0
    record = books(tmp_path, database)
    lost = [trial for trial in record.trials if trial.state == "FAIL"]
    assert {trial.cause for trial in lost} <= {"the search was killed while it ran"}
    assert len(record.trials) == TRIALS + len(lost)
    gone = f"another `pipeline search` (host node-a, process {killed.process.pid})"
    assert f"{gone} is dead: trials of it that did not end are trained again" in other.said


def test_one_that_was_killed_between_two_trials_does_not_leave_the_study_open(
    study, tmp_path, database
):
    search = study("one", host="node-b", times=(1.0, 20.0), held_after=TRIALS - 2)
    search.until_held()
    # Of another machine, and alive a moment ago.
    dead = {"token": "node-a:7:dead", "host": "node-a", "machine": "a", "process": 7}
    storage = optuna.storages.RDBStorage(database)
    opened = optuna.load_study(study_name="digits", storage=storage)
    opened.set_user_attr("search:node-a:7:dead", dead | {"alive_at": time.time()})
    storage.engine.dispose()
    search.go()
    assert search.ended() == 0, search.said
    assert (
        "every trial has ended; this search waits for a sign of life of another `pipeline search` "
        "(host node-a, process 7), to leave the study to it, and ends the study if there comes none"
    ) in search.said
    books(tmp_path, database)


def is_used(file):
    """Whether somebody reads or writes a SQLite file."""
    with contextlib.closing(sqlite3.connect(file, timeout=0.0)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        return False


def fall_asleep(search, folder, database):
    """Stops a search where it holds no lock, of its own or a database's: others would wait."""
    busy = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
        search.send(signal.SIGSTOP)
        time.sleep(0.05)
        while connection.execute(busy).fetchone()[0] or is_used(folder / "mlflow.db"):
            search.send(signal.SIGCONT)
            time.sleep(0.05)
            search.send(signal.SIGSTOP)
            time.sleep(0.05)


def test_one_that_wakes_up_too_late_stops_and_writes_nothing_twice(study, tmp_path, database):
    slept = study("slept", host="node-a", times=TIMES, held_after=2)
    slept.until_held()
    # What ended is in MLflow: nobody but the sleeper could bring it there.
    slept.wait(lambda: num_delivered(tmp_path) == len(slept.trained))
    fall_asleep(slept, tmp_path, database)
    other = study("other", host="node-b", times=TIMES)
    other.until("is dead")
    other.until("trial 8")
    slept.go()
    slept.send(signal.SIGCONT)
    assert slept.ended() == 1
    assert "(host node-b, process" in slept.said
    assert "has taken over what this search trained of study 'digits'" in slept.said
    assert other.ended() == 0, other.said
    books(tmp_path, database)


def test_ctrl_c_of_one_gives_its_trials_to_the_other_at_once(study, tmp_path, database):
    stopped = study("stopped", host="node-a", held_after=2)
    stopped.until_held()
    other = study("other", host="node-b", held_after=0)
    other.until("at work: this one and another")
    other.until_held()
    stopped.send(signal.SIGINT)
    stopped.until("stopping: what is training is finished first")
    stopped.go()
    assert stopped.ended() == 130
    assert "of 12 trials ended; the same command continues" in stopped.said
    store = tracking.connect(f"sqlite:///{tmp_path}/mlflow.db")
    run_id = store.read_study(study="digits").run_id
    assert store.is_searched_by_several(run_id), other.said
    other.go()
    assert other.ended() == 0, other.said
    books(tmp_path, database)
    assert not store.is_searched_by_several(run_id)
    # Nobody had to wait for a sign of life to grow old.
    assert "is dead" not in other.said


def test_a_report_while_searches_are_at_work_is_preliminary(study, tmp_path, database, monkeypatch):
    search = study("one", more=("--trials", "100"), held_after=4)
    search.until_held()
    search.wait(lambda: num_delivered(tmp_path) == len(search.trained))
    monkeypatch.chdir(tmp_path)
    report = make_report(ReportOptions(study="digits"), lambda line: None)
    (note,) = [line for line in report.selection.notes if line.startswith("preliminary: ")]
    assert note == (
        "preliminary: searches that share this study are at work on it (or all of them were "
        "killed), so nothing was locked and the test part was not read; give the same command "
        "again when they have ended. If none is alive, one `pipeline search` with the same "
        "--storage ends the study"
    )
    store = tracking.connect()
    assert store.read_selection(report.study.run_id) is None
    search.send(signal.SIGINT)
    search.until("stopping: what is training is finished first")
    search.go()
    assert search.ended() == 130
    states = {trial.state.name for trial in in_optuna(database)}
    assert "RUNNING" not in states


def test_a_search_with_another_store_of_mlflows_is_refused(study, tmp_path, monkeypatch, migrated):
    first = study("first", more=("--trials", "100"), held_after=1)
    first.until_held()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(migrated, other / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/mlflow.db")
    second = study("second")
    assert second.ended() == 2
    assert "is written to run" in second.said
    assert "set MLFLOW_TRACKING_URI to the store that the other searches write to" in second.said
    first.send(signal.SIGINT)
    first.until("stopping: what is training is finished first")
    first.go()
    assert first.ended() == 130


def test_where_the_database_goes_away_a_search_stops_in_good_order(
    study, tmp_path, database, postgres_server
):
    search = study("one", held_after=2)
    search.until_held()
    name = re.search(r"test_\w+", database).group()
    postgres_server.run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    postgres_server.run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )
    search.go()
    assert search.ended() == 1
    last = search.said.splitlines()[-1]
    assert last.startswith("Error: Optuna's storage cannot be read or written (")
    assert last.endswith("what ended is kept; mend it, and the same command continues")
    postgres_server.run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    assert study("again").ended() == 0
    books(tmp_path, database)
