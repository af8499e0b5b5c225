"""How many workers a command starts, which GPU each sees, and what the user reads about it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from executor_jobs import Desk, gather, results
from pretended_gpus import A100, INSTANCES, UUIDS, pretend
from scripted_trainer import write_executor

from pipeline.errors import InputError
from pipeline.records import Device
from pipeline.search import executors, trial_memory, workers
from pipeline.search.executors.interface import Placement
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.plan import cohort_sizing, plan_of, sharing
from pipeline.search.workers import (
    WORKER_BYTES,
    Work,
    Workers,
    smallest,
    staffed,
    workers_for,
)
from pipeline.training.gpus import Gpu

GIB = 2**30
PLACES = ("workers", "device", "executor", "ray_address")


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """Eight cores, much memory and no GPU; returns what changes them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(workers.gpus, "DRIVER_FILES", tmp_path / "no driver")
    monkeypatch.setattr(workers, "may_use_gpu", lambda device: device == "gpu")

    def become(cores=8, gibibytes=256.0):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
        monkeypatch.setattr(workers, "available_bytes", lambda: gibibytes * GIB)

    become()
    return become


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """Pretends that there are so many GPUs."""
    return lambda count, **more: pretend(monkeypatch, tmp_path, *[A100] * count, **more)


def asked(*, workers="auto", **more):
    auto = workers == "auto"
    given = {"executor": "processes", "device": "auto", "trials": 40} | more
    return SearchOptions("digits", workers=1 if auto else workers, auto_workers=auto, **given)


PREPARED = {}
"""What was searched before: who trains it, and on what, changes nothing of it."""


def staff(**more):
    searched = {key: value for key, value in more.items() if key not in PLACES}
    key = tuple(sorted(searched.items()))
    if key not in PREPARED:
        PREPARED[key] = prepare(asked(**searched, device="cpu"))
    return staffed(asked(**more), PREPARED[key])


def shown(found):
    return [each["CUDA_VISIBLE_DEVICES"] for each in found.variables]


# GPUs


def test_auto_is_one_worker_per_gpu_and_each_sees_its_own(gpus):
    gpus(2)
    options, found = staff()
    assert (options.workers, options.auto_workers, options.workers_per_gpu) == (2, False, 1)
    assert shown(found) == list(UUIDS[:2])
    assert found.told == (f"--workers auto: 2 workers, one per GPU: GPU 0 ({A100}), GPU 1 ({A100})")
    assert not found.fewer


def test_more_gpus_than_cores_have_a_worker_each(gpus, machine):
    machine(cores=1)
    gpus(4)
    assert staff()[0].workers == 4
    assert staff(workers=4)[0].workers == 4
    assert staff(workers=9)[1].told.startswith(
        "--workers 9: 4 are used; this machine has 1 core and 4 GPUs, and this study makes "
    )


def test_what_the_user_shows_is_divided_in_the_users_words(gpus, monkeypatch):
    gpus(4, instances=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"3,{UUIDS[1]},{INSTANCES[1]}")
    found = staff()[1]
    assert shown(found) == ["3", UUIDS[1], INSTANCES[1]]
    assert (
        f"3 workers, one per GPU (of CUDA_VISIBLE_DEVICES=3,{UUIDS[1]},{INSTANCES[1]}): "
        in found.told
    )


@pytest.mark.parametrize(
    ("number", "places", "per_gpu", "told"),
    [
        (2, [0, 1], 1, f"2 workers: 1 on GPU 0 ({A100}), 1 on GPU 1 ({A100})"),
        (3, [0, 1, 0], 2, f"3 workers: 2 on GPU 0 ({A100}), 1 on GPU 1 ({A100})"),
        (4, [0, 1, 0, 1], 2, f"4 workers: 2 on GPU 0 ({A100}), 2 on GPU 1 ({A100})"),
    ],
)
def test_a_number_that_was_asked_for_is_spread_in_turn(gpus, number, places, per_gpu, told):
    gpus(2)
    options, found = staff(workers=number)
    assert shown(found) == [UUIDS[place] for place in places]
    assert (options.workers, options.workers_per_gpu, found.told) == (number, per_gpu, told)


def test_those_that_share_a_gpu_share_its_memory_and_no_others(gpus):
    gpus(2)
    options, _ = staff(workers=4)
    gpu, cpu = Device("gpu: a card", 2.0**28), Device("cpu")
    assert (sharing(options, gpu), sharing(options, cpu), sharing(options, None)) == (2, 4, 4)
    prepared = prepare(options)

    def largest(options, device):
        return cohort_sizing(options, prepared.space, prepared.dataset, device).largest

    alone = replace(options, workers=1, workers_per_gpu=None)
    assert largest(options, gpu) == largest(alone, Device("gpu: a card", 2.0**27)) < 256
    # A trial that fits a worker's share of its GPU is not refused for the others' sake.
    (need,) = {one.bytes(1) for one in trial_memory.memory_needs(
        [max(trial_memory_configs(prepared), key=lambda c: need_of(c, prepared))], prepared.dataset
    )}  # fmt: skip
    plan_of(options, prepared, Device("gpu: tight", 2.0 * need))
    with pytest.raises(InputError, match="and each worker has"):
        plan_of(options, prepared, Device("gpu: tight", 1.9 * need))


def trial_memory_configs(prepared):
    return list(workers.every_config(prepared.space))


def need_of(config, prepared):
    (need,) = trial_memory.memory_needs([config], prepared.dataset)
    return need.bytes(1)


def test_one_worker_sees_what_this_process_sees_and_nothing_is_asked(gpus):
    tool = gpus(2)
    assert staff(workers=1)[1] == Workers(1)
    assert not tool.exists()


def test_on_the_cpu_gpus_are_not_looked_for(gpus):
    tool = gpus(2)
    options, found = staff(device="cpu")
    assert (found.variables, found.per_gpu, options.workers_per_gpu) == ((), None, None)
    assert "GPU" not in found.told
    assert staff(device="cpu", workers=2)[1] == Workers(2)
    assert not tool.exists()


def test_hidden_gpus_are_none(gpus, monkeypatch):
    gpus(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "for 8 cores" in staff()[1].told


def test_a_gpu_that_may_be_there_is_not_shared_by_a_worker_per_core(monkeypatch):
    assert staff(device="gpu")[1] == Workers(
        1,
        "--workers auto: 1 worker: nvidia-smi and the driver list no GPU, though there may be one; "
        "give --workers N where there are several, or --device cpu",
    )
    monkeypatch.setattr(workers, "may_use_gpu", trial_memory.may_use_gpu)
    kfd = workers.__file__  # any file that is there, as the driver of AMD's would be
    monkeypatch.setattr(trial_memory, "KFD", type(trial_memory.KFD)(kfd))
    assert staff()[0].workers == 1


def test_gpus_without_work_stay_idle_and_it_is_told(gpus):
    gpus(4)
    options, found = staff(trials=2, references=False)
    assert (options.workers, shown(found), found.fewer) == (2, list(UUIDS[:2]), False)
    assert found.told == (
        f"--workers auto: 2 workers, one per GPU: GPU 0 ({A100}), GPU 1 ({A100}); there is no "
        "work for more"
    )


def test_workers_on_the_cpu_beside_gpus_are_warned_of(gpus):
    gpus(2)
    found = staff()[1]
    gpu, cpu = Device("gpu: a card", 5.0), Device("cpu")
    assert found.unused_gpus([gpu, gpu]) == ""
    assert Workers(2).unused_gpus([cpu]) == ""
    for devices in ([cpu], [gpu, cpu]):
        assert found.unused_gpus(devices) == (
            "2 GPUs were found, but tensorflow does not see them all: workers train on the CPU. "
            "Install the extra 'gpu' (pip install 'least-overfit[gpu]'), check the driver with "
            "nvidia-smi, or give --device cpu"
        )


def test_what_has_least_room_counts_for_all():
    unknown, small, large = (Device("gpu: a card", free) for free in (None, 1.0, 2.0))
    assert smallest([unknown, large, small]) == small
    assert smallest([unknown]) == unknown
    assert smallest([small, Device("cpu")]) == Device("cpu")
    assert smallest([]) is None


# Cores


def test_the_cores_are_divided(machine):
    for cores in (1, 2, 8):
        machine(cores=cores)
        options, found = staff(trials=200, device="cpu")
        assert options.workers == cores
        of = f"{cores} worker{'s' * (cores > 1)} for {cores} core{'s' * (cores > 1)}"
        assert found.told == f"--workers auto: {of}"


def test_memory_limits_them(machine):
    machine(cores=16, gibibytes=5)
    options, found = staff(trials=400, device="cpu")
    assert options.workers == 3
    assert found.told.startswith(
        "--workers auto: 3 workers for 16 cores: of 5.0 GiB of free memory each takes 1.5"
    )
    machine(cores=16, gibibytes=0.1)
    assert staff(trials=400, device="cpu")[0].workers == 1


@pytest.mark.parametrize(
    ("more", "number"),
    [
        # Stacked: a quarter of the trials in a batch, four of them for each worker at least.
        ({"trials": 64}, 4),
        ({"trials": 1}, 1),
        # One by one: four rounds of the sampler at least.
        ({"trials": 20, "cohort_size": 1}, 5),
        ({"trials": 20, "cohort_size": 1, "sampler": "random"}, 16),
        ({"trials": 12, "cohort_size": 1, "sampler": "random"}, 12),
    ],
)
def test_there_are_no_more_than_the_study_keeps_busy(machine, more, number):
    machine(cores=16)
    options, found = staff(device="cpu", **more)
    assert options.workers == number
    if number < 16:
        assert found.told == (
            f"--workers auto: {number} worker{'s' * (number > 1)} for 16 cores: more would have "
            "too little to do at once"
        )


def test_trainings_that_may_be_divided_are(machine, gpus):
    work = lambda: Work(3, 1.0)  # noqa: E731
    assert workers_for("processes", "cpu", None, 15, work).count == 3
    assert workers_for("processes", "cpu", 4, 15, work) == Workers(4)
    assert workers_for("processes", "cpu", 9, 5, work) == Workers(
        5, "--workers 9: 5 are used; this machine has 8 cores, and there are 5 trainings", (), True
    )
    gpus(2)
    assert shown(workers_for("processes", "auto", None, 15, work)) == list(UUIDS[:2])
    assert shown(workers_for("processes", "auto", None, 1, work)) == [UUIDS[0]]
    assert shown(workers_for("processes", "auto", 3, 15, work)) == [
        *UUIDS[:2],
        UUIDS[0],
    ]


# Executors


def test_inline_is_one_worker(gpus):
    tool = gpus(2)
    found = staff(executor="inline")[1]
    assert found == Workers(1, "--workers auto: 1 worker: --executor inline is this process")
    assert not tool.exists()


def test_an_executor_that_has_no_number_of_its_own_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path)])
    write_executor(tmp_path, "elsewhere")
    monkeypatch.setattr(executors.find("elsewhere"), "most_workers", None)
    with pytest.raises(InputError) as caught:
        staff(executor="elsewhere")
    assert str(caught.value) == (
        "--workers auto: how many workers suit --executor elsewhere is not known; give --workers N"
    )


def test_a_cluster_says_how_many_it_holds(monkeypatch, gpus):
    gpus(2)
    asked = []

    def room_of(placement, worker_bytes):
        asked.append(placement.ray_address)
        assert worker_bytes > WORKER_BYTES
        return 3

    monkeypatch.setattr("pipeline.search.executors.ray.cluster.room_of", room_of)
    options, found = staff(executor="ray", ray_address="head:6379")
    assert asked == ["head:6379"]
    assert options.workers == found.count <= 3
    assert found.told.startswith(f"--workers auto: {found.count} worker")
    assert "as many as the cluster holds now" in found.told
    assert found.gpus == ()


def test_no_more_finalists_are_trained_at_once_in_a_cluster_than_there_are(monkeypatch):
    monkeypatch.setattr(
        "pipeline.search.executors.ray.cluster.room_of", lambda placement, worker_bytes: 256
    )
    work = lambda: Work(3, 1.0)  # noqa: E731
    assert workers_for("ray", "auto", None, 15, work, Placement("head:6379")).count == 15
    found = workers_for("ray", "auto", 64, 15, work, Placement("head:6379"))
    assert found == Workers(15, "--workers 64: 15 are used; there are 15 trainings", (), True)


def test_cohorts_of_a_given_size_keep_as_many_workers_busy_as_there_are_batches(machine, gpus):
    assert staff(cohort_size=4, trials=200)[1].count > 1


def test_each_process_has_its_variable_before_anything_is_imported_and_its_place(tmp_path):
    spread = tuple(Gpu(place, A100, uuid, uuid) for place, uuid in enumerate(UUIDS[:2]))
    variables = Workers(3, "", spread).variables
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    with executors.start("processes", Desk(), 3, variables=variables) as started:
        started.ready()
        assert {place["CUDA_VISIBLE_DEVICES"] for place in variables} == set(UUIDS[:2])
        meeting = [str(tmp_path / name) for name in "abc"]
        jobs = [("meet_as", meeting[n], meeting, "CUDA_VISIBLE_DEVICES") for n in range(3)]
        assert sorted(results(started, *jobs)) == sorted([UUIDS[0], UUIDS[0], UUIDS[1]])
        # All of them die; each one's successor sees what it saw.
        gather(started, ("kill",), ("kill",), ("kill",))
        started.ready()
        for path in meeting:
            Path(path).unlink()
        assert sorted(results(started, *jobs)) == sorted([UUIDS[0], UUIDS[0], UUIDS[1]])
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
