"""``--executor ray`` on a cluster of several machines, which are processes of this one here: lost
and joined machines, a search that goes on meanwhile, and what a signal and a kill leave behind.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from executor_jobs import Desk
from told_lines import Notes

from pipeline import tracking
from pipeline.search import executors
from pipeline.search.executors.interface import (
    Failed,
    Finished,
    Host,
    Placement,
    Progressed,
    Voice,
)
from pipeline.search.executors.ray import cluster as connecting
from pipeline.search.executors.ray.cluster import ABOUT_TOKENS
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
WAIT_SECONDS = 120.0


@contextmanager
def environment():
    """Has machines find the tests' modules, and hold an address that workers are not to see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("MLFLOW_TRACKING_URI", "http://user:pass@nowhere")
        yield


class Machines:
    """A cluster whose first machine, the supervisor's, holds no worker."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        with environment():
            self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.address = self.cluster.address
        self.nodes = []

    def add(self):
        with environment():
            self.nodes.append(self.cluster.add_node(num_cpus=1, num_gpus=1))

    def lose(self, identity):
        (node,) = [node for node in self.nodes if node.node_id == identity]
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def machines():
    pytest.importorskip("ray")
    made = Machines()
    made.add()
    made.add()
    yield made
    made.cluster.shutdown()


def wait_until(started, is_over, events):
    end = time.monotonic() + WAIT_SECONDS
    while not is_over() and time.monotonic() < end:
        started.wait(events.append, 0.5)
    assert is_over(), events


def ended(events):
    return [event for event in events if isinstance(event, Finished | Failed)]


def test_a_lost_machine_loses_no_job_and_one_that_joins_is_used(
    machines, monkeypatch, capfd, tmp_path
):
    """The option wins over the environment; three workers are asked for where two have room."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--storage=postgresql://user:pass@host/db"])
    notes, warnings, events = [], [], []
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    placement, voice = Placement(ray_address=machines.address), Voice(notes.append, warnings.append)
    with executors.start("ray", Desk(), 3, placement, voice) as started:
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
        assert f"Ray joined at {machines.address} in " in notes[0]
        assert notes[0].endswith(
            "3 machines with 2 CPUs and 2 GPUs, 1 CPU and 1 GPU in the largest, 1 CPU and 1 GPU "
            "for a worker; room for 2 of 3 workers now"
        )
        wait_until(started, lambda: started.workers == 2, events)
        # The one that is lost cannot have ended before.
        started.submit(0, ("hang_once", str(tmp_path / "mark")))
        started.submit(1, ("sleep", 3.0))
        wait_until(started, lambda: {event.key for event in events} == {0, 1}, events)
        (busy,) = [worker for worker in started._pool if worker.key == 0]
        machines.lose(busy.node)
        wait_until(started, lambda: len(ended(events)) == 2, events)
        assert sorted(event.key for event in ended(events)) == [0, 1]
        assert all(isinstance(event, Finished) for event in ended(events))
        assert len([e for e in events if isinstance(e, Progressed) and e.key == 0]) == 2
        assert len(warnings) == 1
        assert "what it trained is trained again elsewhere, try 1 of 3" in warnings[0]
        assert started.workers == 1
        machines.add()
        wait_until(started, lambda: started.workers == 2, events)
        from ray._private.state import state

        told = [job["Entrypoint"] for job in state.job_table()]
        assert told == ["pipeline"] * len(told)
        assert told
    assert capfd.readouterr().out == ""  # where results go


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_cohorts_are_sized_for_the_machine_with_the_least_memory(order):
    from pipeline.search.executors.ray.actor import Opened
    from pipeline.search.executors.ray.executor import RayExecutor

    said = (Opened("small", Host(2e9, 1)), Opened("large", Host(64e9, 4)))
    workers = [
        SimpleNamespace(opened=False, about=None, next_message=lambda place=place: said[place])
        for place in order
    ]
    executor = RayExecutor.__new__(RayExecutor)
    executor._pool = workers
    assert executor.abouts == ()
    for worker in workers:
        executor._receive(worker, lambda event: None)
    assert executor.host == Host(2e9, 1)
    assert set(executor.abouts) == {"small", "large"}


def search(folder, **changes):
    """Runs a search on digits; returns its record and what the user was told."""
    (folder / "tiny.yaml").write_text(SPACE)
    view = changes.pop("view", Notes())
    chosen = SearchOptions(
        search_space="tiny.yaml", train_examples=200, trials=4, epochs=3, cohort_size=1, **changes
    )
    return run_search(chosen, prepare(chosen), view), view.lines


SPACE = """
family: mlp
trials: 4
epochs: 3
patience: 3
fixed: {depth: 1, width: 16}
search:
  dropout_rate: {low: 0.0, high: 0.7}
references:
  plain: {}
  l2: {regularizer: l2, lambda_l2: 0.001}
  dropout: {dropout_rate: 0.5}
  max_norm: {max_norm: 2.0}
"""


def test_a_search_that_loses_a_machine_gives_what_one_on_this_machine_gives(
    folder, machines, monkeypatch
):
    from pipeline.search.executors.ray.executor import RayExecutor

    view, progressed = Notes(), RayExecutor._receive

    def told():
        return [line for line in view.lines if "is trained again elsewhere, try 1 of 3" in line]

    def receive(self, worker, handle):
        """Loses the machine of a cohort that has trained an epoch, until one was cut short by it.

        A cohort may end before it is seen to have begun.
        """

        def lose(event):
            handle(event)
            there = worker.node in [node.node_id for node in machines.nodes]
            if isinstance(event, Progressed) and there and not told():
                machines.lose(worker.node)
                machines.add()

        return progressed(self, worker, lose)

    with monkeypatch.context() as patch:
        patch.setattr(RayExecutor, "_receive", receive)
        record, _ = search(
            folder, study="far", executor="ray", workers=2, ray_address=machines.address, view=view
        )
    assert told()
    assert [trial.number for trial in record.trials] == [0, 1, 2, 3]
    assert {trial.state for trial in record.trials} == {"COMPLETE"}
    near, _ = search(folder, study="near", executor="processes")
    for there, here in zip(record.trials, near.trials, strict=True):
        assert there.config == here.config
        for name in ("val_ce", "train_ce", "val_accuracy", "penalty"):
            found, wanted = getattr(there.measurement, name), getattr(here.measurement, name)
            assert found == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    assert tracking.connect().tag(str(record.run_id), "executor") == "ray"


SUPERVISOR = """
import sys
from executor_jobs import Desk
from pipeline.search import executors
from pipeline.search.executors.interface import Finished, Placement
from pipeline.search.interrupts import signals_end_it, stopping_softly

if __name__ == "__main__":
    ended = []
    def handle(event):
        ended.extend([event] * isinstance(event, Finished))
        print(type(event).__name__, flush=True)
    place = Placement(ray_address="local", cpus_per_worker=1)
    with signals_end_it(), executors.start("ray", Desk(), 1, place) as executor:
        executor.ready()
        with stopping_softly(lambda: print("softly", flush=True), lambda line: None):
            executor.submit(0, ("sleep", float(sys.argv[1])))
            while not ended:
                executor.wait(handle, 0.5)
    print("closed", flush=True)
"""


@pytest.fixture
def supervise(tmp_path):
    """Starts a program with Ray of its own, and waits until its job trains."""
    script, started = tmp_path / "supervisor.py", []
    script.write_text(SUPERVISOR)

    def start(seconds):
        path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
        home = tmp_path / "home"
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if name not in ABOUT_TOKENS}
        program = subprocess.Popen(
            [sys.executable, str(script), str(seconds)],
            env=kept | {"PYTHONPATH": path, "HOME": str(home)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(program)
        assert program.stdout.readline() == "Progressed\n"
        processes = psutil.Process(program.pid).children(recursive=True)
        assert len(processes) > 3
        # A token in it would lock the user's next cluster.
        assert list(home.iterdir()) == []
        return program, processes

    yield start
    for program in started:
        if program.poll() is None:
            program.kill()
        program.wait()
        program.stdout.close()


def test_a_signal_for_all_finishes_what_trains_and_leaves_no_process(supervise):
    """As a scheduler's SIGTERM does, and Ctrl-C."""
    program, processes = supervise(8.0)
    os.killpg(program.pid, signal.SIGTERM)
    assert program.stdout.read().split() == ["softly", "Finished", "closed"]
    assert program.wait(WAIT_SECONDS) == 0
    assert not psutil.wait_procs(processes, timeout=60)[1]


def test_two_ctrl_c_end_it_at_once(supervise):
    program, processes = supervise(600.0)
    os.killpg(program.pid, signal.SIGINT)
    assert program.stdout.readline() == "softly\n"
    # Before the first one was handled, the second would be one with it.
    os.killpg(program.pid, signal.SIGINT)
    assert program.wait(WAIT_SECONDS) != 0
    assert not psutil.wait_procs(processes, timeout=60)[1]


def test_a_killed_supervisor_leaves_no_process(supervise):
    program, processes = supervise(600.0)
    names = {process.pid: process.name() for process in processes}
    program.kill()
    left = [names[process.pid] for process in psutil.wait_procs(processes, timeout=60)[1]]
    # These two tell Ray's server, which is gone as well, for a minute; then they end.
    assert set(left) <= {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
    assert not psutil.wait_procs(processes, timeout=180)[1]


def test_what_doctor_says_of_a_cluster(machines):
    assert connecting.described(machines.address).startswith(f"{machines.address}: 3 machines with")
