"""A second search on one study is refused through the storage, whichever machine it runs on."""

import time

import optuna
import psutil
import pytest
from forks import forked
from optuna.storages import InMemoryStorage

from pipeline.errors import InputError, PipelineError
from pipeline.search import heartbeat
from pipeline.search.heartbeat import ATTRIBUTE, STALE_SECONDS, Heartbeat


@pytest.fixture
def study():
    return optuna.create_study(storage=InMemoryStorage(), study_name="shared")


@pytest.fixture
def elsewhere(monkeypatch):
    """Makes what follows run on another machine."""

    def move(host):
        monkeypatch.setattr(heartbeat.socket, "gethostname", lambda: host)

    return move


def entry(study):
    return study.user_attrs[ATTRIBUTE]


def test_a_study_is_free_again_when_its_search_ends(study):
    first = Heartbeat(study, shared=False)
    assert entry(study)["process"] == psutil.Process().pid
    first.end()
    assert entry(study) is None
    Heartbeat(study, shared=False).end()


def test_a_search_on_another_machine_is_refused_by_host_process_and_time(
    study, elsewhere, monkeypatch
):
    monkeypatch.setattr(heartbeat.time, "time", lambda: 1.8e9)
    elsewhere("node-a")
    Heartbeat(study, shared=False)
    elsewhere("node-b")
    with pytest.raises(InputError) as caught:
        Heartbeat(study, shared=False)
    assert str(caught.value) == (
        f"another `pipeline search` (host node-a, process {psutil.Process().pid}) is running study "
        "'shared' in this storage, last sign of life 1 s ago: wait until it ends, or give --study "
        "NAME to start another study. If it was killed, the study is free 5 min after its last "
        "sign of life"
    )
    assert caught.value.exit_code == 2


def test_what_a_killed_search_on_another_machine_left_counts_until_it_is_old(study, elsewhere):
    elsewhere("node-a")
    Heartbeat(study, shared=False)
    elsewhere("node-b")
    for age, refused in ((STALE_SECONDS - 10, True), (STALE_SECONDS + 1, False)):
        study.set_user_attr(ATTRIBUTE, entry(study) | {"alive_at": time.time() - age})
        if refused:
            with pytest.raises(InputError, match="last sign of life 5 min ago"):
                Heartbeat(study, shared=False)
        else:
            Heartbeat(study, shared=False)
            assert entry(study)["host"] == "node-b"


def test_on_this_machine_a_dead_process_is_known_at_once_and_a_living_one_is_refused(study):
    Heartbeat(study, shared=False)
    gone = forked(int)
    started = psutil.Process(gone.pid).create_time()
    gone.join()
    study.set_user_attr(ATTRIBUTE, entry(study) | {"process": gone.pid, "started": started})
    Heartbeat(study, shared=False)
    parent = psutil.Process().parent()
    living = {"process": parent.pid, "started": parent.create_time()}
    study.set_user_attr(ATTRIBUTE, entry(study) | living)
    with pytest.raises(InputError, match=rf"\(host .*, process {parent.pid}\) is running study"):
        Heartbeat(study, shared=False)
    # Another process that got the number later is no search.
    study.set_user_attr(ATTRIBUTE, entry(study) | {"started": 1.0})
    Heartbeat(study, shared=False)


@pytest.mark.parametrize(
    "other", [None, "x", {}, {"machine": "m"}, {"machine": 1, "alive_at": "x"}]
)
def test_an_attribute_of_something_else_is_no_search(other, study):
    study.set_user_attr(ATTRIBUTE, other)
    Heartbeat(study, shared=False)


def test_a_sign_of_life_is_given_now_and_then(study, monkeypatch):
    made = Heartbeat(study, shared=False)
    before = entry(study)["alive_at"]
    made.beat()
    assert entry(study)["alive_at"] == before
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.0)
    made.beat()
    assert entry(study)["alive_at"] > before


def test_one_that_slept_while_another_took_over_stops(study, elsewhere, monkeypatch):
    elsewhere("node-a")
    slept = Heartbeat(study, shared=False)
    study.set_user_attr(ATTRIBUTE, entry(study) | {"alive_at": time.time() - STALE_SECONDS - 1})
    elsewhere("node-b")
    Heartbeat(study, shared=False)
    elsewhere("node-a")
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.0)
    with pytest.raises(
        PipelineError, match=r"\(host node-b, process \d+\) has taken study 'shared'"
    ):
        slept.beat()
    slept.end()
    assert entry(study)["host"] == "node-b"


def test_of_two_that_start_together_the_one_who_wrote_last_goes_on(study, elsewhere, monkeypatch):
    elsewhere("node-a")
    Heartbeat(study, shared=False)
    theirs = entry(study)
    study.set_user_attr(ATTRIBUTE, None)
    elsewhere("node-b")
    # Meanwhile the other one has written, too.
    monkeypatch.setattr(
        heartbeat.time, "sleep", lambda seconds: study.set_user_attr(ATTRIBUTE, theirs)
    )
    with pytest.raises(InputError, match="host node-a"):
        Heartbeat(study, shared=True)
