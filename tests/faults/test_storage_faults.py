"""MLflow away, busy, slow or locked, a full disk, a torn journal: nothing is lost."""

import resource
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from gate import Gate
from mlflow_servers import end, serve
from reverse_proxy import ReverseProxy
from told_lines import Notes

from pipeline import tracking
from pipeline.errors import PipelineError, SpoolError, StorageError, TrackingError
from pipeline.tracking import StudyRun
from pipeline.tracking.delivery import sender

pytestmark = pytest.mark.slow


class At(Notes):
    """Does something once a line was told that begins like this."""

    def __init__(self, beginning, action):
        super().__init__()
        self.beginning, self.action = beginning, action

    def note(self, message):
        super().note(message)
        if self.action is not None and message.startswith(self.beginning):
            action, self.action = self.action, None
            action()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    process, address = serve(tmp_path_factory.mktemp("server"))
    yield int(address.rpartition(":")[2])
    end(process)


@pytest.fixture
def gate(server, monkeypatch):
    gate = Gate(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gate.address)
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(sender, "LONGEST_PAUSE", 0.5)
    yield gate
    gate.close()


def in_turn(first, *steps):
    """Returns what does the first step at once, and each other one so many seconds later."""

    def run():
        for seconds, step, *arguments in steps:
            time.sleep(seconds)
            step(*arguments)

    def begin():
        step, *arguments = first
        step(*arguments)
        threading.Thread(target=run).start()

    return begin


def waiting():
    return sorted(Path("studies.journal.outbox").glob("*/*"))


def books(study):
    """Returns what MLflow holds of a study's trials, and that it is in order."""
    store = tracking.connect()
    record = store.read_study(study=study)
    runs = [store.get_run(trial.mlflow_run_id) for trial in record.trials]
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert store.get_run(record.run_id).info.status == "FINISHED"
    history = store.get_metric_history(runs[0].info.run_id, "epoch/val_ce")
    assert [point.step for point in history] == [1, 2, 3]
    assert waiting() == []
    assert not Path("studies.journal.outbox").exists()
    return [(t.number, t.state, t.config, t.measurement, t.curves) for t in record.trials]


def test_a_server_that_is_busy_then_gone_then_slow_gets_everything_once(faulty, gate):
    faulty(study="calm", cohort_size=1)
    steps = in_turn((gate.set, "busy"), (3, gate.set, "closed"), (3, gate.set, "slow"),
                    (3, gate.set, "open"))  # fmt: skip
    _, lines = faulty(study="troubled", cohort_size=1, notes=At("trial 1", steps))
    told = [line for line in lines if "training goes on, and what ends is kept in" in line]
    assert told
    assert told[0].startswith(f"MLflow at {gate.address} could not ")
    assert f"MLflow at {gate.address} answers again: what waited is being delivered" in lines
    assert lines.index(told[0]) < next(i for i, line in enumerate(lines) if "trial 7" in line)
    assert books("troubled") == books("calm")


def test_a_server_that_stays_away_ends_the_search_and_the_next_delivers(faulty, gate, monkeypatch):
    faulty(study="quiet", cohort_size=1)
    away = At("trial 1", lambda: gate.set("closed"))
    with monkeypatch.context() as impatient, pytest.raises(TrackingError) as raised:
        impatient.setattr(StudyRun.drain, "__defaults__", (1.0,))
        faulty(study="left alone", cohort_size=1, notes=away)
    assert str(raised.value).endswith("The same command delivers it and continues")
    assert raised.value.exit_code == 1
    trained = [line for line in away.lines if line.startswith("trial ")]
    assert len(trained) == 8, "training goes on while MLflow is away"
    assert len(waiting()) >= 6
    gate.set("open")
    _, lines = faulty(study="left alone", cohort_size=1)
    assert lines[0].startswith("delivered to MLflow what an earlier search had to keep: ")
    assert not [line for line in lines if line.startswith("trial ")], "nothing is trained again"
    assert books("left alone") == books("quiet")


@pytest.fixture
def proxy(server, monkeypatch):
    proxy = ReverseProxy(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
    yield proxy
    proxy.close()


class Timed(Notes):
    """Makes requests slow from the first trial's end until the last one's; knows how long it was.

    Attributes:
        seconds: Between the two, of which the trials between them trained.
    """

    def __init__(self, proxy, request_seconds):
        super().__init__()
        self.proxy, self.request_seconds = proxy, request_seconds
        self.seconds = None

    def note(self, message):
        super().note(message)
        if message.startswith("trial 0"):
            self.proxy.seconds, self.begun = self.request_seconds, time.monotonic()
        if message.startswith("trial 7"):
            self.proxy.seconds, self.seconds = 0.0, time.monotonic() - self.begun
            self.waiting = len(waiting())


def test_a_server_that_takes_seconds_for_a_request_does_not_slow_training(faulty, proxy):
    found = {}
    for study, request_seconds in (("quick", 0.0), ("slow", 4.0)):
        notes = found[study] = Timed(proxy, request_seconds)
        faulty(study=study, cohort_size=1, epoch_seconds=0.15, notes=notes)
    assert found["slow"].waiting >= 5, "most is delivered after training"
    # Once at most, a cohort's end waits a moment for the ids of its runs; then no more. A request
    # that each of the six waited for would take 24 seconds.
    lost = found["slow"].seconds - found["quick"].seconds
    assert lost <= sender.WAITED_SECONDS + 10.0, found
    assert books("slow") == books("quick")


def test_a_trial_takes_few_requests_to_a_server(faulty, proxy):
    """To write and to read; what a study takes once is the difference to its total."""
    took = {}
    for trials in (8, 24):
        writing = proxy.total()
        faulty(study=f"of {trials}", trials=trials, cohort_size=8)
        reading = proxy.total()
        assert len(tracking.connect().read_study(study=f"of {trials}").trials) == trials
        took[trials] = (reading - writing, proxy.total() - reading)
    writing, reading = (np.array(took[24]) - took[8]) / 16
    # A run, its params, its file, its results, its end; some have weights, or a new verdict.
    # How much goes into one request depends on the pace of the machine.
    assert 4 <= writing <= 10, (took, proxy.counts)
    assert reading <= 1, (took, proxy.counts)
    assert took[8][0] - 8 * writing <= 80, (took, proxy.counts)
    assert took[8][1] - 8 * reading <= 10, (took, proxy.counts)


def test_a_database_that_another_program_locks_gets_everything_later(faulty, monkeypatch):
    monkeypatch.setattr(sender, "FIRST_PAUSE", 0.1)
    faulty(study="calm", cohort_size=1)
    locked = sqlite3.connect(
        "mlflow.db", timeout=60.0, isolation_level=None, check_same_thread=False
    )

    def lock():
        locked.execute("BEGIN EXCLUSIVE")
        threading.Thread(target=release).start()

    def release():
        """Frees it after longer than SQLite itself waits, and not before everything is trained."""
        time.sleep(7.0)
        end = time.monotonic() + 60
        while num_trained() < 8 and time.monotonic() < end:
            time.sleep(0.05)
        trained.append(num_trained())
        locked.execute("COMMIT")

    def num_trained():
        return len([line for line in notes.lines if line.startswith("trial ")])

    trained, notes = [], At("trial 1", lock)
    faulty(study="troubled", cohort_size=1, notes=notes)
    locked.close()
    assert trained == [8], "training goes on"
    assert books("troubled") == books("calm")


@pytest.mark.parametrize("room", [300, 200_000])
def test_a_full_disk_stops_the_search_with_a_message_and_the_next_continues(faulty, room):
    """No file may grow beyond a size: writes fail in their middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill():
        size = Path("studies.journal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, before[1]))

    notes = At("trial 1", fill)
    try:
        with pytest.raises((SpoolError, StorageError)) as raised:
            faulty(trials=200, cohort_size=1, notes=notes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    message = str(raised.value)
    assert "File too large" in message
    assert message.endswith("the same command continues")
    assert "\n" not in message
    kept = [line for line in notes.lines if line.startswith("trial ")]
    record, lines = faulty(trials=len(kept) + 3, cohort_size=1)
    again = [line for line in lines if line.startswith("trial ")]
    assert len([trial for trial in record.trials if trial.state == "COMPLETE"]) == len(kept) + 3
    assert len(again) <= 4


def test_a_torn_journal_is_mended_and_the_study_goes_on(faulty):
    faulty(trials=4)
    with Path("studies.journal").open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"3b1c')
    record, lines = faulty()
    assert lines[0] == (
        "--storage studies.journal: cut off its last record, 30 bytes that were not whole"
    )
    assert [trial.state for trial in record.trials] == ["COMPLETE"] * 8


def test_a_journal_that_is_damaged_in_its_middle_is_refused(faulty):
    faulty(trials=2)
    journal = Path("studies.journal")
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([*lines[:5], lines[5][:9], *lines[6:]]))
    with pytest.raises(PipelineError) as raised:
        faulty()
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(
        "--storage studies.journal: this journal is damaged before its end ("
    )


def test_a_place_where_nothing_can_wait_is_refused_before_anything_trains(faulty):
    Path("studies.journal.outbox").touch()
    with pytest.raises(SpoolError, match=r"cannot keep what waits for MLflow in studies\.journal"):
        faulty()
