"""The child runs of a parent: made where they are missing, told what entries say.

In: :class:`Entry`s, in order. Out: runs in MLflow. Calls to the store are few (on SQLite one costs
10 to 30 ms): a trial's end is its files, one batch and one status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.errors import TrackingError
from pipeline.tracking import artifacts
from pipeline.tracking.batches import send
from pipeline.tracking.client import is_lasting, refusals
from pipeline.tracking.delivery.message import Entry, Head
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.queries import CONTINUED_TAG, PARENT_TAG, TRIAL_ROLE, children_of


@dataclass(frozen=True)
class Child:
    """What is remembered of a child run.

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


def deliver_waiting(client: MlflowClient, outbox: Outbox) -> int:
    """Delivers what is left in an outbox to whichever parents it belongs; returns how many.

    Raises:
        TrackingError: The store refuses; what was not delivered stays.
    """
    runs: dict[str, ChildRuns] = {}
    waiting = outbox.waiting()
    for path in waiting:
        entry, parent_id = outbox.read(path)
        try:
            if parent_id not in runs:
                with refusals(client.tracking_uri, entry.action):
                    parent = _successor(client, parent_id)
                    runs[parent_id] = ChildRuns(client, parent, children_of(client, [parent]))
            runs[parent_id].deliver(entry)
        except TrackingError as error:
            raise _with_its_file(error, path) from error.__cause__
        outbox.remove(path)
    outbox.close()
    return len(waiting)


def _successor(client: MlflowClient, run_id: str) -> Run:
    """Returns the parent run that has taken over the children of this one, or itself."""
    run = client.get_run(run_id)
    # One that was taken over may have become the parent again: its role says so.
    while run.data.tags.get("role") == "continued":
        run = client.get_run(run.data.tags[CONTINUED_TAG])
    return run


def _with_its_file(error: TrackingError, path: Path) -> TrackingError:
    """Returns a refusal that will last with where the entry is and how to give it up."""
    if not is_lasting(error):
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
        client: MlflowClient,
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

    def deliver(self, entry: Entry) -> None:
        """Tells a child run what an entry says; may be repeated after an interruption.

        Raises:
            TrackingError: The store refused, or could not be reached.
        """
        with refusals(self._client.tracking_uri, entry.action):
            new = entry.number not in self._known and not self._found(entry.number)
            if new and entry.head is None and entry.status == "FAILED":
                return  # Closing a run that somebody has deleted.
            child = self._made(entry) if new else self._known[entry.number]
            params = entry.head.params if entry.head and not child.described else {}
            uri = self._client.tracking_uri
            if entry.files:
                artifacts.write(child.artifact_uri, uri, entry.files)
            for name in entry.dropped:
                artifacts.delete(child.artifact_uri, uri, name)
            send(self._client, child.run_id, entry.points, entry.tags, params)
            if params:
                self._known[entry.number] = replace(child, described=True)
            if entry.ended is not None:
                self._client.set_terminated(child.run_id, entry.status, entry.ended)
            elif entry.status is not None and not new:
                self._client.update_run(child.run_id, status=entry.status)

    def _found(self, number: int) -> bool:
        """Whether the store has a run of which this process does not know: a lost answer's."""
        if self._in_doubt and self.role == TRIAL_ROLE:
            found = children_of(self._client, [self._parent])
            self._known |= {n: Child.of(run) for n, run in found.items() if n not in self._known}
        self._in_doubt = False
        return number in self._known

    def _made(self, entry: Entry) -> Child:
        head = entry.head
        if head is None:
            raise TrackingError(
                f"could not {entry.action}: it has no run; call trial_started first"
            )
        self._in_doubt = True
        run = self._created(head)
        self._in_doubt = False
        self._known[entry.number] = Child.of(run)
        return self._known[entry.number]

    def _created(self, head: Head) -> Run:
        return self._client.create_run(
            self._parent.info.experiment_id,
            start_time=head.started,
            tags={**head.tags, PARENT_TAG: self._parent.info.run_id},
            run_name=head.run_name,
        )
