"""Kills machines of a Ray cluster and searches on it at random instants; checks what is left.

The cluster's machines are processes of this one (``ray.cluster_utils.Cluster``); searches are the
real command with real MLflow (SQLite) and Optuna (journal), trainings go by a script. A machine
that was lost is replaced by another, a search that was killed is called again::

    python tests/faults/kill_machines.py --kills 30 --seed 1

When a study has reached its total, the checks of ``kill_supervisor`` hold, and references and
winner are those of a study that was left in peace.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import kill_supervisor as peaceful  # noqa: E402
from scripted_trainer import write_executor  # noqa: E402

from pipeline.search import executors  # noqa: E402

WORKERS = 2
KINDS = ("machine", "machine", "search")
EPOCH_SECONDS = 1.5
LONGEST_SECONDS = 12.0
"""Between two kills."""
STUDY_SECONDS = 600.0
EXECUTOR = """
from scripted_trainer import Script
from pipeline.search.executors.ray import EXECUTOR as RayExecutor


class KillableExecutor(RayExecutor):
    def __init__(self, opener, *more):
        super().__init__(Script(epoch_seconds={seconds}), *more)


EXECUTOR = KillableExecutor
"""
SEARCH = """
import sys
from pipeline.cli import main
from pipeline.search import executors

executors.__path__.append(sys.argv[1])
main(["search", *sys.argv[2:]])
"""
ASKED = (
    "--search-space small.yaml --executor killable --seed 3 --cohort-size 2 --pruner none"
    f" --workers {WORKERS}"
)


class Machines:
    """Kills studies on a cluster until there were enough kills.

    Args:
        folder: A folder for the studies.
        seed: Of instants and of which machine is killed.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.studies = self.repeated = 0
        for name in ("calm", "store", "far"):
            (folder / name).mkdir()
        peaceful.in_fork(peaceful.migrate, folder / "store")
        write_executor(folder / "calm", "killable")
        executors.__path__.append(str(folder / "calm"))
        study = self.new("study-0")
        assert peaceful.finished(study, 2) == 0, peaceful.said(study)
        self.wanted = peaceful.in_fork(peaceful.ended, study)
        (folder / "far" / "killable.py").write_text(EXECUTOR.format(seconds=EPOCH_SECONDS))
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self.nodes = [self.add() for _ in range(WORKERS)]

    def add(self):
        """Returns one more machine."""
        return self.cluster.add_node(num_cpus=1)

    def run(self, kills: int) -> None:
        """Kills that often, and lets each study come to its end."""
        while self.kills.total() < kills:
            self.studies += 1
            study = self.new(f"study-{self.studies}")
            try:
                self.study(study, kills)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{study}: {peaceful.said(study)}") from error
            shutil.rmtree(study)

    def study(self, study: Path, kills: int) -> None:
        """Kills machines and the search of one study until it has ended."""
        before: dict[int, float] = {}
        command = self.start(study)
        end = time.monotonic() + STUDY_SECONDS
        while not self.over(command, kills):
            assert time.monotonic() < end, "the search does not come to its end"
            if command.poll() is not None:
                assert command.returncode == 0, f"exit code {command.returncode}"
                break
            what = KINDS[self.kills.total() % len(KINDS)]
            self.kills[what] += 1
            if what == "machine":
                node = self.nodes.pop(self.random.randrange(len(self.nodes)))
                self.cluster.remove_node(node, allow_graceful=False)
                self.nodes.append(self.add())
            else:
                os.killpg(command.pid, signal.SIGKILL)
                command.wait()
                after = peaceful.in_fork(peaceful.completed, study)
                assert before.items() <= after.items(), f"complete before {before}, then {after}"
                before = after
                command = self.start(study)
        assert command.wait(STUDY_SECONDS) == 0, f"exit code {command.returncode}"
        assert before.items() <= peaceful.in_fork(peaceful.completed, study).items()
        self.repeated += (study / "stderr.txt").read_text().count("is trained again elsewhere")
        given = peaceful.in_fork(peaceful.ended, study)
        assert given == self.wanted, f"{given}\nundisturbed: {self.wanted}"

    def over(self, command: subprocess.Popen, kills: int) -> bool:
        """Waits for a random time; returns whether there were kills enough."""
        if self.kills.total() >= kills:
            return True
        try:
            command.wait(self.random.uniform(0.0, LONGEST_SECONDS))
        except subprocess.TimeoutExpired:
            return False
        return False

    def start(self, study: Path) -> subprocess.Popen:
        """Starts ``pipeline search`` on the cluster, in a folder."""
        words = [*ASKED.split(), "--ray-address", self.cluster.address]
        with (study / "stderr.txt").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-c", SEARCH, str(self.folder / "far"), *words],
                cwd=study,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def new(self, name: str) -> Path:
        """Returns a working folder with a store that needs no migration."""
        shutil.copytree(self.folder / "store", self.folder / name)
        (self.folder / name / "small.yaml").write_text(peaceful.SPACE)
        return self.folder / name


def main() -> None:
    """Reads the options, kills, and says what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        machines = Machines(Path(folder), options.seed)
        try:
            machines.run(options.kills)
        finally:
            machines.cluster.shutdown()
    sys.stdout.write(
        f"killed: {machines.kills['machine']} machines, {machines.kills['search']} searches, in "
        f"{machines.studies} studies; {machines.repeated} cohorts trained again elsewhere; "
        f"{time.monotonic() - begun:.0f} s in all: nothing lost, nothing twice, same winner\n"
    )


if __name__ == "__main__":
    main()
