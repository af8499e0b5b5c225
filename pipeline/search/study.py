"""Asks Optuna's study for trials and tells it what came of them; it is the one door to Optuna.

In: a search space and a storage. Out: :class:`Suggestion`s, and whether to prune. Sampler and
pruner are those that the space names (``search.samplers``, ``search.space.sequences``). What is
different where several searches share a study is in ``shared_study``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from pipeline.errors import StudyChangedError
from pipeline.library_messages import are_shown
from pipeline.records import TrialConfig, TrialOutcome
from pipeline.search.alone import Alone
from pipeline.search.heartbeat import Heartbeat, held
from pipeline.search.samplers import pruner_of, sampler_of
from pipeline.search.space.points import config_of, untried
from pipeline.search.space.sequences import SEQUENCES
from pipeline.search.space.space import SearchSpace, changes
from pipeline.search.storage import DEFAULT_STORAGE, Note, notices_off, open_storage, storage_errors
from pipeline.training.own import registry
from pipeline.training.own.registry import KEY as OWN
from pipeline.training.own.registry import MODULES

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
KEPT = ("validation_per_epoch",)
"""Keys of a definition that a study keeps from its beginning."""
REPEATS = "repeats"
"""User attribute of a trial in Optuna that was closed, because its point had been tried."""


@dataclass(frozen=True)
class Suggestion:
    """A trial that Optuna wants trained.

    Attributes:
        number: Optuna's number of it.
        config: Its hyperparameters.
        seed: Its own seed, for initial weights and dropout masks.
        name: Name of the reference configuration; None for a searched trial.
    """

    number: int
    config: TrialConfig
    seed: int
    name: str | None


class Study(Alone):
    """A study in a storage; made by :func:`open_study`.

    Attributes:
        name: The study's name.
        stale: Numbers of trials that killed searches left running; closed and enqueued again.
        num_ended: Trials that ended, in whatever state, and count towards the total.
    """

    def __init__(self, study: optuna.Study, space: SearchSpace, seed: int) -> None:
        self.name = study.study_name
        self.stale: tuple[int, ...] = ()
        self.num_ended = 0
        self._study, self._space, self._seed = study, space, seed
        self._references = {entry.name: entry.config for entry in space.references}
        self._asked: dict[int, tuple[optuna.Trial, Suggestion]] = {}
        self._tried: set[TrialConfig] = set()
        self._heartbeat: Heartbeat | None = None
        self._may_wait = True
        listed = SEQUENCES.get(space.sampler)
        self._points = listed(space, trial_seed(seed, 2**20)) if listed else None

    @contextmanager
    def held(self, *, shared: bool) -> Iterator[None]:
        """Keeps the study to this process, on whatever machine others are, while it lasts.

        Args:
            shared: Whether other machines may have the storage.

        Raises:
            InputError: Another search has it.
        """
        with held(self._study, shared=shared) as self._heartbeat:
            yield

    def beat(self) -> None:
        """Gives other machines a sign of life now and then.

        Raises:
            PipelineError: Another search has the study by now.
        """
        if self._heartbeat is not None:
            self._heartbeat.beat()

    def resume(self, *, references: bool) -> None:
        """Closes what a killed search left running, enqueues it again, and the references first.

        Args:
            references: Whether reference configurations that were never asked for are enqueued.
        """
        with storage_errors():
            self._resume(references)

    def _resume(self, references: bool) -> None:
        self._may_wait = True
        trials = self._study.get_trials(deepcopy=False)
        all_stale = self._close(_running(trials))
        # Those of earlier commands, too: tracking may not have heard of them before the next kill.
        self.stale = tuple(all_stale)
        self._enqueue_again([trials[number] for number in all_stale], trials)
        if references:
            self._enqueue_references({trial.user_attrs.get("name") for trial in trials})
        self.num_ended = sum(is_end(t) and t.number not in all_stale for t in trials)
        self._tried = {config for config in map(self._config_of, trials) if config is not None}

    def return_unfinished(self) -> None:
        """Closes trials that did not end; they are enqueued when the study continues."""
        with storage_errors():
            self._close(_running(self._study.get_trials(deepcopy=False)))
        self._asked.clear()

    def _close(self, running: Iterable[optuna.trial.FrozenTrial]) -> list[int]:
        """Closes trials that are running; returns the numbers of all that were ever closed so."""
        numbers = [trial.number for trial in running]
        all_stale = sorted({*self._study.user_attrs.get("stale", ()), *numbers})
        # Written down before anything is closed: a kill between two of these steps loses nothing.
        if numbers:
            self._study.set_user_attr("stale", all_stale)
        for number in numbers:
            # One whose search tells it just now stays written down: it is trained again and counts
            # once.
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        return all_stale

    def _enqueue_again(
        self, stale: list[optuna.trial.FrozenTrial], trials: list[optuna.trial.FrozenTrial]
    ) -> None:
        retried = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in stale:
            if trial.number not in retried and not trial.user_attrs.get(REPEATS):
                kept = {key: trial.user_attrs.get(key) for key in ("name", "seed")}
                attributes = {key: value for key, value in kept.items() if value is not None}
                attributes["retry_of"] = trial.number
                # One that was killed while it was asked for has no seed and not all its values yet.
                attributes.setdefault("seed", trial_seed(self._seed, trial.number))
                reference = self._references.get(kept["name"] or "")
                params = trial.params if reference is None else self._values_of(reference)
                self._study.enqueue_trial(params, user_attrs=attributes)

    def _enqueue_references(self, known: set[str | None]) -> None:
        for entry in self._space.references:
            if entry.name not in known:
                values = self._values_of(entry.config)
                self._study.enqueue_trial(values, user_attrs={"name": entry.name})

    def _values_of(self, reference: TrialConfig) -> dict[str, Any]:
        """Returns what a reference suggests: nothing where it is outside the space."""
        return self._space.parameters_of(reference) or {}

    def ask(self) -> Suggestion:
        """Returns the next trial: an enqueued one, else the sampler's suggestion."""
        with notices_off(), storage_errors():
            trial = self._next_trial()
            name, config = trial.user_attrs.get("name"), self._suggested(trial)
            if config in self._tried and trial.user_attrs.keys().isdisjoint(("name", "retry_of")):
                trial, config = self._untried(trial, config)
            self._tried.add(config)
            seed = trial.user_attrs.get("seed")
            if seed is None:
                seed = trial_seed(self._seed, trial.number)
                trial.set_user_attr("seed", seed)
        suggestion = Suggestion(trial.number, config, int(seed), name)
        self._asked[trial.number] = (trial, suggestion)
        return suggestion

    def _next_trial(self) -> optuna.Trial:
        """Returns Optuna's next trial: an enqueued one, the next of a list of points, or a new."""
        if self._points is not None and not self._is_waiting():
            point = next((config for config in self._points if config not in self._tried), None)
            if point is not None:
                self._study.enqueue_trial(self._values_of(point))
        return self._study.ask()

    def _is_waiting(self) -> bool:
        """Whether a trial is enqueued; once none is, only this object enqueues one, and asks."""
        if self._may_wait:
            waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            self._may_wait = bool(waiting)
        return self._may_wait

    def _suggested(self, trial: optuna.Trial) -> TrialConfig:
        reference = self._references.get(trial.user_attrs.get("name") or "")
        # A reference outside the space suggests nothing: its values would mislead the sampler.
        if reference is not None and self._space.parameters_of(reference) is None:
            return reference
        return self._space.suggest(trial)

    def _untried(
        self, trial: optuna.Trial, config: TrialConfig
    ) -> tuple[optuna.Trial, TrialConfig]:
        """Returns another trial with a point that was not tried, drawn at random.

        The one that repeats a point is closed and counts for nothing; it stays where there is no
        other point.
        """
        generator = np.random.default_rng(trial_seed(self._seed, trial.number))
        drawn = untried(self._space, self._tried, generator)
        if drawn is None:
            return trial, config
        trial.set_user_attr(REPEATS, True)
        self._study.tell(trial, state=TrialState.FAIL)
        self._study.enqueue_trial(self._values_of(drawn))
        trial = self._study.ask()
        return trial, self._space.suggest(trial)

    def _config_of(self, trial: optuna.trial.FrozenTrial) -> TrialConfig | None:
        """Returns what an earlier trial was asked for; None where it was cut short."""
        reference = self._references.get(trial.user_attrs.get("name") or "")
        return reference or config_of(self._space, trial.params)

    def report(self, number: int, epoch: int, val_ce: float) -> bool:
        """Reports an epoch's ``val_ce``; returns whether to prune the trial (never a reference)."""
        trial, suggestion = self._asked[number]
        if not math.isfinite(val_ce):
            return False
        with storage_errors():
            trial.report(val_ce, step=epoch - 1)
            return suggestion.name is None and trial.should_prune()

    def tell(self, outcome: TrialOutcome, attributes: Mapping[str, Any]) -> None:
        """Tells what came of a trial: its objective, or that it was pruned or failed.

        Args:
            outcome: What came of it.
            attributes: Shown with the trial in Optuna's dashboard.
        """
        trial, _ = self._asked.pop(outcome.number)
        measurement = outcome.measurement
        with storage_errors():
            for key, value in attributes.items():
                trial.set_user_attr(key, value)
            if outcome.state == "COMPLETE" and measurement is not None:
                self._study.tell(trial, measurement.objective)
            else:
                state = TrialState.PRUNED if outcome.state == "PRUNED" else TrialState.FAIL
                self._study.tell(trial, state=state)
        self.num_ended += 1

    def as_begun(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a definition as the study was begun, maybe by another version."""
        return as_begun(self._study.user_attrs["definition"], definition)

    @property
    def ended(self) -> tuple[int, ...]:
        """Numbers of the trials that came to their end, killed ones left out; MLflow has them."""
        stale = self._study.user_attrs.get("stale", ())
        trials = self._study.get_trials(deepcopy=False)
        return tuple(t.number for t in trials if is_end(t) and t.number not in stale)

    @property
    def closed(self) -> tuple[int, ...]:
        """Numbers of all trials that were ever closed because their search did not end them."""
        with storage_errors():
            return tuple(self._study.user_attrs.get("stale", ()))

    @property
    def in_training(self) -> tuple[int, ...]:
        """Numbers of the trials that were asked for and did not end, whoever trains them."""
        with storage_errors():
            return tuple(t.number for t in _running(self._study.get_trials(deepcopy=False)))

    @property
    def num_trials(self) -> int:
        """Trials in the storage, whatever their state."""
        return len(self._study.get_trials(deepcopy=False))

    @property
    def num_running(self) -> int:
        """Trials asked for that did not end, whoever trains them."""
        return len(self._asked) + self.num_elsewhere

    @property
    def num_own(self) -> int:
        """Trials that this search asked for and that did not end."""
        return len(self._asked)


def open_study(
    storage: Any,
    name: str,
    space: SearchSpace,
    definition: Mapping[str, Any],
    seed: int,
    note: Note = lambda line: None,
    make: Callable[[optuna.Study, SearchSpace, int], Study] = Study,
) -> Study:
    """Returns a study, created if it is not there.

    Args:
        storage: A database's URL, or the path of a journal file; None for ``studies.journal``. Or
            a storage of Optuna's that is open.
        name: The study's name.
        space: What it may suggest.
        definition: What makes its trials comparable; an existing study's must be equal.
        seed: Seed of the sampler and of the trials' seeds.
        note: Shows the user what had to be mended.
        make: Makes it of Optuna's.

    Raises:
        StudyChangedError: The study exists with another definition; the message says what changed.
        InputError: The storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.INFO if are_shown() else optuna.logging.ERROR)
    storage = storage or DEFAULT_STORAGE
    opened = open_storage(storage, note) if isinstance(storage, str) else storage
    with notices_off(), storage_errors():
        study = optuna.create_study(
            storage=opened,
            study_name=name,
            direction="minimize",
            load_if_exists=True,
            pruner=pruner_of(space.pruner),
        )
        # A resumed search must not repeat the random numbers of the one before.
        num_trials = len(study.get_trials(deepcopy=False))
        study.sampler = sampler_of(space.sampler, trial_seed(seed, 2**20 + num_trials))
    old = study.user_attrs.get("definition")
    if old is None:
        study.set_user_attr("definition", dict(definition))
    elif file := registry.changed_between(old, definition):
        raise StudyChangedError(f"study '{name}': {registry.changed(file)}")
    elif changed := changes(old, as_begun(old, definition)):
        raise StudyChangedError(
            f"study '{name}' exists with another definition ({'; '.join(changed)}): its trials "
            "would not be comparable. Use --study NAME to start another study, or the earlier "
            "settings to continue this one"
        )
    if old is not None and unwatched(old, definition):
        note(
            f"study '{name}' was begun with a version that did not remember what its file imports "
            f"from its folder: a change of {', '.join(definition[OWN][MODULES])} goes unnoticed"
        )
    return make(study, space, seed)


def unwatched(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the user's model file imports modules that a study does not remember."""
    return MODULES in new.get(OWN, {}) and MODULES not in old.get(OWN, {})


def as_begun(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a definition with what a study keeps from its beginning, whatever the version.

    How many validation examples are scored after each epoch follows from the data and the version;
    trials of one study must not differ in it.
    """
    kept = {key: value for key, value in old.items() if key in KEPT}
    begun = {key: value for key, value in new.items() if key not in KEPT} | kept
    return registry.without_modules(old, begun) if OWN in new else begun


def is_end(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial ended and counts; one that would have repeated a point does not."""
    return trial.state in _ENDED and not trial.user_attrs.get(REPEATS)


def _running(trials: Iterable[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in trials if trial.state == TrialState.RUNNING]


def trial_seed(seed: int, number: int) -> int:
    """Returns a trial's own seed, 32 bits, from the study's seed and the trial's number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
