"""Searches that share a study on PostgreSQL, each a process of its own, trained by a script.

Real MLflow (SQLite) and the real command. A search is a fork of this process, which has imported
everything and opened nothing; its host's name may be another one, so that for the others it is on
another machine: they then go by its signs of life alone.
"""

import contextlib
import os
import socket
import sys
import time
import warnings
from collections import Counter

import optuna
import psycopg
from forks import forked
from optuna.trial import TrialState
from scripted_trainer import write_executor

import pipeline.search.run
import pipeline.tracking.store
from pipeline import tracking
from pipeline.cli import main as command
from pipeline.search import executors, heartbeat, shared_study
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select

with warnings.catch_warnings():
    # MLflow 3.17 maps its tables, when it is imported, with what SQLAlchemy 2.1 deprecates.
    warnings.filterwarnings("ignore", "The ``noload`` loader", DeprecationWarning)
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store

IMPORTED_BEFORE_ANY_FORK = (
    mlflow.store.model_registry.sqlalchemy_store,
    mlflow.store.tracking.sqlalchemy_store,
    optuna.storages.RDBStorage("sqlite://"),
    psycopg,
    pipeline.search.run,
    pipeline.tracking.store,
)
WAIT_SECONDS = 240.0
TRIALS = 12
SPACE = """\
family: mlp
trials: 12
epochs: 3
patience: 3
search:
  depth: {low: 2, high: 3}
  dropout_rate: {low: 0.0, high: 0.1}
references:
  baseline: {depth: 2}
  deep: {depth: 3}
  best: {depth: 1, dropout_rate: 0.2}
"""


class Search:
    """``pipeline search`` in a folder, in a process of its own.

    Args:
        folder: The working folder.
        storage: Address of the database.
        name: Of its log.
        held_after: After so many trials it trains on only when it is told to: :meth:`go`.
        how: ``host``, its host's name; ``times``, between signs of life and until one is dead;
            ``wait``, an event that it waits for; ``executor``; ``more`` options.
    """

    def __init__(self, folder, storage, name, held_after=None, **how):
        self.log, self._go = folder / f"{name}.txt", folder / f"{name}.go"
        if held_after is not None:
            how["executor"] = f"held_{name}"
            held = {"held_after": held_after, "go": str(self._go)}
            write_executor(folder / "executors", how["executor"], epoch_seconds=0.05, **held)
        self.process = forked(self._run, folder, storage, **how)

    def _run(self, folder, storage, *, host=None, times=None, wait=None, executor="paced", more=()):
        os.chdir(folder)
        with self.log.open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        # What pytest put there instead, the parent's, keeps what is written for itself.
        sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, closefd=False) for number in (1, 2))
        shared_study.POLL_SECONDS = 0.2
        if host is not None:
            socket.gethostname = lambda: host
        if times is not None:
            heartbeat.BEAT_SECONDS, heartbeat.STALE_SECONDS = times
        if wait is not None:
            wait.wait()
        command(
            ["search", "--search-space", "small.yaml", "--storage", storage, "--seed", "3",
             "--cohort-size", "2", "--executor", executor, *more]
        )  # fmt: skip

    @property
    def said(self):
        """What the command wrote to its terminal."""
        return self.log.read_text() if self.log.exists() else ""

    @property
    def trained(self):
        """The lines about trials that ended here."""
        return [line for line in self.said.splitlines() if line.startswith("trial ")]

    def until(self, words):
        """Waits until the command has said these words."""
        self.wait(lambda: words in self.said)

    def until_held(self):
        """Waits until it has trained what it trains before it is told to go on."""
        self.wait(self._go.with_name(f"{self._go.name}.held").exists)

    def go(self):
        """Has it train on."""
        self._go.touch()

    def wait(self, is_so):
        """Waits until something is so, which is to be before the command ends."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            # Looked at first: what it did last, it did before it ended.
            alive = self.process.is_alive()
            if is_so():
                return
            assert alive, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def send(self, number):
        os.kill(self.process.pid, number)

    def ended(self, seconds=WAIT_SECONDS):
        """Returns the exit code."""
        self.process.join(seconds)
        if self.process.is_alive():
            said = self.said
            self.process.kill()
            self.process.join()
            raise AssertionError(f"it goes on:\n{said}")
        return self.process.exitcode


@contextlib.contextmanager
def paced(folder, epoch_seconds=0.05):
    """Makes an executor of scripted trainings that take this long."""
    (folder / "executors").mkdir(exist_ok=True)
    write_executor(folder / "executors", "paced", epoch_seconds=epoch_seconds)
    executors.__path__.append(str(folder / "executors"))
    try:
        yield
    finally:
        executors.__path__.remove(str(folder / "executors"))


def in_optuna(storage):
    """Returns every trial in Optuna's storage."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    opened = optuna.storages.RDBStorage(storage)
    try:
        return optuna.load_study(study_name="digits", storage=opened).get_trials()
    finally:
        opened.engine.dispose()


def askers(storage):
    """Returns the tokens of the searches that have asked for trials which have not ended."""
    trials = [trial for trial in in_optuna(storage) if trial.state == TrialState.RUNNING]
    return {trial.user_attrs.get("search", "") for trial in trials}


def num_delivered(folder):
    """Returns of how many trials MLflow has the results."""
    store = tracking.connect(f"sqlite:///{folder}/mlflow.db")
    ended = "tags.role = 'trial' AND attributes.status = 'FINISHED'"
    return len(store.search_runs(_experiments(store), ended))


def books(folder, storage, trials=TRIALS, status="FINISHED"):
    """Checks the books of a study that reached its total; returns what MLflow has of it.

    Nothing is missing, nothing is there twice, and MLflow's numbers are Optuna's.
    """
    store = tracking.connect(f"sqlite:///{folder}/mlflow.db")
    record = store.read_study(study="digits")
    asked = in_optuna(storage)
    states = Counter(trial.state.name for trial in asked)
    assert set(states) <= {"COMPLETE", "FAIL"}, states
    assert states["COMPLETE"] == trials, states
    told = {t.number: t.value for t in asked if t.state == TrialState.COMPLETE}
    complete = {t.number: t for t in record.trials if t.state == "COMPLETE"}
    kept = {n: t.measurement.objective for n, t in complete.items()}
    assert kept == told, f"MLflow: {kept}, Optuna: {told}"
    retries = Counter(t.user_attrs["retry_of"] for t in asked if "retry_of" in t.user_attrs)
    assert set(retries.values()) <= {1}, f"enqueued again more than once: {retries}"
    configs = Counter(trial.config for trial in complete.values())
    assert set(configs.values()) == {1}, f"trained more than once: {configs}"
    named = Counter(trial.name for trial in complete.values() if trial.name)
    assert named == {"baseline": 1, "deep": 1, "best": 1}, named
    parents = store.search_runs(_experiments(store), "tags.role = 'study'")
    assert [run.info.status for run in parents] == [status], parents
    children = store.search_runs(_experiments(store), "tags.role = 'trial'", max_results=1000)
    runs = Counter(run.data.tags["trial"] for run in children)
    assert set(runs.values()) == {1}, f"two runs of one trial: {runs}"
    for run in children:
        wanted = "FINISHED" if int(run.data.tags["trial"]) in told else "FAILED"
        assert run.info.status == wanted, (run.data.tags["trial"], run.info.status)
    verdicts = select(record, RuleSettings()).verdicts
    tagged = {int(run.data.tags["trial"]): run.data.tags.get("verdict") for run in children}
    if status == "FINISHED":
        wanted = {n: verdicts[n].name for n in told}
        assert {n: tagged[n] for n in told} == wanted, f"{tagged}, not {wanted}"
    return record


def searches_of(folder):
    """Returns the search of every trial's run."""
    store = tracking.connect(f"sqlite:///{folder}/mlflow.db")
    children = store.search_runs(_experiments(store), "tags.role = 'trial'", max_results=1000)
    return Counter(run.data.tags["search"] for run in children)


def _experiments(store):
    return [experiment.experiment_id for experiment in store.search_experiments()]
