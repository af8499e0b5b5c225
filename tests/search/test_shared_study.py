"""Searches that share a study on PostgreSQL: one lock, no point twice, the dead's trials go on."""

import re
import threading
import time
from dataclasses import dataclass

import optuna
import pytest
from mortal_study import Killed, Mortal
from optuna.trial import TrialState
from small_space import NO_REFERENCES, small_space

from pipeline.errors import InputError, PipelineError, StorageError
from pipeline.records import Measurement, TrialOutcome
from pipeline.search import closing, heartbeat, membership, mutex, shared_study
from pipeline.search.mutex import Mutex
from pipeline.search.shared_study import open_shared_study
from pipeline.search.storage import (
    connect_arguments,
    outbox_folder,
    outboxes,
    own_outbox,
    storage_errors,
    with_driver,
)
from pipeline.search.study import trial_seed

SPACE = small_space()
DEFINITION = {"seed": 3, "space": SPACE.definition()}
BASE = Measurement(0.5, 0.9, 0.4, 0.95, 0.1, 0.01, 0.05, 0.0, 2, 4, 100)


@dataclass
class Host:
    """Where what follows runs, for the searches' signs of life."""

    name: str = "node-a"


HERE = Host()


def on(study):
    """Has what follows run on the machine of this study's search; returns the study."""
    HERE.name = study.token.partition(":")[0]
    return study


@pytest.fixture(autouse=True)
def _hosts(monkeypatch):
    monkeypatch.setattr(heartbeat, "machine", lambda: HERE.name)
    for module in (heartbeat, membership):
        monkeypatch.setattr(module.socket, "gethostname", lambda: HERE.name)


class Searches:
    """Searches on several machines, all in this process."""

    def __init__(self, database):
        self.database = database
        self.notes, self.opened = [], []

    def close(self):
        for study in self.opened:
            study.close()

    def on(self, name, space=SPACE, *, references=True, seed=3):
        """Returns the study as a search on another machine opens it."""
        HERE.name = name
        definition = {"seed": seed, "space": space.definition()}
        study = open_shared_study(
            self.database, "first", space, definition, seed, self.notes.append
        )
        self.opened.append(study)
        study._members.join()
        study.resume(references=references)
        return study

    def trials(self):
        storage = optuna.storages.RDBStorage(self.database)
        try:
            return optuna.load_study(study_name="first", storage=storage).get_trials()
        finally:
            storage.engine.dispose()


@pytest.fixture
def searches(database):
    made = Searches(database)
    yield made
    made.close()


@pytest.fixture
def aged(monkeypatch):
    """Lets so many seconds pass at once."""
    clock = heartbeat.time.time

    def pass_by(seconds):
        monkeypatch.setattr(heartbeat.time, "time", lambda: clock() + seconds)

    return pass_by


def asked(study, count):
    with on(study).asking():
        return [study.ask() for _ in range(count)]


def ended(number):
    return TrialOutcome(number, "COMPLETE", BASE)


def test_two_searches_ask_for_each_reference_once_and_no_point_twice(searches):
    one, two = searches.on("node-a"), searches.on("node-b")
    suggestions = [s for _ in range(6) for study in (one, two) for s in asked(study, 1)]
    assert [s.number for s in suggestions] == list(range(12))
    assert [s.name for s in suggestions[:4]] == ["baseline", "wide", "l2", None]
    assert len({s.config for s in suggestions}) == 12
    assert [s.seed for s in suggestions] == [trial_seed(3, number) for number in range(12)]


def test_searches_with_one_seed_do_not_repeat_each_others_random_numbers(searches):
    space = small_space(NO_REFERENCES)
    one, two = searches.on("node-a", space), searches.on("node-b", space)
    rates = {s.config.dropout_rate for study in (one, two) for s in asked(study, 4)}
    assert len(rates) == 8


def test_the_total_is_of_the_whole_study(searches):
    one, two = searches.on("node-a"), searches.on("node-b")
    mine = asked(one, 5)
    one.tell(ended(mine[0].number), {})
    with on(two).asking():
        assert (two.num_ended, two.num_running, two.num_own) == (1, 4, 0)
    two_asked = asked(two, 2)
    with on(one).asking():
        assert (one.num_ended, one.num_running, one.num_own) == (1, 6, 4)
    two.tell(ended(two_asked[0].number), {})
    assert two.ended_as == {"COMPLETE": 2}


@pytest.mark.parametrize(
    ("searches_alive", "batch", "missing", "least", "share"),
    [
        (1, 10, 20, 1, 10),
        (1, 20, 20, 1, 10),
        (2, 10, 20, 1, 5),
        (2, 10, 20, 8, 7),
        (2, 10, 3, 8, 1),
        (4, 2, 100, 3, 2),
        (1, 5, 0, 1, 0),
    ],
)
def test_a_batch_leaves_work_to_the_others_and_to_one_that_is_about_to_come(
    searches, searches_alive, batch, missing, least, share
):
    study = searches.on("node-0")
    study._living = {str(number): {} for number in range(1, searches_alive)}
    assert study.share(min(batch, missing), missing, least) == share


def test_the_trials_of_a_dead_search_are_asked_for_again_with_their_seeds(searches, aged):
    dead, other = searches.on("node-a"), searches.on("node-b")
    lost = asked(dead, 4)
    dead.tell(ended(lost[3].number), {})
    assert asked(other, 1)[0].number == 4, "it is alive"
    aged(heartbeat.STALE_SECONDS + 1)
    on(other)._members.join()
    found = asked(other, 3)
    assert [(s.config, s.seed, s.name) for s in found] == [
        (s.config, s.seed, s.name) for s in lost[:3]
    ]
    numbers, names = other.taken_over()
    assert numbers == [0, 1, 2]
    assert names == [f"another `pipeline search` (host node-a, process {heartbeat.os.getpid()})"]
    assert other.taken_over() == ([], [])
    retries = {t.number: t.user_attrs["retry_of"] for t in searches.trials() if t.number > 4}
    assert retries == {5: 0, 6: 1, 7: 2}
    assert other.num_ended == 1


def test_one_that_was_taken_for_dead_writes_nothing_and_says_who_has_its_trials(searches, aged):
    slept, other = searches.on("node-a"), searches.on("node-b")
    first, second = asked(slept, 2)
    aged(heartbeat.STALE_SECONDS + 1)
    on(other)._members.join()
    asked(other, 2)
    told = (
        r"^another `pipeline search` \(host node-b, process \d+\) has taken over what this search "
        r"trained of study 'first', because it gave no sign of life: what ended is kept; this one "
        r"stops\. The same command joins the study again$"
    )
    for write in (
        lambda: slept.check_own([first.number]),
        lambda: slept.report(first.number, 1, 0.5),
        lambda: asked(slept, 1),
        lambda: slept.tell(ended(first.number), {}),
        lambda: slept.tell(TrialOutcome(second.number, "FAIL", cause="diverged"), {}),
    ):
        on(slept)
        with pytest.raises(PipelineError, match=told):
            write()
    slept.return_unfinished()
    assert set(slept.lost) == {first.number, second.number}
    states = [trial.state for trial in searches.trials()]
    assert states == [TrialState.FAIL] * 2 + [TrialState.RUNNING] * 2 + [TrialState.WAITING]


@pytest.mark.parametrize("steps", range(9))
def test_whoever_dies_while_it_takes_over_the_next_one_finds_what_is_left(searches, aged, steps):
    dead, taker, third = (searches.on(f"node-{name}") for name in "abc")
    lost = asked(dead, 3)
    aged(heartbeat.STALE_SECONDS + 1)
    on(third)._members.join()
    on(taker)._members.join()
    taker._study = Mortal(taker._study, steps)
    taker._members._study = taker._study
    try:
        asked(taker, 0)
    except Killed:
        pass
    else:
        assert steps == 8, "the last one survives: every step was tried"
    found = asked(third, 3)
    assert [(s.config, s.seed) for s in found] == [(s.config, s.seed) for s in lost]
    retries = [t.user_attrs["retry_of"] for t in searches.trials() if "retry_of" in t.user_attrs]
    assert retries == [0, 1, 2]


def test_one_that_is_killed_while_it_asks_leaves_nothing_that_runs_for_ever(searches, aged):
    one, two = searches.on("node-a"), searches.on("node-b")
    with on(one).asking():
        super(type(one), one).ask()  # the trial is made, and is nobody's yet
    found = asked(two, 1)
    assert (found[0].number, found[0].name) == (1, "wide")
    assert [s.name for s in asked(two, 2)] == ["l2", "baseline"]


def test_who_leaves_gives_its_trials_to_the_others_at_once(searches):
    one, two = searches.on("node-a"), searches.on("node-b")
    mine = asked(one, 2)
    on(one).return_unfinished()
    assert one.step_down()
    assert [(s.config, s.seed, s.name) for s in asked(two, 3)][1:] == [
        (s.config, s.seed, s.name) for s in mine
    ]
    assert not two.step_down(), "it is the last one"
    with two.leaving() as last:
        assert last
    with one.leaving() as last:
        assert not last


def test_who_sees_the_end_waits_until_the_others_say_that_they_live(searches, aged, monkeypatch):
    monkeypatch.setattr(shared_study, "POLL_SECONDS", 0.0)
    one, two, three = (searches.on(f"node-{name}") for name in "abc")
    aged(1.0)
    told = on(one).wait_for_others(0)
    here = f"process {heartbeat.os.getpid()})"
    assert told == (
        "every trial has ended; this search waits for a sign of life of another `pipeline search` "
        f"(host node-b, {here}, another `pipeline search` (host node-c, {here}, to leave the study "
        "to it, and ends the study if there comes none"
    )
    on(two)._members.renew()
    assert "node-b" not in on(one).wait_for_others(0)
    on(three)._members.end()
    assert on(one).wait_for_others(0) == "", "one lives, one has left"
    aged(2.0)
    # The first one gave a sign as it came to the end; since the second did, too, it has to again.
    assert "node-a" in on(two).wait_for_others(0)
    aged(heartbeat.STALE_SECONDS + 3.0)
    assert on(two).wait_for_others(0) == "", "it is dead"
    assert not two.step_down()


def test_a_search_of_an_older_version_is_not_joined(searches):
    first = searches.on("node-a")
    first._study.set_user_attr(heartbeat.ATTRIBUTE, heartbeat.sign_of_life("older"))
    with pytest.raises(InputError, match=r"\(host node-a, process \d+\) is running study 'first'"):
        searches.on("node-b")


def test_all_have_to_write_to_one_run_of_mlflows(searches):
    one = searches.on("node-a")
    on(one).agree_on(None, "sqlite:///a.db")
    one.written_to("run-a")
    two = searches.on("node-b")
    two.agree_on("run-a", "sqlite:///a.db")
    with pytest.raises(InputError) as caught:
        two.agree_on(None, "sqlite:///other.db")
    assert str(caught.value) == (
        "study 'first' is written to run run-a of MLflow by another `pipeline search` (host "
        f"node-a, process {heartbeat.os.getpid()}), and MLflow at sqlite:///other.db has no such "
        "run of it: set MLFLOW_TRACKING_URI to the store that the other searches write to, or give "
        "--study NAME to start another study"
    )
    on(one).step_down()
    on(two).agree_on(None, "sqlite:///other.db")


def test_a_search_gives_signs_of_life_whatever_it_does(searches, monkeypatch):
    study = searches.on("node-a")
    key = study._members._key
    before = study._study.user_attrs[key]["alive_at"]
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    renewed = threading.Event()
    renew = study._members.renew

    def count():
        renew()
        renewed.set()

    monkeypatch.setattr(study._members, "renew", count)
    with study.held():
        assert renewed.wait(60)
        assert study._study.user_attrs[key]["alive_at"] > before
    assert study._study.user_attrs[key] == {}
    renew()
    assert study._study.user_attrs[key] == {}, "one that has left gives no sign of life"


def test_one_that_was_taken_for_dead_gives_no_sign_until_it_joins_again(searches, aged):
    slept, other = searches.on("node-a"), searches.on("node-b")
    aged(heartbeat.STALE_SECONDS + 1)
    on(other)._members.join()
    asked(other, 1)
    on(slept)._members.renew()
    assert not slept.came_back()
    assert membership.TAKEN_BY in slept._study.user_attrs[slept._members._key]
    asked(slept, 1)
    assert (slept.came_back(), slept.came_back()) == (True, False)


def test_on_one_machine_a_search_is_alive_whose_process_is_and_gives_signs(searches, aged):
    one, two = searches.on("node-a"), searches.on("node-a")
    assert on(one).living == [two.token], "of threads of one process, too"
    entry = two._study.user_attrs[two._members._key]
    parent = heartbeat.psutil.Process().parent()
    # Its clock was set since: the process does not seem to have begun when it did.
    other = entry | {"process": parent.pid, "started": 1.0}
    assert membership.at_work(other)
    assert not membership.at_work(other | {"process": 2**22 + 1})
    two._members.end()
    assert not membership.at_work(entry), "the process lives on, its search does not"
    aged(heartbeat.STALE_SECONDS + 1)
    assert not membership.at_work(other), "a notebook whose search ended"


def test_one_whose_storage_fails_leaves_if_it_can_and_closes_its_connections(searches):
    study = searches.on("node-a")
    with pytest.raises(StorageError), study.held():
        raise StorageError("away")
    assert study._study.user_attrs[study._members._key] == {}
    closed, close = [], study.close
    study.close = lambda: closed.append(close())
    study._study.set_user_attr(
        heartbeat.ATTRIBUTE, heartbeat.sign_of_life("older") | {"machine": "node-c"}
    )
    with pytest.raises(InputError, match="is running study"), study.held():
        pass
    assert closed == [None]


class Told:
    """An Optuna study of which another search tells a trial just before it is closed."""

    def __init__(self, study, other, outcome):
        self._study, self._other, self._outcome = study, other, outcome

    def __getattr__(self, name):
        return getattr(self._study, name)

    def tell(self, *args, **kwargs):
        self._other._study.tell(self._outcome.number, 0.5)
        return self._study.tell(*args, **kwargs)


def test_a_trial_that_is_told_as_it_is_taken_over_is_trained_again_and_counts_once(searches, aged):
    slow, other = searches.on("node-a"), searches.on("node-b")
    (first,) = asked(slow, 1)
    aged(heartbeat.STALE_SECONDS + 1)
    on(other)._members.join()
    other._study = Told(other._study, slow, ended(first.number))
    with on(other).asking():
        assert other.num_ended == 0
        *_, again = [other.ask() for _ in range(3)]
    assert (again.config, again.seed) == (first.config, first.seed)
    assert other.closed == (first.number,)


class Runs:
    """MLflow's runs of a study."""

    def __init__(self, running, ended=()):
        self.running, self.ended, self.closed, self.missing = running, ended, [], ()

    def lacks(self, numbers):
        return tuple(number for number in numbers if number not in self.ended)

    def take_whole(self):
        """Reads nothing."""

    def close_stale(self, numbers=(), cause=""):
        self.closed += [number for number in numbers if number in self.running]
        self.running = [number for number in self.running if number not in self.closed]


def test_what_a_dead_search_has_not_delivered_is_kept_and_trained_again_elsewhere(searches):
    dead, last = searches.on("node-a"), searches.on("node-b")
    told, trains, delivered, unknown = asked(dead, 4)
    for trial in (told, delivered, unknown):
        dead.tell(ended(trial.number), {})
    # It may not even have said that the last one began.
    run = Runs([told.number, trains.number, 7], [delivered.number])
    closing._close_left_behind(last, run, searches.notes.append)
    assert run.closed == [7], "neither what Optuna has as ended nor what it has running"
    assert run.missing == (told.number, unknown.number)
    assert searches.notes == [
        "2 trials ended whose results a search that died has not delivered: the study's run stays "
        "open. The same command on that search's machine delivers them; on another one, if no "
        "search is at work, it trains them again"
    ]
    on(last).train_again(run.missing)
    again = asked(last, 2)
    assert [(s.config, s.seed) for s in again] == [(s.config, s.seed) for s in (told, unknown)]
    assert {told.number, unknown.number} <= {*last.closed}
    closing._close_left_behind(last, run, searches.notes.append)
    assert (run.closed, run.missing) == ([7, told.number], ())


class TakenOver:
    """A search that another one took for dead, as it learns when it leaves."""

    lost = ()

    def leaving(self):
        raise PipelineError("it has been taken over")


def test_what_stopped_a_search_is_told_also_where_it_was_taken_for_dead():
    with (
        pytest.raises(PipelineError, match="no worker starts"),
        closing.run_closed(Runs([]), TakenOver()),
    ):
        raise PipelineError("no worker starts")


def test_a_lock_is_not_lost_to_a_server_that_ends_what_idles(database, postgres_server):
    name = re.search(r"test_\w+", database).group()
    # Longer than a busy machine lets a process wait before the lock has its own setting.
    postgres_server.run(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1s'")
    with Mutex(database, "first").held("trials", id):
        time.sleep(2.0)


def test_a_server_that_vanished_is_given_up_within_a_minute():
    given_up = {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60000,
    }
    assert connect_arguments("postgresql://me@h/db") == given_up
    assert connect_arguments("mysql://h/db") == {}
    assert "tcp_keepalives_idle = 30" in mutex.WHILE_HELD


def test_why_a_database_cannot_be_read_is_what_its_driver_said():
    class DriverError(Exception):
        """SQLAlchemy's."""

        orig = ValueError("server closed the connection unexpectedly\nmore")

    wrapped = optuna.exceptions.StorageInternalError("This typically happens due to invalid data")
    with (
        pytest.raises(
            StorageError, match=r"\(server closed the connection unexpectedly\): what ended"
        ),
        storage_errors(),
    ):
        raise wrapped from DriverError()


def test_a_lock_keeps_others_out_and_goes_with_its_connection(database, postgres_server):
    one, two = Mutex(database, "first"), Mutex(database, "first")
    entered, seconds = threading.Event(), []

    def enter():
        with two.held("trials", seconds.append):
            entered.set()

    waiting = threading.Thread(target=enter)
    with (
        # What dies in the section takes the lock along: the server ends its connection.
        pytest.raises(StorageError, match=r"closed the connection|terminating connection"),
        one.held("trials", id),
        one.held("trials", id),
    ):
        with two.held("opening", id), Mutex(database, "other").held("trials", id):
            pass
        waiting.start()
        assert not entered.wait(0.5)
        postgres_server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        assert entered.wait(60)
    waiting.join()
    assert seconds
    assert seconds == sorted(seconds)
    with one.held("trials", id):
        pass


def test_a_search_that_waits_for_a_lock_says_so_once_and_gives_signs_of_life(
    searches, database, monkeypatch
):
    study = searches.on("node-a")
    other = Mutex(database, "first")
    monkeypatch.setattr("pipeline.search.shared_study.NOTICE_SECONDS", 0.1)
    monkeypatch.setattr(mutex, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.0)
    before = study._study.user_attrs[study._members._key]["alive_at"]
    with other.held("trials", id):
        asking = threading.Thread(target=asked, args=(study, 1))
        asking.start()
        end = time.monotonic() + 60
        while not searches.notes and time.monotonic() < end:
            time.sleep(0.01)
        assert asking.is_alive()
    asking.join()
    assert searches.notes == ["waiting for another search that opens, asks or leaves study 'first'"]
    assert study._study.user_attrs[study._members._key]["alive_at"] > before


def test_an_address_without_a_driver_means_psycopg_3(monkeypatch):
    assert with_driver("postgresql://me@h/db") == "postgresql+psycopg://me@h/db"
    for named in ("postgresql+psycopg2://me@h/db", "sqlite:///a.db", "mysql://h/db"):
        assert with_driver(named) == named
    found = {"psycopg": None, "psycopg2": object()}
    monkeypatch.setattr("pipeline.search.storage.find_spec", found.get)
    assert with_driver("postgresql://me@h/db") == "postgresql+psycopg2://me@h/db"


def test_each_search_has_an_outbox_and_those_of_the_dead_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    whole = outbox_folder("postgresql://h/db", "digits", "http://x:1")
    mine, living, dead = (own_outbox(whole, f"{name}:12:ab") for name in ("me", "living", "dead"))
    for folder in (living, dead, outbox_folder("postgresql://h/db", "other", "http://x:1")):
        folder.mkdir(parents=True)
    assert outboxes(whole, ["living:12:ab"]) == [whole, dead]
    assert len({whole, mine, living, dead}) == 4
