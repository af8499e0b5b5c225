"""One suite over every executor; what only separate processes can do; one more by adding a file."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from executor_jobs import (
    Desk,
    DyingDesk,
    OnceDyingDesk,
    RefusingDesk,
    StuckDesk,
    TalkativeDesk,
    gather,
    results,
)
from scripted_trainer import write_executor

from pipeline.errors import DeviceError, InputError, PipelineError
from pipeline.search import executors
from pipeline.search.executors.interface import (
    ERROR,
    MEMORY,
    TIMEOUT,
    Failed,
    Finished,
    Limits,
    Placement,
    Progressed,
    fault_of,
)
from pipeline.search.executors.kept import workers_kept
from pipeline.search.executors.processes import pool
from pipeline.search.executors.processes import worker as worker_side
from pipeline.search.executors.processes.folder import IN_USE, PREFIX, sweep
from pipeline.search.executors.processes.pool import JOBS_PER_WORKER, MAX_OPENING_FAILURES

RAY = pytest.param("ray", marks=pytest.mark.slow)
NAMES = ["inline", "processes", RAY]


def start(name, opener):
    """Starts an executor with one worker, which leaves room for another one on Ray's instance."""
    small = Placement(cpus_per_worker=1, gpus_per_worker=0.0) if name == "ray" else None
    return executors.start(name, opener, 1, small)


def prepare_ray(request, name):
    if name == "ray":
        request.getfixturevalue("ray_instance")


@pytest.fixture(autouse=True)
def _ray_once(request):
    """Starts Ray before the first test whose executor it is; the module's tests share it."""
    callspec = getattr(request.node, "callspec", None)
    prepare_ray(request, callspec.params.get("name") if callspec else None)


@pytest.fixture(scope="module", params=NAMES)
def executor(request):
    prepare_ray(request, request.param)
    with start(request.param, Desk()) as started:
        yield started


@pytest.fixture
def processes():
    """Starts worker processes and sees that none outlives the test."""
    with contextlib.ExitStack() as stack:
        yield lambda opener, workers=1: stack.enter_context(
            executors.start("processes", opener, workers)
        )


def only_worker(executor):
    (worker,) = executor._pool
    return psutil.Process(worker.process.pid)


def test_workers_are_kept_for_who_asks_for_the_same_and_end_with_the_second_task():
    with workers_kept():
        with executors.start("processes", Desk(), 1) as first:
            assert results(first, ("double", 2)) == [4]
        with executors.start("processes", Desk(), 1) as second:
            assert second is first
            assert results(second, ("double", 5), ("double", 6)) == [10, 12]
            worker = only_worker(second)
        assert not worker.is_running()


def test_kept_workers_end_where_others_are_asked_for_or_nobody_asks():
    with workers_kept():
        with executors.start("processes", Desk(), 1) as first:
            worker = only_worker(first)
        assert worker.is_running()
        with executors.start("processes", TalkativeDesk(), 1) as other:
            assert not worker.is_running()
            worker = only_worker(other)
        assert worker.is_running()
    assert not worker.is_running()


def test_workers_are_not_kept_after_an_error_nor_unasked():
    with executors.start("processes", Desk(), 1) as unasked:
        worker = only_worker(unasked)
    assert not worker.is_running()
    with workers_kept():
        with pytest.raises(KeyboardInterrupt), executors.start("processes", Desk(), 1) as stopped:
            worker = only_worker(stopped)
            raise KeyboardInterrupt
        assert not worker.is_running()
        with executors.start("inline", Desk(), 1) as here:
            pass
        with executors.start("inline", Desk(), 1) as again:
            assert again is not here, "it holds what it opened in this process"


def test_the_executors_are_the_files_of_the_folder():
    assert executors.names() == ("inline", "processes", "ray")
    assert set(executors.names()) == {"inline", "processes", RAY.values[0]}


@pytest.mark.parametrize("name", NAMES)
def test_what_an_opened_worker_says_of_itself_is_the_executors(name):
    for desk, about in ((TalkativeDesk(), ("this", 1.5)), (Desk(), None)):
        with start(name, desk) as started:
            assert started.about is None
            started.ready()
            assert started.about == about


def test_results_arrive_under_their_keys(executor):
    assert results(executor, ("double", 2), ("double", 5), ("double", 0)) == [4, 10, 0]


def test_progress_arrives_in_order_and_before_the_result(executor):
    events = gather(executor, ("count", 5), ("count", 2))
    assert events[0] == [*(Progressed(0, number) for number in range(5)), Finished(0, 5)]
    assert events[1] == [Progressed(1, 0), Progressed(1, 1), Finished(1, 2)]


def test_a_message_reaches_the_running_job_and_no_other(executor):
    executor.tell(0, "too early")

    def answer(event):
        executor.tell(event.key, f"for {event.key}")
        executor.tell(77, "for nobody")

    events = gather(executor, ("listen",), ("listen",), on_progress=answer)
    assert [events[key][-1] for key in (0, 1)] == [Finished(0, ["for 0"]), Finished(1, ["for 1"])]


def test_what_is_told_after_the_end_does_not_reach_the_next_job(executor):
    def answer_twice(event):
        executor.tell(event.key, "first")
        executor.tell(event.key, "late")

    gather(executor, ("count", 1), on_progress=answer_twice)
    heard = gather(executor, ("listen",), on_progress=lambda event: executor.tell(0, "now"))
    assert heard[0][-1] == Finished(0, ["now"])


def test_an_exception_fails_its_job_alone_with_a_cause_of_one_line(executor):
    first, second, third = results(executor, ("double", 1), ("quarrel",), ("double", 3))
    assert (first, third) == (2, 6)
    assert second == Failed(1, "ValueError: a poison value")


def test_a_jobs_own_refusal_fails_that_job_alone(executor):
    first, second = results(executor, ("refuse",), ("double", 3))
    assert first == Failed(0, "DeviceError: this one job cannot be done")
    assert second == 6


@pytest.mark.parametrize("name", NAMES)
def test_what_the_supervisor_raises_while_a_job_runs_comes_back_to_it(name):
    def stumble(event):
        raise LookupError("the supervisor's own fault")

    with (
        start(name, Desk()) as started,
        pytest.raises(LookupError, match=r"^the supervisor's own fault$"),
    ):
        gather(started, ("count", 1), on_progress=stumble)


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_that_refuses_to_open_stops_the_search_with_its_words(name):
    with (
        start(name, RefusingDesk()) as started,
        pytest.raises(DeviceError, match=r"^--device gpu: there is none; use --device cpu$"),
    ):
        gather(started, ("double", 1))


@pytest.mark.parametrize("name", NAMES)
def test_waiting_without_jobs_hands_nothing_over(name):
    with start(name, Desk()) as started:
        started.wait(pytest.fail, 0.05)


def test_an_unknown_executor_is_answered_with_the_closest_and_all_names():
    with pytest.raises(InputError) as caught:
        executors.start("proceses", Desk(), 1)
    assert str(caught.value) == (
        "unknown executor 'proceses' (did you mean 'processes'?); known: inline, processes, ray"
    )


def test_inline_refuses_a_second_worker():
    with pytest.raises(InputError) as caught:
        executors.start("inline", Desk(), 2)
    assert str(caught.value) == (
        "--executor inline has one worker, this process; 2 were asked for: use --executor processes"
    )


def test_a_file_in_the_folder_is_an_executor(tmp_path, monkeypatch):
    (tmp_path / "backwards.py").write_text(
        "from pipeline.search.executors.inline import InlineExecutor\n"
        "class Backwards(InlineExecutor):\n"
        "    '''Takes the newest job first.'''\n"
        "    def wait(self, handle, timeout_seconds):\n"
        "        self._jobs.reverse()\n"
        "        super().wait(handle, timeout_seconds)\n"
        "        self._jobs.reverse()\n"
        "EXECUTOR = Backwards\n"
    )
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    assert executors.names() == ("backwards", "inline", "processes", "ray")
    order = []
    with executors.start("backwards", Desk(), 1) as started:
        for key in range(3):
            started.submit(key, ("double", key))
        for _ in range(3):
            started.wait(order.append, 1.0)
    assert order == [Finished(2, 4), Finished(1, 2), Finished(0, 0)]
    sys.modules.pop("pipeline.search.executors.backwards")


def test_a_killed_worker_fails_its_job_only_and_another_takes_its_place(processes):
    before, failed, after = results(processes(Desk()), ("whoami",), ("kill",), ("whoami",))
    assert failed == Failed(
        1,
        "the worker process died (signal SIGKILL, as the kernel sends it when memory runs out): "
        "last words",
        MEMORY,
    )
    assert after not in (before, os.getpid())


@pytest.mark.parametrize(
    ("verb", "limits", "cause"),
    [
        (("sleep", 60), Limits(0.3, 60.0), "gave no sign of life for 0.3 s"),
        (("tick", 60), Limits(5.0, 0.5), "ran longer than 0.5 s"),
    ],
)
def test_a_job_past_its_limits_is_ended_with_its_worker(processes, verb, limits, cause):
    started, events = processes(Desk()), []
    started.ready()
    begun = time.monotonic()
    started.submit(0, verb, limits)
    while not any(isinstance(event, Failed) for event in events):
        started.wait(events.append, 0.1)
    assert time.monotonic() - begun < 30
    assert events[-1] == Failed(0, cause, TIMEOUT)
    assert results(started, ("double", 4)) == [8]


def test_a_job_that_shows_progress_is_not_silent(processes):
    started, events = processes(Desk()), []
    started.submit(0, ("tick", 4.0), Limits(2.0, 120.0))
    while not events or isinstance(events[-1], Progressed):
        started.wait(events.append, 0.1)
    assert events[-1] == Finished(0, "ticked")


def test_what_waits_to_be_read_is_read_before_a_limit_ends_the_job(processes, tmp_path):
    started, events = processes(Desk()), []
    started.ready()
    mark = tmp_path / "mark"
    started.submit(0, ("tick", 0.2, str(mark)), Limits(0.5, 0.5))
    # The supervisor is busy elsewhere, until the job has ended.
    end = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(1.5)
    while not events or isinstance(events[-1], Progressed):
        started.wait(events.append, 0.1)
    assert events[-1] == Finished(0, "ticked")


def test_a_job_that_runs_out_of_memory_is_told_apart_and_gets_a_new_worker_after_it(processes):
    before, failed, after = results(processes(Desk()), ("whoami",), ("hoard",), ("whoami",))
    assert failed == Failed(1, "MemoryError: no room", MEMORY)
    assert before != after


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MemoryError(), MEMORY),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes"), MEMORY),
        (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"), MEMORY),
        (RuntimeError("std::bad_alloc"), MEMORY),
        (RuntimeError("no such layer"), ERROR),
    ],
)
def test_running_out_of_memory_is_known_by_what_the_libraries_say(error, fault):
    assert fault_of(error) == fault


def test_workers_that_keep_dying_while_they_open_stop_the_search(processes):
    with pytest.raises(PipelineError) as caught:
        gather(processes(DyingDesk()), ("double", 1))
    assert str(caught.value) == (
        f"{MAX_OPENING_FAILURES} worker processes in a row died while starting: the worker process "
        "died (exit code 7): the library is broken. Try --executor inline to see the error."
    )


def test_a_worker_that_does_not_open_is_ended_and_another_tried(processes, monkeypatch, tmp_path):
    mark = tmp_path / "mark"

    def monotonic():
        """Each worker that hangs does so for long, as soon as it does."""
        hung = mark.stat().st_size if mark.exists() else 0
        return time.monotonic() + hung * 1.1 * worker_side.OPENING_SECONDS

    monkeypatch.setattr(worker_side, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(pool, "LOOK_SECONDS", 0.2)
    started = processes(StuckDesk(mark, forever=False))
    started.ready()
    assert results(started, ("double", 4)) == [8]
    assert mark.stat().st_size == 1
    with pytest.raises(PipelineError) as caught:
        processes(StuckDesk(mark, forever=True)).ready()
    assert str(caught.value) == (
        f"{MAX_OPENING_FAILURES} worker processes in a row died while starting: the worker process "
        "died (it had not started after 600 s): still opening. Try --executor inline to see the "
        "error."
    )


def test_a_job_given_to_a_worker_that_never_opened_is_not_lost(processes, tmp_path):
    assert results(processes(OnceDyingDesk(tmp_path / "mark")), ("double", 4)) == [8]


def test_a_worker_does_not_inherit_the_run_of_mlflow_run(processes, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    monkeypatch.setenv("PASSED_ON", "yes")
    started = processes(Desk())
    assert results(started, ("variable", "MLFLOW_RUN_ID"), ("variable", "PASSED_ON")) == [
        None,
        "yes",
    ]
    assert os.environ["MLFLOW_RUN_ID"] == "abc"


def test_a_worker_is_replaced_after_its_share_of_jobs(processes):
    pids = results(processes(Desk()), *[("whoami",)] * (JOBS_PER_WORKER + 1))
    assert len(set(pids[:JOBS_PER_WORKER])) == 1
    assert pids[-1] != pids[0]


def test_a_worker_that_grew_too_large_is_replaced(processes, monkeypatch):
    started = processes(Desk())
    first = results(started, ("whoami",), ("whoami",))
    monkeypatch.setattr(pool, "GROWN_BYTES", -1)
    later = results(started, ("whoami",), ("whoami",))
    assert first[0] == first[1] == later[0] != later[1]


def test_two_workers_run_two_jobs_at_once(processes, tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert results(processes(Desk(), 2), ("meet", one, two), ("meet", two, one)) == [True, True]


def test_what_a_worker_leaves_in_temporary_folders_goes_with_the_supervisor(processes):
    started = processes(Desk())
    (place,) = results(started, ("temporary",))
    assert Path(place).exists()
    assert Path(place).parents[1].name.startswith(PREFIX)
    started.close()
    assert not Path(place).exists()


def test_a_replaced_workers_files_are_gone(processes, monkeypatch):
    started = processes(Desk())
    (place,) = results(started, ("temporary",))
    monkeypatch.setattr(pool, "GROWN_BYTES", -1)
    results(started, ("whoami",))
    assert not Path(place).exists()
    (again,) = results(started, ("temporary",))
    assert Path(again).parent != Path(place).parent


def test_the_folders_of_killed_supervisors_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = [f"{PREFIX}killed", f"{PREFIX}alive", f"{PREFIX}new", "another"]
    for name in names:
        (tmp_path / name).mkdir()
        if name != f"{PREFIX}new":
            (tmp_path / name / IN_USE).touch()
    with (tmp_path / f"{PREFIX}alive" / IN_USE).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


def test_close_leaves_no_process_even_of_a_busy_worker():
    before = psutil.Process().children()
    started = executors.start("processes", Desk(), 2)
    seen = []
    started.submit(0, ("sleep", 60))
    end = time.monotonic() + 120
    while not seen and time.monotonic() < end:
        started.wait(seen.append, 0.2)
    begun = time.monotonic()
    started.close()
    assert time.monotonic() - begun < 30
    assert not psutil.pid_exists(seen[0].data)
    left = set(psutil.Process().children()) - set(before)
    assert not [child for child in left if _is_worker(child)]


def _is_worker(process):
    with contextlib.suppress(psutil.Error):
        return "multiprocessing.spawn" in " ".join(process.cmdline())
    return False


SUPERVISOR = """
from executor_jobs import Desk
from pipeline.search import executors

if __name__ == "__main__":
    executor = executors.start("processes", Desk(), 2)
    executor.submit(0, ("sleep", 1))
    while True:
        executor.wait(lambda event: print(getattr(event, "data", "ended"), flush=True), 20)
"""


@pytest.mark.slow
def test_workers_end_when_their_supervisor_is_killed(tmp_path):
    script = tmp_path / "supervisor.py"
    script.write_text(SUPERVISOR)
    here = Path(__file__)
    path = os.pathsep.join([str(here.parent), str(here.parents[2])])
    supervisor = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    with supervisor:
        assert supervisor.stdout.readline().strip().isdigit()
        workers = psutil.Process(supervisor.pid).children(recursive=True)
        assert len([worker for worker in workers if _is_worker(worker)]) == 2
        supervisor.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


def test_a_helper_file_among_the_executors_is_no_executor(tmp_path, monkeypatch):
    (tmp_path / "helping.py").write_text("HELPS = True\n")
    write_executor(tmp_path, "mine")
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    assert executors.names() == ("inline", "mine", "processes", "ray")
    for name in ("mine", "helping"):
        sys.modules.pop(f"pipeline.search.executors.{name}", None)
