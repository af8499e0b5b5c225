"""Cores: those that the process may use, not those that the machine has."""

import os

import pytest

from pipeline import processors
from pipeline.processors import container_cores, usable_cores


@pytest.fixture
def control_group(monkeypatch, tmp_path):
    """Writes what the kernel says of the container; without it there is no limit."""
    names = ("cpu.max", "quota", "period")
    files = [tmp_path / name for name in names]
    monkeypatch.setattr(processors, "QUOTA_FILE", files[0])
    monkeypatch.setattr(processors, "QUOTA_FILES", tuple(files[1:]))

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / name.replace("_", ".")).write_text(text)

    return write


def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


@pytest.mark.parametrize(
    ("texts", "granted", "usable"),
    [
        ({}, None, 8),
        ({"cpu_max": "max 100000\n"}, None, 8),
        ({"cpu_max": "200000 100000\n"}, 2.0, 2),
        ({"cpu_max": "250000 100000\n"}, 2.5, 2),
        ({"cpu_max": "50000 100000\n"}, 0.5, 1),
        ({"cpu_max": "6400000 100000\n"}, 64.0, 8),
        ({"cpu_max": "?\n"}, None, 8),
        ({"quota": "-1\n", "period": "100000\n"}, None, 8),
        ({"quota": "300000\n", "period": "100000\n"}, 3.0, 3),
    ],
)
def test_a_containers_limit_counts(monkeypatch, control_group, texts, granted, usable):
    eight_cores(monkeypatch)
    control_group(**texts)
    assert container_cores() == granted
    assert usable_cores() == usable


def test_where_no_affinity_is_known_all_cores_count(monkeypatch, control_group):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cores() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
