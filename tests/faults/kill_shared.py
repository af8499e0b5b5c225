"""Kills searches that share a study on PostgreSQL at random instants; nothing is lost or twice.

Real MLflow (SQLite), a real PostgreSQL, the real command, trainings by a script. Two or three
searches work on one study; one after the other is killed at a random instant (or stopped by
Ctrl-C), and another one takes its place, until enough were killed. All run on this machine, where a
process that is gone is known at once; that signs of life grow old, test_shared_searches.py tests.

::

    python tests/faults/kill_shared.py --kills 30 --seed 1

At the end of every study: the total is reached, no point was trained twice, each reference once,
the numbers of MLflow are those of Optuna, one parent run, no run or trial is left running.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).parents[2]),
    str(Path(__file__).parents[1]),
    str(Path(__file__).parents[1] / "search"),
]

from forks import forked  # noqa: E402
from postgres import Server, postgres  # noqa: E402
from shared_searches import SPACE, Search, books, paced  # noqa: E402

from pipeline import tracking  # noqa: E402

SIGNALS = {"KILL": signal.SIGKILL, "INT": signal.SIGINT, "TERM": signal.SIGTERM}
SEARCHES = 2
KILLS_PER_STUDY = 4
LONGEST = 8.0
"""Seconds until a kill: opening, asking, training and leaving lie within."""


class Kills:
    """Kills searches until there were enough.

    Args:
        folder: A folder for the studies.
        server: Where their databases are.
        seed: Of the instants.
        signals: Names in :data:`SIGNALS`, one at random each time.
    """

    def __init__(self, folder: Path, server: Server, seed: int, signals: list[str]) -> None:
        self.folder, self.server, self.signals = folder, server, signals
        self.random = random.Random(seed)
        self.kills = self.studies = 0
        self.exit_codes: Counter[int | None] = Counter()
        (folder / "store").mkdir()
        made = forked(migrate, folder / "store")
        made.join()

    def run(self, kills: int) -> None:
        """Kills that often, a few in each study, and lets each study come to its end."""
        while self.kills < kills:
            self.studies += 1
            study = self.folder / f"study-{self.studies}"
            shutil.copytree(self.folder / "store", study)
            (study / "small.yaml").write_text(SPACE)
            with paced(study, epoch_seconds=0.1):
                self.study(study, min(KILLS_PER_STUDY, kills - self.kills))
            shutil.rmtree(study)

    def study(self, study: Path, kills: int) -> None:
        """Kills a few searches of one study."""
        storage, started = self.server.database(), 0
        running: list[Search] = []

        def start() -> None:
            nonlocal started
            started += 1
            name = f"search-{started}"
            running.append(Search(study, storage, name))

        try:
            for _ in range(SEARCHES):
                start()
            for _ in range(kills):
                time.sleep(self.random.uniform(0.0, LONGEST))
                victim = running.pop(self.random.randrange(len(running)))
                if victim.process.is_alive():
                    self.kills += 1
                    os.kill(victim.process.pid, SIGNALS[self.random.choice(self.signals)])
                    self.exit_codes[victim.ended()] += 1
                start()
            # What the last ones left is somebody's, too.
            start()
            codes = [search.ended() for search in running]
            assert codes == [0] * len(running), [search.said[-2000:] for search in running]
            # A process of its own, which may open both stores.
            checked = forked(check, study, storage)
            checked.join()
            assert checked.exitcode == 0, [path.read_text() for path in study.glob("search-*.txt")]
        finally:
            for search in running:
                with contextlib.suppress(ProcessLookupError):
                    search.process.kill()


def migrate(folder: Path) -> None:
    """Makes an empty store, which takes seconds, once."""
    tracking.connect(f"sqlite:///{folder}/mlflow.db")


def check(study: Path, storage: str) -> None:
    """Checks the books of a study."""
    books(study, storage)


def main() -> None:
    """Reads the options, kills, and says what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signals", choices=SIGNALS, nargs="+", default=["KILL"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    with postgres() as server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        kills = Kills(Path(folder), server, options.seed, options.signals)
        kills.run(options.kills)
    sys.stdout.write(
        f"{kills.kills} x {'/'.join(options.signals)}, {kills.studies} studies, exit codes "
        f"{dict(kills.exit_codes)}, {time.monotonic() - begun:.0f} s in all: nothing lost, nothing "
        "twice\n"
    )


if __name__ == "__main__":
    main()
