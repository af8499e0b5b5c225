"""What only ``--executor ray`` does, on one machine: placement, what goes along, what is lost."""

import os
import signal
import socket
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from executor_jobs import Desk, gather, results

from pipeline.errors import InputError, PipelineError
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
    Voice,
)
from pipeline.search.executors.ray import cluster, executor, software, worker
from pipeline.search.executors.ray.cluster import LOCAL, Node, Share

SMALL, LARGE = Node("a", "small", 4.0, 0.0), Node("b", "large", 8.0, 2.0)


# Without Ray


@pytest.mark.parametrize(
    ("there", "workers", "placement", "share"),
    [
        ([SMALL], 1, Placement(), Share(4, 0.0)),
        ([SMALL], 3, Placement(), Share(1, 0.0)),
        ([SMALL], 9, Placement(), Share(1, 0.0)),
        ([], 2, Placement(), Share(1, 0.0)),
        ([SMALL, LARGE], 2, Placement(device="cpu"), Share(4, 0.0)),
        ([SMALL, LARGE], 2, Placement(), Share(4, 1.0)),
        ([SMALL, LARGE], 2, Placement(cpus_per_worker=3), Share(3, 1.0)),
        ([SMALL, LARGE], 8, Placement(gpus_per_worker=0.25), Share(1, 0.25)),
        ([SMALL], 1, Placement(device="gpu"), Share(1, 1.0)),
    ],
)
def test_workers_take_a_gpu_where_there_are_any_and_equal_cores(there, workers, placement, share):
    assert cluster.share_of(placement, workers, there) == share


@pytest.mark.parametrize(
    ("share", "small", "large", "neighbours"),
    [
        (Share(1, 0.0), 4, 8, 8),
        (Share(3, 0.0), 1, 2, 2),
        (Share(1, 1.0), 0, 2, 1),
        (Share(1, 0.25), 0, 8, 4),
        (Share(1, 0.1), 0, 8, 10),
        (Share(1, 1 / 3), 0, 6, 3),
        (Share(1, 2.0), 0, 1, 1),
    ],
)
def test_the_workers_that_a_machine_holds_and_those_that_share_it(share, small, large, neighbours):
    assert (share.fitting(SMALL), share.fitting(LARGE)) == (small, large)
    assert cluster.num_workers([SMALL, LARGE], share) == small + large
    assert share.neighbours(LARGE) == neighbours


def test_a_cluster_in_words():
    assert cluster.sum_in_words([]) == "0 machines with 0 CPUs"
    assert cluster.sum_in_words([SMALL]) == "1 machine with 4 CPUs"
    assert cluster.sum_in_words([SMALL, LARGE]) == (
        "2 machines with 12 CPUs and 2 GPUs, 8 CPUs and 2 GPUs in the largest"
    )
    assert Share(1, 0.25).in_words() == "1 CPU and 0.25 GPU"


def test_the_option_comes_before_the_environment_and_that_before_this_machine(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster.address_of(None) == LOCAL
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert cluster.address_of(None) == "auto"
    assert cluster.address_of(LOCAL) == LOCAL


@pytest.fixture
def closed_port():
    """A port at which nobody listens, nor can while the test lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:{port}", "no Ray cluster answers there (Connection refused); start one with"),
        ("head", "expected HOST:PORT or local"),
        ("head:x", "expected HOST:PORT or local"),
        ("ray://head:10001", "expected HOST:PORT of a cluster that this machine is part of"),
    ],
)
@pytest.mark.parametrize("named", ["--ray-address", "RAY_ADDRESS"])
def test_an_address_without_a_cluster_is_refused_at_once(
    address, said, named, monkeypatch, closed_port
):
    address = address.format(port=closed_port)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError) as caught:
        cluster.address_of(address if named.startswith("--") else None)
    assert str(caught.value).startswith(f"{named} {address}: {said}")


@pytest.mark.parametrize(
    ("mode", "has_file", "hint"),
    [
        (None, False, "have its ~/.ray/auth_token; here there is none yet"),
        (None, True, "have its ~/.ray/auth_token; here there is one"),
        ("token", True, "It may have another token than this machine (~/.ray/auth_token)"),
    ],
)
def test_a_cluster_that_cannot_be_joined_may_ask_for_a_token(
    mode, has_file, hint, monkeypatch, tmp_path
):
    ray = pytest.importorskip("ray")

    def init(*given, **options):
        raise ConnectionError("Failed to connect to Ray cluster at 192.0.2.2:6379")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    if has_file:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as there, pytest.raises(InputError) as caught:
        cluster.Connection(f"127.0.0.1:{there.getsockname()[1]}")
    said = str(caught.value)
    assert "this machine cannot join that cluster: Failed to connect to Ray cluster" in said
    assert ("RAY_AUTH_MODE=token here" in said) is (mode is None)
    assert said.endswith(hint)
    assert "secret" not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"ray_address": "head:6379"},
            "--ray-address: --executor processes runs on this machine alone; search with "
            "--executor ray, or leave the option out",
        ),
        ({"cpus_per_worker": 2}, "--cpus-per-worker: --executor processes runs on this machine"),
        ({"gpus_per_worker": 0.5}, "--gpus-per-worker: --executor processes runs on this machine"),
    ],
)
def test_another_executor_refuses_a_placement(given, said):
    with pytest.raises(InputError) as caught:
        executors.start("processes", Desk(), 1, Placement(**given))
    assert str(caught.value).startswith(said)


def test_without_the_extra_the_refusal_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        executors.check("ray", Placement())
    assert str(caught.value) == (
        "--executor ray is not installed: pip install 'least-overfit[ray]'"
    )


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (
            Placement(gpus_per_worker=1.5),
            "--gpus-per-worker 1.5: expected a part of one GPU, such as 0.25, or a whole number",
        ),
        (
            Placement(gpus_per_worker=1.0, device="cpu"),
            "--gpus-per-worker 1: --device cpu uses none; give --device auto or gpu, or "
            "--gpus-per-worker 0",
        ),
    ],
)
def test_gpus_that_cannot_be_given_are_refused_before_ray_starts(placement, said):
    with pytest.raises(InputError) as caught:
        executors.start("ray", Desk(), 1, placement)
    assert str(caught.value) == said


def test_only_what_workers_need_goes_along_and_no_password(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:pass@host")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    sent = cluster.environment()
    assert sent["KERAS_BACKEND"] == "tensorflow"
    assert sent["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert not [name for name in sent if "MLFLOW" in name or "PASS" in name]


def test_software_that_differs_is_named():
    here = software.installed()
    assert len(here["least-overfit"]) == 12
    assert {"keras", "tensorflow", "numpy"} <= here.keys()
    assert software.differences(here, dict(here)) == ""
    there = {**here, "keras": "3.0"}
    assert software.differences(here, there) == f"keras 3.0 instead of {here['keras']}"


def test_rays_processes_are_out_of_reach_of_the_groups_signals_and_end_with_a_failed_start():
    pytest.importorskip("ray")
    from ray._private import services, utils

    original, started = services.ConsolePopen, []

    def fail():
        with cluster.discreet():
            assert utils.get_entrypoint_name() == "pipeline"
            started.append(services.ConsolePopen(["sleep", "60"]))
            assert os.getpgid(started[0].pid) == started[0].pid != os.getpgrp()
            raise ConnectionError("no")

    with pytest.raises(ConnectionError, match=r"^no$"):
        fail()
    assert started[0].returncode == -signal.SIGKILL
    assert services.ConsolePopen is original
    assert utils.get_entrypoint_name() != "pipeline"


# With Ray


@dataclass(frozen=True)
class PackedDesk:
    """Can be sent: what it opens answers with what it brought along."""

    brought: str = ""

    def portable(self, cpus):
        return replace(self, brought=f"from {os.getpid()} for {cpus}")

    def open(self):
        return lambda job, emit, inbox: self.brought


@pytest.fixture
def ray(ray_instance):
    """Starts executors that join the module's instance of Ray."""
    running = []

    def start(opener, workers=1, placement=None, voice=None):
        started = executors.start("ray", opener, workers, placement, voice)
        running.append(started)
        return started

    yield start
    for started in running:
        started.close()


@pytest.fixture(scope="module")
def shared(ray_instance):
    """An executor for tests that leave it as it was."""
    with executors.start("ray", Desk(), 1, Placement(cpus_per_worker=1, device="cpu")) as started:
        yield started


@pytest.mark.slow
def test_a_killed_worker_process_fails_its_job_only_with_its_last_words(shared):
    before, failed, after = results(shared, ("whoami",), ("kill",), ("whoami",))
    assert failed == Failed(
        1,
        "the worker process died (signal SIGKILL, as the kernel sends it when memory runs out): "
        "last words",
        MEMORY,
    )
    assert before != after


@pytest.mark.slow
def test_a_job_past_its_limits_is_ended(shared):
    events = []
    shared.submit(0, ("sleep", 60), Limits(0.5, 60.0))
    while not any(isinstance(event, Failed) for event in events):
        shared.wait(events.append, 0.1)
    assert events[-1] == Failed(0, "gave no sign of life for 0.5 s", TIMEOUT)
    assert results(shared, ("double", 4)) == [8]


@pytest.mark.slow
def test_the_supervisors_mlflow_does_not_reach_a_worker(ray, monkeypatch):
    import ray as library

    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    # As in an instance that is started here, whose processes inherit what this one has.
    plain = library.remote(num_cpus=0)(lambda name: os.environ.get(name))
    assert library.get(plain.remote("MLFLOW_TRACKING_URI")) == "http://user:pass@nowhere"
    started = ray(Desk(), 1, Placement(cpus_per_worker=1))
    names = ("MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "KERAS_BACKEND", "TF_FORCE_GPU_ALLOW_GROWTH")
    said = results(started, *(("variable", name) for name in names))
    assert said == [None, None, "jax", "true"]


@pytest.mark.slow
def test_what_a_worker_needs_is_packed_once_and_brought_along(ray):
    started = ray(PackedDesk(), 1, Placement(cpus_per_worker=2, device="cpu"))
    assert results(started, "job", "job") == [f"from {os.getpid()} for 2"] * 2


@pytest.mark.slow
def test_two_workers_share_a_gpu_and_both_see_it(ray, tmp_path):
    started = ray(Desk(), 2, Placement(cpus_per_worker=1, gpus_per_worker=0.5))
    while started.workers < 2:
        started.wait(pytest.fail, 0.5)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert results(started, ("meet", one, two), ("meet", two, one)) == [True, True]
    seen = results(started, *[("variable", "CUDA_VISIBLE_DEVICES")] * 2)
    assert seen == ["0", "0"]
    assert started.host.workers == 2


@pytest.mark.slow
def test_an_actor_that_is_lost_has_its_job_done_by_another(ray, tmp_path):
    warnings = []
    started = ray(Desk(), 1, Placement(cpus_per_worker=1), Voice(warn=warnings.append))
    kills = iter(range(1))

    def kill(event):
        for _ in kills:
            started._pool[0].kill()

    hangs = ("hang_once", str(tmp_path / "mark"))
    (events,) = gather(started, hangs, on_progress=kill).values()
    assert [type(event) for event in events] == [Progressed, Progressed, Finished]
    assert events[0].data != events[1].data
    assert warnings == [
        "a worker was lost (The actor is dead because it was killed by `ray.kill`): what it "
        "trained is trained again elsewhere, try 1 of 3"
    ]


@pytest.mark.slow
def test_a_job_that_every_actor_is_lost_with_fails_at_last(ray, monkeypatch):
    monkeypatch.setattr(executor, "MAX_LOST", 1)
    started = ray(Desk(), 1, Placement(cpus_per_worker=1))

    def kill(event):
        started._pool[0].kill()

    (events,) = gather(started, ("sleep", 60), on_progress=kill).values()
    cause = "The actor is dead because it was killed by `ray.kill`"
    assert events[-1] == Failed(0, cause, ERROR)


@pytest.mark.slow
def test_a_result_that_cannot_be_sent_fails_its_job_alone(ray):
    started = ray(Desk(), 1, Placement(cpus_per_worker=1))
    failed, after = results(started, ("unsendable",), ("double", 2))
    assert "pickle" in failed.cause
    assert after == 4


@pytest.mark.slow
def test_a_machine_with_other_software_is_refused(ray, monkeypatch):
    here = software.installed()
    monkeypatch.setattr(worker, "installed", lambda: {**here, "keras": "9.9"})
    with pytest.raises(PipelineError) as caught:
        ray(Desk(), 1, Placement(cpus_per_worker=1)).ready()
    assert str(caught.value) == (
        f"{socket.gethostname()} would train otherwise than this machine: it has keras "
        f"{here['keras']} instead of 9.9; install the same least-overfit and the same versions "
        "(uv.lock) on every machine of the cluster"
    )


@pytest.mark.slow
def test_what_no_machine_can_hold_is_refused_with_what_there_is(ray, monkeypatch):
    monkeypatch.setattr(executor, "GRACE_SECONDS", 5.0)
    monkeypatch.setattr(executor, "LOOK_SECONDS", 0.2)
    warnings = []
    started = ray(Desk(), 1, Placement(gpus_per_worker=2.0), Voice(warn=warnings.append))
    with pytest.raises(InputError) as caught:
        started.ready()
    assert str(caught.value) == (
        "--executor ray: no machine has room for a worker with 1 CPU and 2 GPUs; the cluster has "
        "1 machine with 4 CPUs and 1 GPU: give a smaller --cpus-per-worker or --gpus-per-worker, "
        "or add a machine"
    )
    assert warnings[0].startswith("waiting for 1 CPU and 2 GPUs for a worker: the cluster has")


@pytest.mark.slow
def test_an_address_beside_the_programs_own_connection_is_refused(ray):
    with pytest.raises(
        InputError, match=r"^--ray-address local: this program has called ray\.init"
    ):
        ray(Desk(), 1, Placement(ray_address=LOCAL))


@pytest.mark.slow
def test_closing_leaves_no_worker_process_and_no_file(ray):
    started = ray(Desk(), 1, Placement(cpus_per_worker=1))
    place, pid = results(started, ("temporary",), ("whoami",))
    assert Path(place).exists()
    started.close()
    assert not Path(place).exists()
    assert not Path(f"/proc/{pid}").exists()
