"""One search at a time on a study: the second is told, a dead one blocks nobody."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from pipeline.errors import InputError
from pipeline.search import study_lock
from pipeline.search.storage import outbox_folder
from pipeline.search.study_lock import lock_path, study_locked

PLACES = ("sqlite:///mlflow.db", "studies.journal")
HOLDER = """
import sys, time
from pipeline.search.study_lock import study_locked
with study_locked("digits", sys.argv[1:]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def locks(tmp_path):
    return list((tmp_path / "tmp").rglob("*.lock"))


@pytest.mark.parametrize("second", [PLACES[:1], PLACES[1:], ("other.journal", PLACES[0])])
def test_a_second_search_on_the_study_is_told_which_process_has_it(second):
    with study_locked("digits", PLACES):
        with pytest.raises(InputError) as caught, study_locked("digits", second):
            pass
        assert str(caught.value) == (
            f"another `pipeline search` (process {os.getpid()}) is running study 'digits' on this "
            "machine: wait until it ends, stop it with Ctrl-C, or give --study NAME to start "
            "another study"
        )


def test_another_study_or_another_place_is_free():
    with (
        study_locked("digits", PLACES),
        study_locked("other", PLACES),
        study_locked("digits", ("else.journal",)),
    ):
        pass


def test_searches_that_share_a_study_keep_out_those_that_do_not_and_not_each_other(tmp_path):
    with ExitStack() as last:
        with study_locked("digits", PLACES, shared=True):
            last.enter_context(study_locked("digits", PLACES, shared=True))
        for again in range(2):
            assert len(locks(tmp_path)) == 2, f"it is still held: {again}"
            with pytest.raises(InputError, match="is running study 'digits'"):
                study_locked("digits", PLACES[:1]).__enter__()
    assert locks(tmp_path) == []
    with (
        study_locked("digits", PLACES),
        pytest.raises(InputError, match="is running study 'digits'"),
        study_locked("digits", PLACES[:1], shared=True),
    ):
        pass


def test_one_that_leaves_a_shared_study_keeps_nobody_out_for_an_instant(monkeypatch):
    with ExitStack() as leaving:
        leaving.enter_context(study_locked("digits", PLACES[:1]))
        # It has it for itself while it looks whether others share it.
        monkeypatch.setattr(study_lock.time, "sleep", lambda seconds: leaving.close())
        with study_locked("digits", PLACES[:1], shared=True):
            pass


def test_one_that_leaves_may_have_to_wait_for_a_busy_processor():
    """It has the study for itself as long as that takes."""
    with ExitStack() as leaving:
        leaving.enter_context(study_locked("digits", PLACES[:1]))
        released = threading.Timer(0.5, leaving.close)
        released.start()
        with study_locked("digits", PLACES[:1], shared=True):
            pass
        released.join()


def test_nothing_is_left_behind_whatever_ends_it(tmp_path):
    with pytest.raises(LookupError), study_locked("digits", PLACES):
        assert len(locks(tmp_path)) == 2
        raise LookupError
    with (
        study_locked("digits", PLACES[:1]),
        pytest.raises(InputError),
        study_locked("digits", PLACES[::-1]),
    ):
        pass
    assert locks(tmp_path) == []


def test_the_same_place_is_known_however_it_is_spelled(tmp_path):
    for spelled, absolute in (
        ("studies.journal", str(tmp_path / "studies.journal")),
        ("sqlite:///mlflow.db", f"sqlite:///{tmp_path / 'mlflow.db'}"),
        ("http://x:1/", "http://x:1"),
    ):
        assert lock_path("digits", spelled) == lock_path("digits", absolute)
    assert lock_path("a", "http://x:1/") != lock_path("a", "http://y:1/")


def test_what_waits_for_a_server_is_found_however_its_address_is_spelled():
    plain, other = (outbox_folder("a.journal", "digits", f"http://{x}:1") for x in "xy")
    for spelled in ("http://x:1/", "http://me:secret@x:1", "http://me:other@x:1/"):
        assert outbox_folder("a.journal", "digits", spelled) == plain
    assert other != plain != outbox_folder("a.journal", "other", "http://x:1")


def test_a_killed_search_blocks_nobody(tmp_path):
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *PLACES],
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=rf"\(process {holder.pid}\) is running study 'digits'"),
            study_locked("digits", PLACES),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
    assert len(locks(tmp_path)) == 2
    with study_locked("digits", PLACES):
        pass


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "tmp").write_text("in the way")
    with pytest.raises(InputError, match=r"^cannot lock the study in .*: make that folder yours"):
        study_locked("digits", PLACES).__enter__()
