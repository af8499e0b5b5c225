"""Writes a study while it is trained: its parent run, and a child run per trial or finalist.

In: trial numbers, TrialConfigs, epochs' curves, TrialOutcomes. Out: messages to the child runs; no
run is ever "active", so workers cannot take one over. They are delivered at once, or, after
:meth:`StudyRun.in_background`, by a thread that survives a store that is away (``sender``). One
object per study and process, used from one thread.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from pipeline.errors import TrackingError
from pipeline.records import ChanceLevel, TrialConfig, TrialOutcome
from pipeline.tracking.client import Client, request_limits
from pipeline.tracking.codec import (
    PROBABILITIES_FILE,
    PROBABILITIES_TAG,
    RESULTS_FILE,
    RESULTS_TAG,
    WEIGHTS_FILE,
    chance_tags,
    config_params,
    epoch_metrics,
    outcome_files,
    outcome_tags,
    summary_metrics,
)
from pipeline.tracking.deleted import numbers_of_deleted_trials
from pipeline.tracking.delivery.child_runs import ChildRuns, WrittenRun
from pipeline.tracking.delivery.message import (
    PATIENCE_SECONDS,
    Channel,
    Message,
    NewRun,
    now,
    points,
)
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.delivery.sender import ANSWER_SECONDS, Background, Direct, Say
from pipeline.tracking.parent_run import StudyDescription, dataset_input, open_parent
from pipeline.tracking.queries import PARENT_TAG, TRIAL_ROLE, children_of

_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
FLUSH_SECONDS = 30.0
"""Epochs of a running trial are gathered for this long before they are sent."""
AT_ONCE_SECONDS = 2.0
"""The ids of new runs are waited for this long, to show them to the user."""


def open_study(
    client: Client,
    study: str,
    dataset: str,
    definition: Mapping[str, Any],
    tags: Mapping[str, str],
    params: Mapping[str, str] | None = None,
    *,
    shared: bool = False,
) -> StudyRun:
    """Returns the study's parent run, RUNNING: continued, or a new one.

    See ``StudyDescription`` and :class:`StudyRun` for the arguments.
    """
    description = StudyDescription(study, dataset, definition, tags, params or {})
    opened = open_parent(client.doing(f"open study '{study}'"), description)
    return StudyRun(client, *opened, shared=shared)


class StudyRun:
    """A study's parent run, open for writing.

    Args:
        client: Of the store.
        parent: The parent run.
        children: Its child runs, by trial number.
        role: Their tag ``role``.
        shared: Whether other processes write child runs of it, too; those are left alone.

    Attributes:
        run_id: The parent run.
        study: The study's name.
        dataset: Its dataset's name.
        split_id: Hash of the split, a tag of every trial; empty until :meth:`log_dataset`.
        next_cohort: The first number that no earlier cohort of the study has.
        missing: Trials whose results another machine has yet to deliver; while there are any, the
            parent run is not ended.
    """

    def __init__(
        self,
        client: Client,
        parent: Run,
        children: Mapping[int, Run],
        role: str = TRIAL_ROLE,
        *,
        shared: bool = False,
    ) -> None:
        self.run_id: str = parent.info.run_id
        self.study: str = parent.data.tags["study"]
        self.dataset: str = parent.data.tags["dataset"]
        self.split_id: str = parent.data.tags.get("split_id", "")
        self._client = client
        self._parent = parent
        self._runs = ChildRuns(client, parent, children, role)
        self._channel: Channel = Direct(self._runs.deliver)
        self._own: set[int] | None = set() if shared else None
        self._whole = False
        self.missing: tuple[int, ...] = ()
        self._take(children)
        cohorts = [int(run.data.tags.get("cohort", -1)) for run in children.values()]
        self.next_cohort = 1 + max(cohorts, default=-1)

    def _take(self, children: Mapping[int, Run]) -> None:
        self._written = {number: WrittenRun.of(run) for number, run in children.items()}
        self._kept = {number for number, written in self._written.items() if written.has_weights}

    def take_whole(self) -> None:
        """Reads the runs of every other process, whose weights may be dropped from now on."""
        self.drain()
        children = children_of(self._client.doing("read the study's runs"), [self._parent])
        self._runs.know(children)
        self._take(children)
        self._whole = True

    @contextmanager
    def in_background(self, folder: Path, say: Say) -> Iterator[None]:
        """Delivers from another thread while the context lasts; see ``sender``.

        Args:
            folder: Where what is not delivered waits.
            say: Tells the user when the store stops answering, and when it answers again.
        """
        deliver, at_once = self._runs.deliver, self._channel
        channel = Background(deliver, Outbox(folder), self.run_id, self._client.address, say)
        self._channel = channel
        try:
            yield
        finally:
            channel.close()
            self._channel = at_once

    def drain(self, patience: float = PATIENCE_SECONDS) -> None:
        """Returns when MLflow has everything that was written.

        Args:
            patience: Seconds that a store may be away.

        Raises:
            TrackingError: It does not answer; what ended waits on disk.
        """
        self._channel.drain(patience)

    def log_dataset(
        self,
        split_id: str,
        chance: ChanceLevel,
        source: str = "",
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Logs the dataset as the parent's input, its split and the chance level on it.

        Args:
            split_id: Hash of the split; its beginning (36 characters) is the input's digest.
            chance: What a model without skill reaches.
            source: File or address the data came from; for the reader.
            sizes: Part -> number of examples; for the reader.
        """
        data = dataset_input(self.dataset, split_id, source, sizes or {})
        client = self._client.doing("log the dataset")
        client.log_inputs(self.run_id, datasets=[data])
        tags = {"split_id": split_id} | chance_tags(chance)
        client.log_in_batches(self.run_id, tags=tags)
        self.split_id = split_id

    def log_files(self, files: Mapping[str, str | bytes]) -> None:
        """Writes files of the parent run, such as the resolved ``search_space.yaml``."""
        client = self._client.doing(f"keep {', '.join(files)}")
        client.write_artifacts(self._parent.info.artifact_uri, files)

    def study_finished(self, status: str = "FINISHED", patience: float = PATIENCE_SECONDS) -> None:
        """Delivers what is left and ends the parent run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.send_rest(patience)
        if self.missing:
            return
        client = self._client.doing("end the study")
        if self._own is None:
            client.set_terminated(self.run_id, status=status)
            return
        # Other processes that open the study wait for this one.
        with request_limits(retries=1, timeout_seconds=ANSWER_SECONDS):
            client.set_terminated(self.run_id, status=status)

    def set_running(self) -> None:
        """Has the parent run go on that another process ended, unless MLflow is away."""
        with suppress(TrackingError):
            self._client.doing("continue the study").update_run(self.run_id, status="RUNNING")

    def send_rest(self, patience: float = PATIENCE_SECONDS) -> None:
        """Delivers what is left, gathered epochs included."""
        for number in self._written:
            self._send_epochs(number)
        self._channel.drain(patience)

    def trial_started(
        self,
        number: int,
        name: str | None,
        config: TrialConfig,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Creates the child run of a trial. One that exists is running again.

        Args:
            number: The study's trial number.
            name: Name of a reference configuration, or None.
            config: Its hyperparameters; they become params that read back exactly.
            tags: More tags (cohort, seed, ...).
        """
        known = self._written.get(number)
        run_tags = self._trial_tags(number, name, tags or {})
        new = NewRun(name or f"trial {number}", run_tags, config_params(config), now())
        retry_tags = {key: str(value) for key, value in (tags or {}).items()} if known else {}
        parcel = self._channel.put(
            Message(number, f"start trial {number}", new, tags=retry_tags, status="RUNNING")
        )
        # The epochs of an attempt that was cut off stay: the next one does not report them.
        written = known or WrittenRun()
        written.status, written.new_run, written.retry_tags = "RUNNING", new, retry_tags
        written.sent.append(parcel)
        self._written[number] = written
        if self._own is not None:
            self._own.add(number)

    def run_ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """Returns the runs of these trials that are made, after giving them a moment to be."""
        run_id = self._runs.run_id
        self._channel.wait_until(
            lambda: all(run_id(number) is not None for number in numbers), AT_ONCE_SECONDS
        )
        found = {number: run_id(number) for number in numbers}
        return {number: known for number, known in found.items() if known is not None}

    def _trial_tags(self, number: int, name: str | None, tags: Mapping[str, str]) -> dict[str, str]:
        """Returns the tags of a new child run; ours win over the caller's, but for ``trial``."""
        given = {"trial": str(number)} | {key: str(value) for key, value in tags.items()}
        own = {
            PARENT_TAG: self.run_id, "role": self._runs.role, "study": self.study,
            "dataset": self.dataset, "split_id": self.split_id,
        }  # fmt: skip
        return given | own | ({"name": name} if name else {})

    def trial_epochs(self, number: int, epoch: int, curves: Mapping[str, float]) -> None:
        """Takes one epoch of a trial's curves, as ``epoch/NAME`` at step ``epoch``; sent later."""
        written = self._of(number)
        written.epochs += points(epoch_metrics(curves), epoch)
        if time.monotonic() - written.sent_at >= FLUSH_SECONDS and not self._channel.unreachable:
            self._send_epochs(number)

    def _send_epochs(self, number: int) -> None:
        """Sends the epochs that were gathered of a trial."""
        written = self._written[number]
        written.sent = [parcel for parcel in written.sent if not parcel.delivered]
        if written.epochs:
            message = Message(number, f"log trial {number}", points=tuple(written.epochs))
            written.sent.append(self._channel.put(message))
        written.epochs, written.sent_at = [], time.monotonic()

    def trial_finished(
        self, outcome: TrialOutcome, verdict: str | None = None, *, keep_weights: bool = False
    ) -> None:
        """Writes a trial's measures, per-example results and state, and ends its run.

        When this returns, they are delivered or on disk. COMPLETE and PRUNED end as FINISHED (told
        apart by the tag ``state``), FAIL as FAILED.

        Args:
            outcome: What came of it.
            verdict: In a word.
            keep_weights: Whether its weights are kept, in their order, as ``weights.npz``.
        """
        number = outcome.number
        written = self._of(number)
        files = outcome_files(outcome, keep_weights)
        tags = dict(written.retry_tags) | outcome_tags(outcome, verdict)
        tags |= {RESULTS_TAG: RESULTS_FILE} if RESULTS_FILE in files else {}
        tags |= {"weights": "kept"} if WEIGHTS_FILE in files else {}
        tags |= {PROBABILITIES_TAG: "kept"} if PROBABILITIES_FILE in files else {}
        status = _STATUS[outcome.state]
        self._channel.put(
            Message(
                number,
                f"finish trial {number}",
                written.new_run,
                (*written.undelivered(), *points(summary_metrics(outcome), step=0)),
                tags,
                files,
                status=status,
                ended=now(),
            ),
            durable=True,
        )
        for parcel in written.sent:
            # The message with the end says all that they say.
            parcel.delivered = True
        kept = written.has_weights or WEIGHTS_FILE in files
        self._written[number] = WrittenRun(status, kept, written.new_run)
        if kept:
            self._kept.add(number)

    def close_stale(
        self,
        numbers: Iterable[int] | None = None,
        cause: str = "the search was killed while it ran",
    ) -> tuple[int, ...]:
        """Ends as FAILED the trials that a killed search left behind; returns their numbers.

        Args:
            numbers: The trials that never came to their end for the sampler, whatever their runs
                say (the search may die between the two); None means every run still RUNNING that
                no other process writes.
            cause: Becomes their tag ``cause``.
        """
        if numbers is None:
            stale = [n for n in self.running if self._own is None or n in self._own]
        else:
            known = sorted(set(numbers) & set(self._written))
            stale = [n for n in known if self._written[n].status != "FAILED"]
        for number in stale:
            self.trial_finished(TrialOutcome(number, "FAIL", cause=cause, device="unknown"))
        return tuple(stale)

    @property
    def running(self) -> tuple[int, ...]:
        """Numbers of the trials, of every process, whose runs had not ended when they were read."""
        return tuple(n for n, written in self._written.items() if written.status == "RUNNING")

    def lacks(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """Returns which of these trials, which ended, have no run that did.

        One whose run somebody has deleted is not wanted there.
        """
        ended, running = tuple(numbers), set(self.running)
        unknown = set(ended) - set(self._written)
        if unknown:
            unknown -= numbers_of_deleted_trials(self._client, self.run_id)
        return tuple(number for number in ended if number in running | unknown)

    def close_of_others(self, numbers: Collection[int]) -> None:
        """Ends as FAILED the runs, if there are any, of trials that a killed search trained."""
        for number in numbers:
            self._written.setdefault(number, WrittenRun())
        self.close_stale(numbers)

    def drop_weights(self, number: int) -> None:
        """Deletes a trial's weights; nothing happens where none are kept."""
        if not self._of(number).has_weights:
            return
        action = f"drop the weights of trial {number}"
        self._channel.put(
            Message(number, action, tags={"weights": "dropped"}, dropped=(WEIGHTS_FILE,))
        )
        self._written[number].has_weights = False
        self._kept.discard(number)

    def kept_weights(self) -> tuple[int, ...]:
        """Returns the numbers of the trials whose weights are kept.

        Those of other processes are left out until :meth:`take_whole`.
        """
        own = self._kept if self._whole or self._own is None else self._kept & self._own
        return tuple(sorted(own))

    def _of(self, number: int) -> WrittenRun:
        """Returns what was written of a trial that was started."""
        if number not in self._written:
            raise TrackingError(
                f"study '{self.study}' has no run for trial {number}: call trial_started first "
                f"(it has {len(self._written)} trials)"
            )
        return self._written[number]
