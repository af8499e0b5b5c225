"""Lets several searches work on one study to one total, in a PostgreSQL database.

In: what ``study`` takes. Out: the same study, whose trials carry the token of the search that asked
for them. What must not be done twice, such as asking, is done under a lock (``mutex``) that shows
the study as it is: who is alive (``membership``), what runs, what ended, which points were tried.
A search that finds a dead one's trials there closes them and enqueues them again with their seeds.
In which order searches ask is chance: a shared study is not repeatable to the digit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.errors import InputError, StorageError
from pipeline.records import TrialConfig, TrialOutcome
from pipeline.search.heartbeat import place_of
from pipeline.search.membership import Membership
from pipeline.search.mutex import Mutex
from pipeline.search.samplers import sampler_of
from pipeline.search.space.space import SearchSpace
from pipeline.search.storage import Note, notices_off, open_storage, storage_errors
from pipeline.search.study import Study, Suggestion, is_end, open_study, trial_seed

OPENING, TRIALS = "opening", "trials"
"""Sections of a study: to open and to leave it; to ask for trials and to take them over."""
OWNER = "search"
"""User attribute of a trial in Optuna: the token of the search that asked for it."""
RUN = "mlflow_run"
"""User attribute of the study: its run in MLflow."""
POLL_SECONDS = 2.0
"""Between two looks of a search that has nothing to ask for."""
NOTICE_SECONDS = 10.0
"""After so long at a lock the user reads what the search waits for."""


def open_shared_study(
    storage: str,
    name: str,
    space: SearchSpace,
    definition: Mapping[str, Any],
    seed: int,
    note: Note,
) -> Study:
    """Returns a study that others may work on; see ``open_study`` for the arguments and errors."""
    mutex = Mutex(storage, name)
    waiting = Waiting(name, note)
    with ExitStack() as closed_on_error:
        # Of two that start together, one makes Optuna's tables, and one the study.
        with mutex.held(OPENING, waiting):
            opened = open_storage(storage, note)
            closed_on_error.callback(opened.engine.dispose)
            make = partial(SharedStudy, mutex=mutex, waiting=waiting, close=opened.engine.dispose)
            study = open_study(opened, name, space, definition, seed, note, make)
        closed_on_error.pop_all()
        return study


class Waiting:
    """Tells the user once that a lock is waited for.

    Args:
        study: The study's name.
        note: Shows a line.
    """

    def __init__(self, study: str, note: Note) -> None:
        self._study, self._note = study, note

    def __call__(self, seconds: float) -> None:
        """Takes for how long a lock was waited for."""
        if seconds > NOTICE_SECONDS:
            self._note(
                f"waiting for another search that opens, asks or leaves study '{self._study}'"
            )
            self._note = lambda line: None


class SharedStudy(Study):
    """A study that other searches may work on at the same time.

    Args:
        study: Optuna's.
        space: What may be suggested.
        seed: The study's.
        mutex: Keeps other searches out.
        waiting: Called while another one is in.
        close: Closes the connections to the database.

    Attributes:
        token: This search's name among those of the study.
    """

    shared = True

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        seed: int,
        mutex: Mutex,
        waiting: Waiting,
        close: Callable[[], None],
    ) -> None:
        super().__init__(study, space, seed)
        self.close = close
        self._mutex, self._waiting = mutex, waiting
        self._members = Membership(study)
        self.token = self._members.token
        with notices_off(), storage_errors():
            if place := self._members.announce():
                # Another one has begun with the same random numbers.
                own = trial_seed(seed, 2**20 * (1 + place) + self.num_trials)
                study.sampler = sampler_of(space.sampler, own)
        self.lost: list[int] = []
        self.ended_as = Counter()
        self._configs: dict[int, TrialConfig] = {}
        self._living: dict[str, Any] = {}
        self._running_of: Counter[str] = Counter()
        self._taken: tuple[list[int], list[str]] = ([], [])
        self._ask_at = float("-inf")
        self._last_signs: dict[str, float] | None = None
        self._left = False
        self._rejoined = 0

    @contextmanager
    def held(self, *, shared: bool = True) -> Iterator[None]:
        """Is one of the study's searches while the context lasts."""
        try:
            with storage_errors():
                self._members.join()
            with self._members.beating():
                yield
            self._end()
        except BaseException:
            # Where the storage is gone, others take over when the last sign of life is old.
            with suppress(StorageError):
                self._end()
            raise
        finally:
            self.close()

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Keeps other searches from opening or ending the study while the context lasts."""
        with self._mutex.held(OPENING, self._wait_and_beat):
            yield

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Keeps other searches from asking while the context lasts, and sees what they did."""
        with self._looked():
            before = self.num_own
            yield
        if self.num_own == before:
            self._ask_at = time.monotonic() + POLL_SECONDS

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """Leaves the study at the end of the context; yields whether nobody else works on it."""
        if self._left:
            yield False
            return
        with self.opening():
            try:
                yield not self._look_for_others()
            finally:
                self._end()

    def step_down(self) -> bool:
        """Leaves the study to other searches that work on it; returns whether there are any."""
        with self.opening():
            if self._look_for_others():
                self._end()
        return self._left

    @property
    def about_others(self) -> str:
        """What the user reads about the other searches as this one begins."""
        names = ", ".join(place_of(entry) for entry in self._look_for_others().values())
        return (
            "several searches may work on this study, which then is not repeatable to the digit; "
            + (f"at work: this one and {names}" if names else "at work: this one alone")
        )

    @property
    def may_ask(self) -> bool:
        """Whether it is worth asking; not again at once where there was nothing to ask for."""
        return time.monotonic() >= self._ask_at

    def share(self, count: int, missing: int, least: int) -> int:
        """Returns how many trials this search asks for at once, so that others have work, too.

        All searches together have as many unknown to the sampler as one alone would have.
        """
        searches = 1 + len(self._living)
        part = max(-(-count // searches), least)
        # As much as each one's part is left to a search that is about to come.
        return min(count, part, -(-missing // (searches + 1)))

    def beat(self) -> None:
        """Gives a sign of life now and then, and sees how far the study is.

        Raises:
            PipelineError: Another search has taken this one for dead.
        """
        if self._members.beat(trains=bool(self._asked)):
            with storage_errors():
                self._living, _ = self._members.others()
                self._count(self._study.get_trials(deepcopy=False))

    def taken_over(self) -> tuple[list[int], list[str]]:
        """Returns the trials that were taken over from dead searches since, and from whom."""
        taken, self._taken = self._taken, ([], [])
        return taken

    def came_back(self) -> bool:
        """Whether this search was taken for dead since, had nothing to lose, and joined again."""
        before, self._rejoined = self._rejoined, self._members.rejoined
        return self._rejoined > before

    def check_own(self, numbers: Collection[int]) -> None:
        """Checks that these trials are still this search's.

        Raises:
            PipelineError: Another one took this search for dead and has taken them over.
        """
        with storage_errors():
            trials = self._study.get_trials(deepcopy=False)
        lost = [n for n in numbers if trials[n].state != TrialState.RUNNING]
        if lost:
            self.lost += lost
            raise self._members.taken_over()

    def wait_for_others(self, total: int) -> str:
        """Waits a moment for what others train, or for a sign that they live; returns what for.

        Args:
            total: Trials after which the study is complete.

        Returns:
            Empty where there is nothing to wait for any more.
        """
        if self.num_ended >= total:
            return self._wait_for_signs()
        self._last_signs = None
        time.sleep(max(0.0, min(POLL_SECONDS, self._ask_at - time.monotonic())))
        counts = [
            f"{count} of {place_of(self._living[token])}"
            for token, count in sorted(self._running_of.items())
        ]
        return (
            f"nothing is left to ask for; this search waits for trials that others train: "
            f"{', '.join(counts) or 'none now'}. It takes them over if their search dies"
        )

    def _wait_for_signs(self) -> str:
        """Waits a moment for others that look alive and gave no sign of life since all had ended.

        One of them may have been killed between two trials: nobody would end what is left to it.
        """
        living = self._look_for_others()
        if self._last_signs is None:
            with storage_errors():
                self._members.renew()  # the others may wait for this one's
            self._last_signs = {token: entry["alive_at"] for token, entry in living.items()}
        silent = [
            place_of(entry)
            for token, entry in living.items()
            if entry["alive_at"] == self._last_signs.get(token)
        ]
        if not silent:
            return ""
        time.sleep(POLL_SECONDS)
        return (
            f"every trial has ended; this search waits for a sign of life of {', '.join(silent)}, "
            "to leave the study to it, and ends the study if there comes none"
        )

    @property
    def living(self) -> list[str]:
        """The tokens of the other searches that are alive."""
        return list(self._look_for_others())

    def take_over(self) -> list[str]:
        """Takes over what dead searches left; returns the tokens of those that are alive."""
        with self._looked():
            return list(self._living)

    def agree_on(self, run_id: str | None, address: str) -> None:
        """Checks that other searches that are alive write to the same run of MLflow's.

        Args:
            run_id: The study's run at this search's MLflow; None where it has none.
            address: This search's MLflow.

        Raises:
            InputError: They write to another one.
        """
        with storage_errors():
            theirs = self._study.user_attrs.get(RUN)
            others, _ = self._members.others()
        if theirs not in (None, run_id) and others:
            names = ", ".join(place_of(entry) for entry in others.values())
            raise InputError(
                f"study '{self.name}' is written to run {theirs} of MLflow by {names}, and MLflow "
                f"at {address} has no such run of it: set MLFLOW_TRACKING_URI to the store that "
                "the other searches write to, or give --study NAME to start another study"
            )

    def written_to(self, run_id: str) -> None:
        """Lets other searches know the study's run in MLflow."""
        with storage_errors():
            self._study.set_user_attr(RUN, run_id)

    def ask(self) -> Suggestion:
        """Returns the next trial, which is this search's from now on."""
        with self._still_alive():
            suggestion = super().ask()
            trial, _ = self._asked[suggestion.number]
            with storage_errors():
                trial.set_user_attr(OWNER, self.token)
        return suggestion

    def report(self, number: int, epoch: int, val_ce: float) -> bool:
        """Reports an epoch's ``val_ce``; returns whether to prune the trial (never a reference)."""
        with self._still_alive(number):
            return super().report(number, epoch, val_ce)

    def tell(self, outcome: TrialOutcome, attributes: Mapping[str, Any]) -> None:
        """Tells what came of a trial.

        Raises:
            PipelineError: Another search has taken it over.
        """
        with self._still_alive(outcome.number):
            super().tell(outcome, attributes)
        if self.ended_as is not None:
            self.ended_as[outcome.state] += 1

    def resume(self, *, references: bool) -> None:
        """Takes over what dead searches left, and enqueues the references, once."""
        with self._looked() as trials, storage_errors():
            self.stale = tuple(self._study.user_attrs.get("stale", ()))
            if references:
                self._enqueue_references({trial.user_attrs.get("name") for trial in trials})

    def train_again(self, numbers: Collection[int]) -> None:
        """Has trials trained again that ended, because what came of them is lost."""
        with self._looked() as trials, storage_errors():
            stale = self._close([trials[number] for number in numbers])
            self._enqueue_again([trials[number] for number in stale], trials)

    def return_unfinished(self) -> None:
        """Closes this search's trials that did not end, and enqueues them for the others."""
        with self._looked() as trials, storage_errors():
            own = [trial for trial in trials if self._owner(trial) == self.token]
            stale = self._close(own)
            self._enqueue_again([trials[number] for number in stale], trials)
        self._asked.clear()

    @contextmanager
    def _looked(self) -> Iterator[list[FrozenTrial]]:
        """Keeps other searches from asking; yields all trials after what is dead was taken over."""
        with self._mutex.held(TRIALS, self._wait_and_beat):
            self._members.check(trains=bool(self._asked))
            with notices_off(), storage_errors():
                trials = self._taken_over_from_dead()
                self._count(trials)
                self._configs |= {
                    trial.number: config
                    for trial in trials
                    if trial.number not in self._configs
                    and (config := self._config_of(trial)) is not None
                }
            self._tried.update(self._configs.values())
            self._may_wait = True
            yield trials

    def _taken_over_from_dead(self) -> list[FrozenTrial]:
        """Closes what dead searches left running, enqueues it again; returns all trials then.

        Whatever dies in between, the next one to look finds what is left to do: a trial that runs
        and is nobody's is closed, one that was closed and is not enqueued again is enqueued.
        """
        self._living, dead = self._members.others()
        trials = self._study.get_trials(deepcopy=False)
        known = {self.token, *self._living}
        # All ask under this lock: a trial that carries no token was cut short as it was asked for.
        orphans = [
            t for t in trials if (owner := self._owner(t)) is not None and owner not in known
        ]
        stale = self._close(orphans)
        self._enqueue_again([trials[number] for number in stale], trials)
        self._members.bury(dead)
        self._taken[0].extend(trial.number for trial in orphans)
        self._taken[1].extend(place_of(entry) for entry in dead.values())
        return self._study.get_trials(deepcopy=False)

    @staticmethod
    def _owner(trial: FrozenTrial) -> str | None:
        """Returns the token that a running trial carries, empty for none; None for any other."""
        if trial.state != TrialState.RUNNING:
            return None
        return str(trial.user_attrs.get(OWNER, ""))

    def _count(self, trials: list[FrozenTrial]) -> None:
        """Counts what ended and what runs elsewhere."""
        stale = frozenset(self._study.user_attrs.get("stale", ()))
        ended = [trial for trial in trials if is_end(trial) and trial.number not in stale]
        self.num_ended = len(ended)
        self.ended_as = Counter(trial.state.name for trial in ended)
        owners = [owner for trial in trials if (owner := self._owner(trial)) is not None]
        self._running_of = Counter(owner for owner in owners if owner in self._living)
        self.num_elsewhere = self._running_of.total()

    @contextmanager
    def _still_alive(self, number: int | None = None) -> Iterator[None]:
        """Turns what Optuna raises of a trial that was closed meanwhile into its reason."""
        try:
            yield
        except optuna.exceptions.UpdateFinishedTrialError:
            pass
        except ValueError as error:
            # Optuna has no error of its own for it.
            if not str(error).startswith("Cannot tell a"):
                raise
        else:
            return
        if number is not None:
            self.lost.append(number)
        raise self._members.taken_over()

    def _look_for_others(self) -> dict[str, Any]:
        with storage_errors():
            return self._members.others()[0]

    def _wait_and_beat(self, seconds: float) -> None:
        self._waiting(seconds)
        if not self._left:
            self._members.beat(trains=bool(self._asked))

    def _end(self) -> None:
        if not self._left:
            self._left = True
            with storage_errors():
                self._members.end()
