"""Fuzzing of everything that users hand in: counts in, a tally out; see the two tests beside it.

The full counts::

    .venv/bin/python tests/faults/fuzz.py --spaces 10000 --files 2000

Half of the cases are damaged good files, half come from hypothesis. They run in a child process
that may take 2 GiB of address space; a case fails that ends in anything but success or a
``PipelineError`` of printable lines (one for data, one per fault for a search space), takes more
than 5 s of CPU time, or 60 s of wall time, which ends the child. The case that failed is kept.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
MEMORY_BYTES = 2 * 2**30
CPU_SECONDS = 5.0
WALL_SECONDS = 60.0


@dataclass
class Tally:
    """What came of the cases.

    Attributes:
        cases: How many ran.
        accepted: How many were valid after all; the others were refused with a message.
        slowest_seconds: CPU time of the slowest.
        peak_bytes: Largest resident memory of the child.
        failures: What went wrong, and where the case is kept.
    """

    cases: int = 0
    accepted: int = 0
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    failures: list[str] = field(default_factory=list)


def run(kind: str, count: int, seed: int, kept: Path) -> Tally:
    """Runs cases in a child process under the limits.

    Args:
        kind: ``spaces`` or ``files``.
        count: How many cases.
        seed: Equal seeds give equal cases.
        kept: Folder for the cases that fail.
    """
    kept.mkdir(parents=True, exist_ok=True)
    paths = [str(HERE), str(HERE.parents[1])]
    code = f"import sys; sys.path[:0] = {paths}; import fuzz; fuzz.child_main(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, kind, str(count), str(seed), str(kept.resolve())],
        capture_output=True, text=True, cwd=kept,
        # Arrow's own allocator reserves a gigabyte of addresses, which is no memory.
        env=os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"},
    )  # fmt: skip
    if done.returncode:
        why = "\n".join((done.stderr or "").splitlines()[-40:])
        return Tally(failures=[f"the child ended with {done.returncode}; case in {kept}\n{why}"])
    return Tally(**json.loads(done.stdout.splitlines()[-1]))


def child_main(kind: str, count: str, seed: str, kept: str) -> None:
    """Runs cases in this process, under the limits, and prints the tally as JSON."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    tally, judge, (damaged, generated) = Tally(), JUDGES[kind], _sources(kind)
    for number in range(int(count) - int(count) // 2):
        random = Random(f"{kind} {seed} {number}")
        case(tally, Path(kept), judge, lambda place, random=random: damaged(random, place))
    if int(count) > 1:
        settings = {"max_examples": int(count) // 2, "deadline": None, "database": None}
        _each(generated, int(seed), settings, lambda write: case(tally, Path(kept), judge, write))
    # Not getrusage's: that starts from the peak of the process that started this one.
    status = Path("/proc/self/status").read_text().split()
    tally.peak_bytes = int(status[status.index("VmHWM:") + 1]) * 1024
    sys.stdout.write(json.dumps(asdict(tally)))


def _each(strategy: Any, seed: int, chosen: dict[str, Any], visit: Callable) -> None:
    import hypothesis

    @hypothesis.seed(seed)
    @hypothesis.settings(**chosen, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(strategy)
    def generate(value: Any) -> None:
        visit(value)

    generate()


def case(tally: Tally, kept: Path, judge: Callable, write: Callable[[Path], Path]) -> None:
    """Writes a case, judges it under the limits of time, and counts it; keeps it if it fails."""
    place = kept / f"case-{tally.cases}"
    place.mkdir()
    path = write(place)
    faulthandler.dump_traceback_later(WALL_SECONDS, exit=True)
    start = time.process_time()
    try:
        accepted, failure = judge(path)
    except Exception:
        accepted, failure = False, traceback.format_exc()
    faulthandler.cancel_dump_traceback_later()
    seconds = time.process_time() - start
    if seconds > CPU_SECONDS:
        failure = f"took {seconds:.1f} s"
    tally.cases += 1
    tally.accepted += accepted
    tally.slowest_seconds = max(tally.slowest_seconds, seconds)
    if failure:
        tally.failures.append(f"{path}: {failure}")
    else:
        shutil.rmtree(place)


def _sources(kind: str) -> tuple[Callable, Any]:
    """Returns what writes a damaged case (random, folder), and a strategy of writers (folder)."""
    if kind == "files":
        import hostile_files

        return hostile_files.damaged_data, hostile_files.generated_data()
    import hostile_spaces

    def write(folder: Path, content: bytes) -> Path:
        path = folder / "fuzzed.yaml"
        path.write_bytes(content)
        return path

    return (
        lambda random, folder: write(folder, hostile_spaces.damaged(random)),
        hostile_spaces.structured().map(lambda content: lambda folder: write(folder, content)),
    )


def judge_space(path: Path) -> tuple[bool, str]:
    """Loads a search space, and resolves and reads it again where it is valid."""
    from pipeline.errors import PipelineError
    from pipeline.search.space import space

    try:
        found = space.load(path)
    except PipelineError as error:
        lines = str(error).splitlines()
        good = len(lines) <= 21 and all(line.startswith(str(path)) for line in lines)
        return False, _message_fault(lines) if good else f"not a line per fault: {error}"
    again = space.parse(found.text.encode(), path)
    if found.definition() != again.definition() or not found.grid():
        return True, "the resolved space reads differently"
    return True, ""


def judge_data(path: Path) -> tuple[bool, str]:
    """Loads data, and reads the test part and describes them where they are valid."""
    from pipeline.datasets import SelectionLock, as_lines, describe, load
    from pipeline.errors import PipelineError
    from pipeline.records import DataOptions, DatasetSpec

    scaled = DataOptions(image_size=(5, 7), color="grey")
    accepted, fault = False, ""
    for options in (DataOptions(), scaled) if path.is_dir() else (DataOptions(),):
        try:
            dataset = load(DatasetSpec(str(path), options=options))
            dataset.test.read(SelectionLock("fuzz"))
        except PipelineError as error:
            lines = str(error).splitlines()
            fault = fault or (
                _message_fault(lines) if len(lines) == 1 else f"not one line: {error}"
            )
        else:
            accepted, fault = True, fault or _message_fault(as_lines(describe(dataset)))
    return accepted, fault


def _message_fault(lines: list[str]) -> str:
    bad = [line for line in lines if not line.isprintable() or len(line) > 2000]
    return f"not printable, or too long: {bad[0][:2000]!r}" if bad else ""


JUDGES: dict[str, Callable[[Path], tuple[bool, str]]] = {"spaces": judge_space, "files": judge_data}


def main() -> int:
    """Runs the counts asked for and prints a line each; 1 if a case failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spaces", type=int, default=0, metavar="N")
    parser.add_argument("--files", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    counts = parser.parse_args()
    failed = False
    for kind, count in (("spaces", counts.spaces), ("files", counts.files)):
        if not count:
            continue
        start, kept = time.monotonic(), Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-"))
        tally = run(kind, count, counts.seed, kept)
        failed |= bool(tally.failures)
        sys.stdout.write(
            f"{kind}: {tally.cases} cases, {tally.accepted} accepted, {len(tally.failures)} failed,"
            f" slowest {tally.slowest_seconds:.2f} s, peak {tally.peak_bytes / 2**20:.0f} MiB,"
            f" {time.monotonic() - start:.0f} s\n"
            + "".join(f"  {failure}\n" for failure in tally.failures[:20])
        )
        sys.stdout.flush()
        if not tally.failures:
            shutil.rmtree(kept)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
