"""Soak: one search of small nets for an hour; what it holds is followed and must not grow.

Every sample counts the memory, file descriptors and threads of the supervisor and of its workers,
and the temporary files, of which the search gets a folder of its own. The table shows the largest
of each tenth of the time. A study keeps what it has measured, so that the supervisor grows by a few
KB a trial; the last line says by how much.

Run: nice python benchmarks/soak.py --minutes 60
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
MB = 2**20
TENTHS = 10
ENDED = re.compile(r"^trial \d+\b")
SPACE = """\
family: mlp
trials: 100000
epochs: 8
patience: 4
fixed: {width: 16}
search:
  depth: {low: 1, high: 2}
  batch_norm: [true, false]
  dropout_rate: {low: 0.0, high: 0.7}
  regularizer: [none, l2]
  lambda_l2: {low: 1e-6, high: 1e-1, log: true}
"""


@dataclass(frozen=True)
class Sample:
    """What a search holds at an instant: of the supervisor, of all workers, and on the disk."""

    seconds: float
    trials: int
    supervisor_mb: float
    worker_mb: float
    supervisor_files: int
    worker_files: int
    supervisor_threads: int
    worker_threads: int
    temporary: int


def taken(process: psutil.Process, begun: float, trials: int, temporary: Path) -> Sample | None:
    """Returns a sample; None when a process ended meanwhile."""
    try:
        workers = [
            child
            for child in process.children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
        return Sample(
            time.monotonic() - begun,
            trials,
            process.memory_info().rss / MB,
            sum(worker.memory_info().rss for worker in workers) / MB,
            process.num_fds(),
            sum(worker.num_fds() for worker in workers),
            process.num_threads(),
            sum(worker.num_threads() for worker in workers),
            sum(1 for _ in temporary.rglob("*")),
        )
    except psutil.Error:
        return None


def soaked(folder: Path, minutes: float, every: float, options: list[str]) -> list[Sample]:
    """Runs a search for so long; returns its samples.

    Raises:
        SystemExit: The search failed; its last lines are printed.
    """
    (folder / "small.yaml").write_text(SPACE)
    temporary = folder / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "pipeline", "search", "--search-space", "small.yaml"]
    command += ["--timeout", f"{minutes:g}m", "--cohort-size", "16", *options]
    environment = os.environ | {"TMPDIR": str(temporary), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    begun = time.monotonic()
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    lines: list[str] = []
    assert child.stderr is not None
    threading.Thread(target=lines.extend, args=(child.stderr,), daemon=True).start()
    process, samples = psutil.Process(child.pid), []
    while child.poll() is None:
        trials = sum(1 for line in list(lines) if ENDED.match(line))
        if sample := taken(process, begun, trials, temporary):
            samples.append(sample)
        time.sleep(every)
    if child.returncode:
        raise SystemExit("the search failed:\n" + "".join(lines[-20:]))
    print(f"left in the temporary folder: {[path.name for path in temporary.rglob('*')]}")
    return samples


def show(samples: list[Sample]) -> None:
    """Prints the largest of each tenth, and how much the supervisor grew a trial."""
    print("| minutes | trials | supervisor MB | workers MB | files | threads | temporary |")
    print("|---|---|---|---|---|---|---|")
    end = samples[-1].seconds
    for tenth in range(TENTHS):
        within = [s for s in samples if tenth <= TENTHS * s.seconds / end <= tenth + 1]
        if not within:
            continue
        most = {name: max(getattr(s, name) for s in within) for name in vars(within[0])}
        print(
            f"| {most['seconds'] / 60:.0f} | {most['trials']} | {most['supervisor_mb']:.0f} "
            f"| {most['worker_mb']:.0f} | {most['supervisor_files']} + {most['worker_files']} "
            f"| {most['supervisor_threads']} + {most['worker_threads']} | {most['temporary']} |"
        )
    later = [s for s in samples if s.seconds > end / TENTHS]
    trials = [s.trials for s in later]
    slope = np.polyfit(trials, [s.supervisor_mb for s in later], 1)[0]
    print(f"supervisor: {1024 * slope:.1f} KB a trial")


def main() -> None:
    """Reads the options, soaks and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("options", nargs="*", help="more options of `pipeline search`, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(soaked(Path(folder), arguments.minutes, arguments.every, arguments.options))


if __name__ == "__main__":
    main()
