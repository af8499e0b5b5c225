"""Kills a search at random instants, continues it, and checks that nothing is lost or untrue.

Real MLflow (SQLite) and Optuna (journal), the real command, trainings by a script: one study takes
about a second, so that a kill lands in opening, asking, writing and closing alike. Each search is
a fork of this process, which has imported everything and opened nothing.

::

    python tests/faults/kill_supervisor.py --kills 100 --seed 1 [--locked]

After every kill: trials that Optuna had as complete still are, with the same value, and MLflow or
the outbox has each. With ``--locked``, MLflow's database is taken away in the moments before. After
the last command: the total is reached, each reference was trained once and to the number of the
undisturbed study, no run or trial is left running, and the winner is the same.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import optuna  # noqa: E402
from forks import FORK, forked  # noqa: E402
from optuna.storages import JournalStorage  # noqa: E402
from optuna.storages.journal import JournalFileBackend  # noqa: E402
from optuna.trial import TrialState  # noqa: E402
from scripted_trainer import write_executor  # noqa: E402

import pipeline.search.run  # noqa: E402 - imported before any fork
import pipeline.tracking.store  # noqa: E402, F401 - imported before any fork
from pipeline import tracking  # noqa: E402
from pipeline.cli import main as command  # noqa: E402
from pipeline.search import executors  # noqa: E402
from pipeline.selection.records import RuleSettings  # noqa: E402
from pipeline.selection.select import select  # noqa: E402
from pipeline.tracking.delivery.message import unpack  # noqa: E402

TRIALS = 10
KILLS_PER_STUDY = 4
SIGNALS = {"KILL": (signal.SIGKILL,), "TERM": (signal.SIGTERM,), "INT": (signal.SIGINT,)}
SIGNALS |= {"TERM2": SIGNALS["TERM"] * 2, "INT2": SIGNALS["INT"] * 2}
BETWEEN_SECONDS = 0.02
HELD_SECONDS = 1.5
SOFTLY = "stopped with"
# `best` is the only one of depth 1 and wins whatever else is tried: the sampler does not repeat its
# numbers after a resume, so that only the references are the same in every course of a study.
SPACE = f"""\
family: mlp
trials: {TRIALS}
epochs: 3
patience: 3
search:
  depth: {{low: 2, high: 3}}
  dropout_rate: {{low: 0.0, high: 0.1}}
references:
  baseline: {{depth: 2}}
  deep: {{depth: 3}}
  best: {{depth: 1, dropout_rate: 0.2}}
  light: {{depth: 2, dropout_rate: 0.05}}
  heavy: {{depth: 3, dropout_rate: 0.1}}
"""


def start(folder: Path, cohort_size: int) -> multiprocessing.Process:
    """Starts ``pipeline search`` in a folder."""
    return forked(search, folder, cohort_size)


def search(folder: Path, cohort_size: int) -> None:
    """Runs the command; what it says goes to a file of the folder."""
    os.chdir(folder)
    with (folder / "stderr.txt").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    asked = ["--search-space", "small.yaml", "--executor", "killable", "--seed", "3"]
    command(["search", *asked, "--cohort-size", str(cohort_size)])


def in_fork(function, *arguments):
    """Returns what a function returns in a process of its own."""
    receiver, sender = FORK.Pipe(duplex=False)

    def run() -> None:
        sender.send(function(*arguments))

    process = forked(run)
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise AssertionError(f"{function.__name__} failed, see above") from None
    finally:
        process.join()


def optuna_trials(folder: Path) -> list:
    """Returns every trial in Optuna's storage; none before it was made."""
    if not (folder / "studies.journal").exists():
        return []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(folder / "studies.journal")))
    names = optuna.study.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage).get_trials() if names else []


def completed(folder: Path) -> dict[int, float]:
    """Returns the value of every trial that is complete; MLflow has to have each, or the outbox."""
    done = {t.number: t.value for t in optuna_trials(folder) if t.state == TrialState.COMPLETE}
    if done:
        record = tracking.connect(f"sqlite:///{folder}/mlflow.db").read_study(study="digits")
        kept = {t.number: t.measurement.objective for t in record.trials if t.state == "COMPLETE"}
        kept |= waiting(folder)
        lost = {n: value for n, value in done.items() if kept.get(n) != value}
        assert not lost, f"complete in Optuna, not in MLflow: {lost}"
    return done


def waiting(folder: Path) -> dict[int, float]:
    """Returns the value of every complete trial that waits on disk for MLflow."""
    files = sorted((folder / "studies.journal.outbox").glob("*/*.entry"))
    entries = [unpack(path.read_bytes())[0] for path in files]
    return {
        entry.number: value
        for entry in entries
        for key, value, *_ in entry.points
        if key == "objective"
    }


def running(folder: Path) -> list[str]:
    """Returns the runs that MLflow believes to be running."""
    store = tracking.connect(f"sqlite:///{folder}/mlflow.db")
    runs = store.search_runs(_experiments(store), "attributes.status = 'RUNNING'")
    return [run.info.run_name for run in runs]


def unfinished(folder: Path) -> list[int]:
    """Returns the trials that Optuna believes to be running."""
    return [t.number for t in optuna_trials(folder) if t.state == TrialState.RUNNING]


def ended(folder: Path) -> dict:
    """Checks the books of a study that reached its total; returns its winner and references."""
    store = tracking.connect(f"sqlite:///{folder}/mlflow.db")
    record = store.read_study(study="digits")
    trials = optuna_trials(folder)
    states = Counter(trial.state.name for trial in trials)
    assert set(states) <= {"COMPLETE", "FAIL"}, f"left in Optuna: {states}"
    assert states["COMPLETE"] == TRIALS, f"{states} of {TRIALS}"
    told = {t.number: t.value for t in trials if t.state == TrialState.COMPLETE}
    complete = {t.number: t for t in record.trials if t.state == "COMPLETE"}
    assert {n: t.measurement.objective for n, t in complete.items()} == told
    retries = Counter(t.user_attrs["retry_of"] for t in trials if "retry_of" in t.user_attrs)
    assert set(retries.values()) <= {1}, f"enqueued again more than once: {retries}"
    numbers = [trial.number for trial in record.trials]
    assert len(numbers) == len(set(numbers)), f"two runs of one trial: {numbers}"
    runs = [store.get_run(trial.mlflow_run_id) for trial in record.trials]
    for trial, run in zip(record.trials, runs, strict=True):
        wanted = "FINISHED" if trial.state == "COMPLETE" else "FAILED"
        assert run.info.status == wanted, f"trial {trial.number}: {run.info.status}"
        assert trial.state in ("COMPLETE", "FAIL"), f"trial {trial.number}: {trial.state}"
        assert trial.state == "COMPLETE" or trial.cause, f"trial {trial.number}: no cause"
    assert running(folder) == []
    parents = store.search_runs(_experiments(store), "tags.role = 'study'")
    assert [run.info.status for run in parents] == ["FINISHED"], f"parents: {parents}"
    named = Counter(trial.name for trial in complete.values())
    references = {name: count for name, count in named.items() if name is not None}
    assert set(references.values()) == {1}, f"references trained: {references}"
    winner = complete[select(record, RuleSettings()).winner]
    return {
        "winner": (winner.name, winner.config, winner.measurement),
        "references": {t.name: (t.config, t.measurement) for t in complete.values() if t.name},
    }


def _experiments(store) -> list[str]:
    return [experiment.experiment_id for experiment in store.search_experiments()]


class Kills:
    """Kills studies until there were enough.

    Args:
        folder: A folder for the studies.
        seed: Of the instants.
        signals: Names in :data:`SIGNALS`, taken in turn.
        locked: Whether another program holds MLflow's database in the moments before.
    """

    def __init__(self, folder: Path, seed: int, signals: list[str], locked: bool) -> None:
        self.folder, self.signals, self.locked = folder, signals, locked
        self.random = random.Random(seed)
        self.kills = self.studies = self.kept = 0
        self.exit_codes = Counter()
        self.soft = 0
        made = folder / "executors"
        made.mkdir()
        write_executor(made, "killable", epoch_seconds=0.05)
        executors.__path__.append(str(made))
        (folder / "store").mkdir()
        in_fork(migrate, folder / "store")
        calm = self.new("calm")
        begun = time.monotonic()
        assert finished(calm, 1) == 0, said(calm)
        self.seconds = time.monotonic() - begun
        self.wanted = in_fork(ended, calm)
        assert self.wanted["winner"][0] == "best", self.wanted["winner"]

    def run(self, kills: int) -> None:
        """Kills that often, each study a few times, and lets each come to its end."""
        while self.kills < kills:
            self.studies += 1
            study = self.new(f"study-{self.studies}")
            try:
                self.study(
                    study, min(KILLS_PER_STUDY, kills - self.kills), (1, 4)[self.studies % 2]
                )
            except AssertionError as error:
                raise AssertionError(f"{error}\n{study}: {said(study)}") from error
            shutil.rmtree(study)

    def study(self, study: Path, kills: int, cohort_size: int) -> None:
        """Kills one study a few times, or as often as there is something left to kill."""
        before: dict[int, float] = {}
        for _ in range(kills):
            earlier = len(whole_text(study))
            process = start(study, cohort_size)
            process.join(self.random.uniform(0.0, self.seconds))
            if not process.is_alive():
                # The machine is faster than it was: later instants lie within the search again.
                self.seconds *= 0.8
                break
            with self.held(study) if self.locked else contextlib.nullcontext():
                process.join(self.random.uniform(0.0, HELD_SECONDS) if self.locked else 0)
                for number in SIGNALS[self.signals[self.kills % len(self.signals)]]:
                    if process.is_alive():
                        os.kill(process.pid, number)
                    process.join(BETWEEN_SECONDS)
                process.join(60)
            self.kills += 1
            self.exit_codes[process.exitcode] += 1
            if f"\n{SOFTLY}" in whole_text(study)[earlier:]:
                self.soft += 1
                assert in_fork(running, study) == [], "runs left RUNNING by a stop in good order"
                assert in_fork(unfinished, study) == [], "trials left RUNNING in Optuna by it"
            after = in_fork(completed, study)
            assert before.items() <= after.items(), f"complete before {before}, then {after}"
            before = after
        self.kept += len(before)
        assert finished(study, cohort_size) == 0, "the search did not come to its end"
        assert before.items() <= in_fork(completed, study).items()
        given = in_fork(ended, study)
        for what, value in self.wanted.items():
            assert given[what] == value, f"{what}: {given[what]}\nundisturbed: {value}"

    @contextlib.contextmanager
    def held(self, study: Path) -> Iterator[None]:
        """Keeps everybody else from MLflow's database."""
        connection = sqlite3.connect(study / "mlflow.db", isolation_level=None)
        try:
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            connection.close()

    def new(self, name: str) -> Path:
        """Returns a working folder with a store that needs no migration."""
        shutil.copytree(self.folder / "store", self.folder / name)
        (self.folder / name / "small.yaml").write_text(SPACE)
        return self.folder / name


def migrate(folder: Path) -> None:
    """Makes an empty store, which takes seconds, once."""
    tracking.connect(f"sqlite:///{folder}/mlflow.db")


def finished(study: Path, cohort_size: int) -> int | None:
    """Runs a search to its end; returns its exit code."""
    process = start(study, cohort_size)
    process.join(120)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def said(study: Path) -> str:
    """Returns what the study's commands said last."""
    return whole_text(study)[-2000:]


def whole_text(study: Path) -> str:
    """Returns what the study's commands said."""
    file = study / "stderr.txt"
    return file.read_text() if file.exists() else ""


def main() -> None:
    """Reads the options, kills, and says what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--signals", choices=SIGNALS, nargs="+", default=["KILL"], help="in turn; TERM2 is two"
    )
    parser.add_argument(
        "--locked", action="store_true", help="lock MLflow's database before each kill"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        kills = Kills(Path(folder), options.seed, options.signals, options.locked)
        with contextlib.suppress(KeyboardInterrupt):
            kills.run(options.kills)
    how = "/".join(options.signals) + ", locked" * options.locked
    sys.stdout.write(
        f"{kills.kills} x {how}, {kills.studies} studies, {kills.kept} complete "
        f"trials kept, exit codes {dict(kills.exit_codes)}, "
        f"{kills.soft} stopped in good order, undisturbed "
        f"{kills.seconds:.1f} s, {time.monotonic() - begun:.0f} s in all: nothing lost, nothing "
        "twice, same winner\n"
    )


if __name__ == "__main__":
    main()
