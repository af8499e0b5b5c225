"""GPUs without a backend: what is there, what a process sees of it, and how much room there is."""

import os

import pytest
from pretended_gpus import A100, INSTANCES, T4, UUIDS, pretend

from pipeline.training import gpus

MIB = 2**20


def entries():
    return [gpu.entry for gpu in gpus.visible()]


@pytest.fixture
def no_driver(monkeypatch, tmp_path):
    """No tool, and no files of a driver but those that the test writes."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "DRIVER_FILES", tmp_path / "gpus")


def test_every_gpu_is_named_and_told_apart_by_its_uuid(monkeypatch, tmp_path):
    pretend(monkeypatch, tmp_path, A100, A100)
    assert [str(gpu) for gpu in gpus.installed()] == [f"GPU 0 ({A100})", f"GPU 1 ({A100})"]
    assert entries() == list(UUIDS[:2])


def test_the_instances_of_a_divided_gpu_stand_for_it(monkeypatch, tmp_path):
    pretend(monkeypatch, tmp_path, A100, A100, free=(40000, 30000), instances=2)
    assert entries() == [*INSTANCES, UUIDS[1]]
    first, second, whole = gpus.installed()
    assert str(second) == f"GPU 0, instance 1 ({A100} MIG 3g.20gb)"
    free = [gpus.free_bytes_of(gpu) for gpu in (first, second, whole)]
    assert free == [1000 * MIB, 2000 * MIB, 30000 * MIB]


@pytest.mark.parametrize(
    ("setting", "places"),
    [
        ("0,1,2", [0, 1, 2]),
        ("2, 0", [2, 0]),
        (UUIDS[1], [1]),
        ("GPU-c,GPU-aaaa", [2, 0]),
        ("0,0,1", [0, 1]),
        # As CUDA reads it: nothing is seen from an entry on that names nothing.
        ("1,-1,0", [1]),
        ("1,7,0", [1]),
        ("GPU-c,GPU-nobody,0", [2]),
        ("GPU-,0", []),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_what_the_user_shows_is_what_there_is_in_that_order(monkeypatch, tmp_path, setting, places):
    pretend(monkeypatch, tmp_path, A100, A100, A100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert [gpu.uuid for gpu in gpus.visible()] == [UUIDS[place] for place in places]
    # A worker gets the very words of the user.
    words = list(dict.fromkeys(word.strip() for word in setting.split(",")))
    assert entries() == words[: len(places)]


@pytest.mark.parametrize(
    ("setting", "uuids"),
    [
        (INSTANCES[1], [INSTANCES[1]]),
        ("MIG-2,MIG-1", [INSTANCES[1], INSTANCES[0]]),
        # The GPU as a whole: CUDA shows the first of its instances.
        ("0", [INSTANCES[0]]),
        (f"{UUIDS[0]},1", [INSTANCES[0], UUIDS[1]]),
        # The older name, which is not in the list, is the user's responsibility.
        (f"MIG-{UUIDS[0]}/1/0", [f"MIG-{UUIDS[0]}/1/0"]),
    ],
)
def test_instances_are_shown_by_their_names(monkeypatch, tmp_path, setting, uuids):
    pretend(monkeypatch, tmp_path, A100, A100, instances=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert [gpu.uuid for gpu in gpus.visible()] == uuids
    assert entries() == setting.split(",")


@pytest.mark.parametrize(
    ("setting", "hidden"),
    [(None, False), ("", True), ("-1", True), ("NoDevFiles", True), ("0", False), ("MIG-1", False)],
)
def test_gpus_are_hidden_by_a_setting_that_names_none(monkeypatch, setting, hidden):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert gpus.are_hidden() is hidden


@pytest.mark.parametrize(
    ("setting", "megabytes"),
    [
        (None, 1000),
        ("0", 1000),
        ("1", 2000),
        ("1,0", 2000),
        (UUIDS[2], 3000),
        ("GPU-b", 2000),
        ("9", None),
    ],
)
def test_the_free_memory_is_that_of_the_gpu_which_the_process_sees(
    monkeypatch, tmp_path, setting, megabytes
):
    pretend(monkeypatch, tmp_path, A100, A100, A100, free=(1000, 2000, 3000))
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    assert gpus.free_bytes() == (None if megabytes is None else megabytes * MIB)


def test_an_instance_has_memory_of_its_own(monkeypatch, tmp_path):
    pretend(monkeypatch, tmp_path, A100, A100, free=(40000, 30000), instances=2)
    assert gpus.free_bytes() == 1000 * MIB, "CUDA takes the first"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", INSTANCES[1])
    assert gpus.free_bytes() == 2000 * MIB
    (tmp_path / "0.xml").write_text("No devices were found")
    assert gpus.free_bytes() is None


def test_where_cuda_may_count_otherwise_the_smallest_free_memory_counts(monkeypatch, tmp_path):
    # CUDA puts the fastest first, the tool the place on the bus.
    pretend(monkeypatch, tmp_path, T4, A100, free=(1000, 2000))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus.free_bytes() == 1000 * MIB
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert gpus.free_bytes() == 2000 * MIB


def test_without_the_tool_the_drivers_files_name_the_gpus(no_driver, monkeypatch, tmp_path):
    assert gpus.installed() == gpus.visible() == ()
    for place, uuid in (("0000:81:00.0", UUIDS[1]), ("0000:04:00.0", UUIDS[0])):
        folder = tmp_path / "gpus" / place
        folder.mkdir(parents=True)
        text = f"Model: \t\t {T4}\nIRQ:   \t\t 42\nGPU UUID: \t {uuid}\nBus Location: \t {place}\n"
        (folder / "information").write_text(text)
    (tmp_path / "gpus" / "0000:99:00.0").mkdir()
    assert [(gpu.index, gpu.name, gpu.uuid) for gpu in gpus.visible()] == [
        (0, T4, UUIDS[0]),
        (1, T4, UUIDS[1]),
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert entries() == ["1"]
    assert gpus.free_bytes() is None


@pytest.mark.parametrize(
    "answer",
    [
        "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9",
        "echo 'No devices were found'; exit 6",
        "sleep 5",
        "printf '\\377\\376 GPU'",
    ],
)
def test_a_tool_that_fails_or_hangs_lists_nothing(no_driver, monkeypatch, tmp_path, answer):
    monkeypatch.setattr(gpus, "TOOL_SECONDS", 0.3)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{answer}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert gpus.installed() == ()
    assert gpus.free_bytes() is None
