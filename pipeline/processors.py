"""Counts the processor cores that this process may use: its affinity and its container's limit."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""``QUOTA PERIOD`` of this process's control group, or ``max PERIOD``: version 2 of the kernel's
interface."""
QUOTA_FILES = (
    Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
    Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""The same of version 1; a quota of -1 is none."""


def usable_cores() -> int:
    """Returns how many cores this process and its children may keep busy, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = container_cores()
    return max(min(cores or 1, int(quota) if quota is not None else cores or 1), 1)


def container_cores() -> float | None:
    """Returns the cores' time that the container grants per time; None where there is no limit."""
    for read in (_second_version, _first_version):
        with contextlib.suppress(OSError, ValueError):  # no control group, or "max"
            quota, period = read()
            return quota / period if quota > 0 and period > 0 else None
    return None


def _second_version() -> tuple[int, int]:
    quota, period = QUOTA_FILE.read_text().split()
    return int(quota), int(period)


def _first_version() -> tuple[int, int]:
    quota, period = (int(path.read_text()) for path in QUOTA_FILES)
    return quota, period
