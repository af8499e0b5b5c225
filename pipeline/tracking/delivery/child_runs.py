"""Delivers messages to the child runs of a parent, which it makes where they are missing.

In: :class:`Message`s, in order. Out: runs in MLflow. Calls to the store are few (on SQLite one
costs 10 to 30 ms): a trial's end is its files, one batch and one status.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow.entities import Run

from pipeline.errors import TrackingError
from pipeline.tracking.client import Client, is_permanent
from pipeline.tracking.delivery.message import Message, NewRun, Parcel, Point
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.queries import CONTINUED_TAG, PARENT_TAG, TRIAL_ROLE, children_of


@dataclass(frozen=True)
class Child:
    """A child run that MLflow has, as far as it is remembered.

    Attributes:
        run_id: MLflow's id.
        artifact_uri: Where its files are.
        described: Whether its params were written.
    """

    run_id: str
    artifact_uri: str
    described: bool

    @classmethod
    def of(cls, run: Run) -> Child:
        """Returns what is remembered of a run that was read."""
        return cls(run.info.run_id, run.info.artifact_uri, bool(run.data.params))


@dataclass
class WrittenRun:
    """What was written to a child run, delivered or not.

    Attributes:
        status: MLflow's, as it is or will be.
        has_weights: Whether its weights are kept.
        new_run: What the run is made of; None for one of an earlier process.
        retry_tags: Tags that replace those of an earlier attempt.
        epochs: Points of epochs that were not sent yet.
        sent: Points that were, and may not be delivered yet.
        sent_at: When the last ones were.
    """

    status: str = "RUNNING"
    has_weights: bool = False
    new_run: NewRun | None = None
    retry_tags: Mapping[str, str] = field(default_factory=dict)
    epochs: list[Point] = field(default_factory=list)
    sent: list[Parcel] = field(default_factory=list)
    sent_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, run: Run) -> WrittenRun:
        """Returns what an earlier process wrote to a run that was read."""
        return cls(run.info.status, run.data.tags.get("weights") == "kept")

    def undelivered(self) -> list[Point]:
        """Returns the points that the store may lack; the message with the end repeats them."""
        waiting = [parcel for parcel in self.sent if not parcel.delivered]
        sent = [point for parcel in waiting if parcel.message for point in parcel.message.points]
        return [*sent, *self.epochs]


def deliver_waiting(client: Client, folder: Path) -> int:
    """Delivers what an earlier search had to leave in an outbox; returns how many messages.

    Raises:
        TrackingError: The store does not take them; what was not delivered stays.
    """
    outbox = Outbox(folder)
    runs: dict[str, ChildRuns] = {}
    waiting = outbox.waiting()
    for path in waiting:
        message, parent_id = outbox.read(path)
        try:
            if parent_id not in runs:
                runs[parent_id] = _runs_below(client.doing(message.action), parent_id)
            runs[parent_id].deliver(message)
        except TrackingError as error:
            raise _with_its_file(error, path) from error.__cause__
        outbox.remove(path)
    outbox.close()
    return len(waiting)


def _runs_below(client: Client, parent_id: str) -> ChildRuns:
    """Returns the child runs of a parent, or of the run that was made the parent in its place."""
    parent = client.get_run(parent_id)
    # A replaced one may have become the parent again: its role says so.
    while parent.data.tags.get("role") == "continued":
        parent = client.get_run(parent.data.tags[CONTINUED_TAG])
    return ChildRuns(client, parent, children_of(client, [parent]))


def _with_its_file(error: TrackingError, path: Path) -> TrackingError:
    """Returns an error that will not pass with where the message is and how to give it up."""
    if not is_permanent(error):
        return error
    return TrackingError(
        f"{error}; it waits in {path}: bring the run back, or remove that file to give up what it "
        "holds"
    )


class ChildRuns:
    """The child runs of one parent, by trial number.

    Args:
        client: Of the store.
        parent: The parent run.
        children: Those that are there.
        role: Their tag ``role``.
    """

    def __init__(
        self,
        client: Client,
        parent: Run,
        children: Mapping[int, Run],
        role: str = TRIAL_ROLE,
    ) -> None:
        self.role = role
        self._client, self._parent = client, parent
        self._known = {number: Child.of(run) for number, run in children.items()}
        self._in_doubt = False

    def run_id(self, number: int) -> str | None:
        """Returns the run of a trial; None where there is none (yet)."""
        child = self._known.get(number)
        return None if child is None else child.run_id

    def deliver(self, message: Message) -> None:
        """Logs a message on its child run; may be repeated after an interruption.

        Raises:
            TrackingError: The store refused, or could not be reached.
        """
        client, number = self._client.doing(message.action), message.number
        new = number not in self._known and not self._found(client, message)
        if new and message.new_run is None and message.status == "FAILED":
            return  # Closing a run that somebody has deleted.
        child = self._made(client, message) if new else self._known[number]
        params = message.new_run.params if message.new_run and not child.described else {}
        if message.files:
            client.write_artifacts(child.artifact_uri, message.files)
        for name in message.dropped:
            client.delete_artifact(child.artifact_uri, name)
        client.log_in_batches(child.run_id, message.points, message.tags, params)
        if params:
            self._known[number] = replace(child, described=True)
        if message.ended is not None:
            client.set_terminated(child.run_id, message.status, message.ended)
        elif message.status is not None and not new:
            client.update_run(child.run_id, status=message.status)

    def know(self, runs: Mapping[int, Run]) -> None:
        """Takes runs that the store has, by trial number."""
        self._known |= {n: Child.of(run) for n, run in runs.items() if n not in self._known}

    def _found(self, client: Client, message: Message) -> bool:
        """Whether the store has a run of which this process does not know.

        It is one whose making's answer was lost, or another process made it.
        """
        if self.role == TRIAL_ROLE and self._in_doubt:
            self.know(children_of(client, [self._parent]))
        elif self.role == TRIAL_ROLE and message.new_run is None:
            self.know(children_of(client, [self._parent], message.number))
        self._in_doubt = False
        return message.number in self._known

    def _made(self, client: Client, message: Message) -> Child:
        """Makes the run that a message begins."""
        if message.new_run is None:
            raise TrackingError(
                f"could not {message.action}: it has no run; call trial_started first"
            )
        # Until the answer is there, the store may have made the run all the same.
        self._in_doubt = True
        run = self._created(client, message.new_run)
        self._in_doubt = False
        self._known[message.number] = Child.of(run)
        return self._known[message.number]

    def _created(self, client: Client, new: NewRun) -> Run:
        return client.create_run(
            self._parent.info.experiment_id,
            start_time=new.started,
            tags={**new.tags, PARENT_TAG: self._parent.info.run_id},
            run_name=new.run_name,
        )
