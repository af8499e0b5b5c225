"""What trainings write: one study's parent run, a child run per trial or finalist.

In: trial numbers, TrialConfigs, epochs' curves, TrialOutcomes. Out: entries for the child runs; no
run is ever "active", so workers cannot take one over. They are delivered at once, or, after
:meth:`StudyRun.in_background`, by a thread that survives a store that is away (``sender``). One
object per study and process, used from one thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Run

from pipeline.errors import TrackingError
from pipeline.records import ChanceLevel, TrialConfig, TrialOutcome
from pipeline.redaction import masked
from pipeline.tracking import artifacts
from pipeline.tracking.batches import metrics, now, points, run_tags
from pipeline.tracking.client import refusals
from pipeline.tracking.codec import (
    CURVE_PREFIX,
    RESULTS_FILE,
    RESULTS_TAG,
    WEIGHTS_FILE,
    config_params,
    outcome_tags,
    pack_results,
    pack_weights,
    summary_metrics,
)
from pipeline.tracking.delivery.child_runs import ChildRuns
from pipeline.tracking.delivery.message import Entry, Head, Point
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.delivery.sender import (
    PATIENCE_SECONDS,
    Background,
    Channel,
    Direct,
    Parcel,
    Say,
)
from pipeline.tracking.queries import PARENT_TAG, TRIAL_ROLE

_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
_MAX_DIGEST = 36
FLUSH_SECONDS = 30.0
"""Epochs of a running trial are gathered for this long before they are sent."""
AT_ONCE_SECONDS = 2.0


@dataclass
class _Written:
    """What was written of a child run, delivered or not.

    Attributes:
        status: MLflow's, as it is or will be.
        has_weights: Whether its weights are kept.
        head: What the run is made of; None for one of an earlier process.
        again: Tags that replace those of an earlier attempt.
        epochs: Points of epochs that were not sent yet.
        sent: Points that were, and may not be delivered yet.
        sent_at: When the last ones were.
    """

    status: str = "RUNNING"
    has_weights: bool = False
    head: Head | None = None
    again: Mapping[str, str] = field(default_factory=dict)
    epochs: list[Point] = field(default_factory=list)
    sent: list[Parcel] = field(default_factory=list)
    sent_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, run: Run) -> _Written:
        return cls(run.info.status, run.data.tags.get("weights") == "kept")


class StudyRun:
    """A study's parent run, open for writing.

    Attributes:
        run_id: The parent run.
        study: The study's name.
        dataset: Its dataset's name.
        split_id: Hash of the split, a tag of every trial; empty until :meth:`log_dataset`.
        next_cohort: The first number that no earlier cohort of the study has.
    """

    def __init__(
        self,
        client: MlflowClient,
        parent: Run,
        children: Mapping[int, Run],
        role: str = TRIAL_ROLE,
    ) -> None:
        self.run_id: str = parent.info.run_id
        self.study: str = parent.data.tags["study"]
        self.dataset: str = parent.data.tags["dataset"]
        self.split_id: str = parent.data.tags.get("split_id", "")
        self._client = client
        self._uri: str = client.tracking_uri
        self._parent = parent
        self._runs = ChildRuns(client, parent, children, role)
        self._channel: Channel = Direct(self._runs.deliver)
        self._written = {number: _Written.of(run) for number, run in children.items()}
        cohorts = [int(run.data.tags.get("cohort", -1)) for run in children.values()]
        self.next_cohort = 1 + max(cohorts, default=-1)

    @contextmanager
    def in_background(self, folder: Path, say: Say) -> Iterator[None]:
        """Delivers from another thread while the context lasts; see ``sender``.

        Args:
            folder: Where what is not delivered waits.
            say: Tells the user when the store stops answering, and when it answers again.
        """
        deliver, at_once = self._runs.deliver, self._channel
        channel = Background(deliver, Outbox(folder), self.run_id, masked(self._uri), say)
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
        data = Dataset(
            name=self.dataset,
            digest=split_id[:_MAX_DIGEST],
            source_type="http" if source.startswith("http") else "local",
            source=json.dumps({"uri": source or self.dataset}),
            profile=json.dumps(dict(sizes or {})),
        )
        values = {"chance_accuracy": chance.accuracy, "chance_ce": chance.ce}
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "search")])]
        with self._refusals("log the dataset"):
            self._client.log_inputs(self.run_id, datasets=inputs)
            self._client.log_batch(
                self.run_id, metrics(values, step=0), tags=run_tags({"split_id": split_id})
            )
        self.split_id = split_id

    def log_files(self, files: Mapping[str, str | bytes]) -> None:
        """Writes files of the parent run, such as the resolved ``search_space.yaml``."""
        with self._refusals(f"keep {', '.join(files)}"):
            artifacts.write(self._parent.info.artifact_uri, self._uri, files)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the parent run, such as the device, once it is known."""
        with self._refusals("tag the study"):
            self._client.log_batch(self.run_id, tags=run_tags(tags))

    def study_finished(self, status: str = "FINISHED", patience: float = PATIENCE_SECONDS) -> None:
        """Delivers what is left and ends the parent run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        for number in self._written:
            self._send_epochs(number)
        self._channel.drain(patience)
        with self._refusals("end the study"):
            self._client.set_terminated(self.run_id, status=status)

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
        head = Head(name or f"trial {number}", run_tags, config_params(config), now())
        again = {key: str(value) for key, value in (tags or {}).items()} if known else {}
        entry = Entry(number, f"start trial {number}", head, tags=again, status="RUNNING")
        parcel = self._channel.put(entry)
        # The epochs of an attempt that was cut off are not told again by the next.
        before = known or _Written()
        self._written[number] = replace(
            before, status="RUNNING", head=head, again=again, sent=[*before.sent, parcel]
        )

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
        own = {
            PARENT_TAG: self.run_id,
            "role": self._runs.role,
            "study": self.study,
            "dataset": self.dataset,
            "split_id": self.split_id,
        }
        return (
            {"trial": str(number)}
            | {key: str(value) for key, value in tags.items()}
            | own
            | ({"name": name} if name else {})
        )

    def trial_epochs(self, number: int, epoch: int, curves: Mapping[str, float]) -> None:
        """Takes one epoch of a trial's curves, as ``epoch/NAME`` at step ``epoch``; sent later."""
        written = self._of(number)
        written.epochs += points(
            {f"{CURVE_PREFIX}{name}": value for name, value in curves.items()}, epoch
        )
        if time.monotonic() - written.sent_at >= FLUSH_SECONDS and not self._channel.troubled:
            self._send_epochs(number)

    def _send_epochs(self, number: int) -> None:
        """Sends the epochs that were gathered of a trial."""
        written = self._written[number]
        written.sent = [parcel for parcel in written.sent if not parcel.delivered]
        if written.epochs:
            entry = Entry(number, f"log trial {number}", points=tuple(written.epochs))
            written.sent.append(self._channel.put(entry))
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
        files = self._files(outcome, keep_weights)
        tags = dict(written.again) | outcome_tags(outcome, verdict)
        tags |= {RESULTS_TAG: RESULTS_FILE} if RESULTS_FILE in files else {}
        tags |= {"weights": "kept"} if WEIGHTS_FILE in files else {}
        status = _STATUS[outcome.state]
        self._channel.put(
            Entry(
                number,
                f"finish trial {number}",
                written.head,
                (*self._undelivered(written), *points(summary_metrics(outcome), step=0)),
                tags,
                files,
                status=status,
                ended=now(),
            ),
            lasting=True,
        )
        for parcel in written.sent:
            # The entry with the end says all that they say.
            parcel.delivered = True
        kept = written.has_weights or WEIGHTS_FILE in files
        self._written[number] = _Written(status, kept, written.head)

    def _files(self, outcome: TrialOutcome, keep_weights: bool) -> dict[str, bytes]:
        files = {}
        if (packed := pack_results(outcome)) is not None:
            files[RESULTS_FILE] = packed
        if keep_weights and outcome.weights is not None:
            files[WEIGHTS_FILE] = pack_weights(outcome.weights)
        return files

    def _undelivered(self, written: _Written) -> list[Point]:
        """Returns the points that the store may lack; the entry with the end repeats them."""
        waiting = [parcel for parcel in written.sent if not parcel.delivered]
        sent = [point for parcel in waiting if parcel.entry for point in parcel.entry.points]
        return [*sent, *written.epochs]

    def close_stale(
        self,
        numbers: Iterable[int] | None = None,
        cause: str = "the search was killed while it ran",
    ) -> tuple[int, ...]:
        """Ends as FAILED the trials that a killed search left behind; returns their numbers.

        Args:
            numbers: The trials that never came to their end for the sampler, whatever their runs
                say (the search may die between the two); None means every run still RUNNING.
            cause: Becomes their tag ``cause``.
        """
        if numbers is None:
            stale = [n for n, written in self._written.items() if written.status == "RUNNING"]
        else:
            known = sorted(set(numbers) & set(self._written))
            stale = [n for n in known if self._written[n].status != "FAILED"]
        for number in stale:
            self.trial_finished(TrialOutcome(number, "FAIL", cause=cause, device="unknown"))
        return tuple(stale)

    def drop_weights(self, number: int) -> None:
        """Deletes a trial's weights; nothing happens where none are kept."""
        if not self._of(number).has_weights:
            return
        self._channel.put(
            Entry(
                number,
                f"drop the weights of trial {number}",
                tags={"weights": "dropped"},
                dropped=(WEIGHTS_FILE,),
            )
        )
        self._written[number] = replace(self._written[number], has_weights=False)

    def kept_weights(self) -> tuple[int, ...]:
        """Returns the numbers of the trials whose weights are kept."""
        return tuple(number for number, written in self._written.items() if written.has_weights)

    def _of(self, number: int) -> _Written:
        """Returns what was written of a trial that was started."""
        if number not in self._written:
            raise TrackingError(
                f"study '{self.study}' has no run for trial {number}: call trial_started first "
                f"(it has {len(self._written)} trials)"
            )
        return self._written[number]

    def _refusals(self, action: str) -> AbstractContextManager[None]:
        return refusals(self._uri, action)
