"""Ends a search in MLflow: everything delivered, every trial's verdict, the study's run closed.

In: a search that trains nothing more. Out: the study as MLflow has it. Where several searches share
the study, each delivers what it trained and leaves; the last one says the verdicts of all trials,
drops the weights that nobody needs, and closes the study's run. It does not where a dead search
left results on its machine: they come when a search starts there, or are trained again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError, StoppedError, TrackingError
from pipeline.records import StudyRecord
from pipeline.search.interrupts import was_broken_off
from pipeline.search.leaderboard import Leaderboard
from pipeline.selection.records import Verdict
from pipeline.tracking.delivery.message import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pipeline.search.storage import Note
    from pipeline.search.study import Study
    from pipeline.search.supervisor import Supervisor
    from pipeline.tracking import StudyRun, Tracking

DELIVERY_SECONDS = 5.0
"""How long a search that was stopped waits for an MLflow that is away."""


def deliver(run: StudyRun, supervisor: Supervisor) -> None:
    """Waits until MLflow has everything that ended."""
    try:
        run.drain()
    except TrackingError as error:
        if supervisor.interrupted:
            raise StoppedError(f"stopped, and {error}") from error
        raise


def end_search(
    store: Tracking, study: Study, run: StudyRun, supervisor: Supervisor, trained: StudyRecord
) -> StudyRecord:
    """Tags every trial with its verdict, unless other searches go on; returns the whole study.

    Args:
        store: MLflow's store.
        study: Optuna's side.
        run: MLflow's side, which has everything that this search trained.
        supervisor: What searched.
        trained: The study as the supervisor saw it.
    """
    if not study.shared:
        _set_verdicts(store, trained, supervisor.verdicts)
        return trained
    # What a search that comes now trains is not what a dead one left.
    with study.opening():
        if study.step_down():
            return store.read_study(study=study.name)
        _close_left_behind(study, run, supervisor.view.warn)
    return _end_whole(store, study, run)


def _close_left_behind(study: Study, run: StudyRun, warn: Note) -> None:
    """Closes in MLflow what dead searches left, but for what they have not delivered."""
    run.take_whole()
    run.close_stale(study.closed)
    run.missing = undelivered(study, run)
    kept = {*run.missing, *study.in_training}
    run.close_stale(number for number in run.running if number not in kept)
    if run.missing:
        warn(
            f"{len(run.missing)} trials ended whose results a search that died has not delivered: "
            "the study's run stays open. The same command on that search's machine delivers them; "
            "on another one, if no search is at work, it trains them again"
        )


def _end_whole(store: Tracking, study: Study, run: StudyRun) -> StudyRecord:
    """Does for a shared study what needs all of its trials; no other search worked on it."""
    closed = study.closed
    run.drain()
    record = store.read_study(study=study.name)
    leaderboard = Leaderboard(record, closed)
    for number in run.kept_weights():
        if not leaderboard.needs_weights(number):
            run.drop_weights(number)
    run.drain()
    study.beat()
    _set_verdicts(store, record, leaderboard.verdicts())
    return record


def undelivered(study: Study, run: StudyRun) -> tuple[int, ...]:
    """Returns the trials that ended for Optuna and not for MLflow, which may not know them at all.

    Where no search is at work, their results are on the machine of one that died.
    """
    return run.lacks(study.ended)


def _set_verdicts(store: Tracking, record: StudyRecord, verdicts: Mapping[int, Verdict]) -> None:
    names = {number: verdict.name for number, verdict in verdicts.items()}
    because = {number: verdict.because for number, verdict in verdicts.items()}
    store.set_verdicts(record, names, because)


@contextmanager
def run_closed(run: StudyRun, study: Study) -> Iterator[None]:
    """Closes the study's run, however the search ends; what stopped it matters more than this.

    While other searches work on the study, its run stays open.
    """
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | StoppedError) or was_broken_off()
        # Where the storage is gone, nobody knows whether others work on a shared study; and another
        # search may have taken this one for dead.
        with suppress(PipelineError):
            run.close_stale(cause="the search stopped while it ran")
            run.close_stale(study.lost)
            _leave(run, study, "KILLED" if stopped else "FAILED", DELIVERY_SECONDS)
        raise
    _leave(run, study, "FINISHED", PATIENCE_SECONDS)


def _leave(run: StudyRun, study: Study, status: str, patience: float) -> None:
    """Delivers what is left, and closes the study's run if nobody else works on the study."""
    with study.leaving() as last:
        if last:
            run.study_finished(status, patience)
        else:
            run.send_rest(patience)
