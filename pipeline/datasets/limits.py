"""Refuses a user's data that memory cannot hold, by the announced size, before allocation.

A few kilobytes of a compressed file can announce terabytes; so every reader asks here with the size
that a header or a file's length announces, before it reads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from pipeline.errors import DatasetError

COPIES = 3
"""Data are held up to so many times at once: as read, as float32, and as the parts of the split."""
CGROUP_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
"""Limit and use of this process's control group: version 2 of the kernel's interface, version 1."""


def check_memory(where: str, num_bytes: int) -> None:
    """Checks that data of this size can be held in memory, copies included.

    Args:
        where: The file, and what in it, for the message.
        num_bytes: Size of the data in memory, once.

    Raises:
        DatasetError: They cannot.
    """
    limit = available_bytes() // COPIES
    if num_bytes > limit:
        raise DatasetError(
            f"{where} needs {_size(num_bytes)} in memory, but at most {_size(limit)} fit here (a"
            f" {_FRACTIONS[COPIES]} of what is free). Give fewer examples, smaller ones, or use a"
            " machine with more memory."
        )


def available_bytes() -> int:
    """Returns how much memory this process can still take: free, and within its limits."""
    limits = [psutil.virtual_memory().available]
    if (container := container_memory()) is not None:
        limits.append(container[0] - container[1])
    with contextlib.suppress(ImportError):  # not a Unix
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft - psutil.Process().memory_info().vms)
    return max(min(limits), 0)


def container_memory() -> tuple[int, int] | None:
    """Returns limit and use of the container's memory, bytes; None where there is no limit."""
    for limit, used in CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):  # no control group, or "max"
            return int(limit.read_text()), int(used.read_text())
    return None


_FRACTIONS = {2: "half", 3: "third", 4: "quarter"}


def _size(num_bytes: int) -> str:
    if num_bytes >= 2**50:
        return "more than 1,000 TiB"
    return (
        f"{num_bytes / 2**30:,.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.1f} MiB"
    )
