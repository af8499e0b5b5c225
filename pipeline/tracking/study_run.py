"""What trainings write: one study's parent run, a child run per trial or finalist.

In: trial numbers, TrialConfigs, epochs' curves, TrialOutcomes. Out: runs in MLflow; nothing is read
back here but which trials exist. One object per study and process, used from one thread; no run is
ever "active", so workers cannot take one over.

Calls to the store are few (on SQLite one costs 10 to 30 ms): a trial's end is one file, one batch
and one status; epochs are gathered (``batches``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Run

from pipeline.errors import TrackingError
from pipeline.records import ChanceLevel, TrialConfig, TrialOutcome
from pipeline.tracking import artifacts
from pipeline.tracking.batches import Batches, log_params, metrics, run_tags
from pipeline.tracking.connection import refusals
from pipeline.tracking.runs import PARENT_TAG, TRIAL_ROLE
from pipeline.tracking.spelling import (
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

_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
_MAX_DIGEST = 36


@dataclass(frozen=True)
class _Child:
    """What is remembered of a child run."""

    run_id: str
    artifact_uri: str
    status: str = "RUNNING"
    has_weights: bool = False

    @classmethod
    def of(cls, run: Run) -> _Child:
        kept = run.data.tags.get("weights") == "kept"
        return cls(run.info.run_id, run.info.artifact_uri, run.info.status, kept)


class StudyRun:
    """A study's parent run, open for writing.

    Attributes:
        run_id: The parent run.
        study: The study's name.
        dataset: Its dataset's name.
        split_id: Hash of the split, a tag of every trial; empty until :meth:`log_dataset`.
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
        self._role = role
        self._batches = Batches(client)
        self._children = {number: _Child.of(run) for number, run in children.items()}

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

    def study_finished(self, status: str = "FINISHED") -> None:
        """Sends what is left and ends the parent run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        with self._refusals("end the study"):
            self._client.set_terminated(self.run_id, status=status)

    def trial_started(
        self,
        number: int,
        name: str | None,
        config: TrialConfig,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Creates the child run of a trial; returns its id. One that exists is running again.

        Args:
            number: The study's trial number.
            name: Name of a reference configuration, or None.
            config: Its hyperparameters; they become params that read back exactly.
            tags: More tags (cohort, seed, ...).
        """
        known = self._children.get(number)
        with self._refusals(f"start trial {number}"):
            if known is not None:
                self._client.update_run(known.run_id, status="RUNNING")
                self._children[number] = replace(known, status="RUNNING")
                return known.run_id
            run = self._client.create_run(
                self._parent.info.experiment_id,
                tags=self._trial_tags(number, name, tags or {}),
                run_name=name or f"trial {number}",
            )
            log_params(self._client, run.info.run_id, config_params(config))
        self._children[number] = _Child.of(run)
        return self._children[number].run_id

    def _trial_tags(self, number: int, name: str | None, tags: Mapping[str, str]) -> dict[str, str]:
        """Returns the tags of a new child run; ours win over the caller's, but for ``trial``."""
        own = {
            PARENT_TAG: self.run_id,
            "role": self._role,
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
        values = {f"{CURVE_PREFIX}{name}": value for name, value in curves.items()}
        with self._refusals(f"log trial {number}"):
            self._batches.gather(self._child(number).run_id, values, epoch)

    def flush(self) -> None:
        """Sends every epoch that was taken and not sent."""
        with self._refusals("log epochs"):
            self._batches.flush()

    def trial_finished(self, outcome: TrialOutcome, verdict: str | None = None) -> None:
        """Writes a trial's measures, per-example results and state, and ends its run.

        COMPLETE and PRUNED end as FINISHED (told apart by the tag ``state``), FAIL as FAILED.
        """
        number = outcome.number
        child = self._child(number)
        tags = outcome_tags(outcome, verdict)
        packed = pack_results(outcome)
        status = _STATUS[outcome.state]
        with self._refusals(f"finish trial {number}"):
            if packed is not None:
                tags[RESULTS_TAG] = RESULTS_FILE
                artifacts.write(child.artifact_uri, self._uri, {RESULTS_FILE: packed})
            self._batches.finish(child.run_id, summary_metrics(outcome), tags)
            self._client.set_terminated(child.run_id, status=status)
        self._children[number] = replace(child, status=status)

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
            stale = [n for n, child in self._children.items() if child.status == "RUNNING"]
        else:
            known = sorted(set(numbers) & set(self._children))
            stale = [n for n in known if self._children[n].status != "FAILED"]
        for number in stale:
            self.trial_finished(TrialOutcome(number, "FAIL", cause=cause, device="unknown"))
        return tuple(stale)

    def keep_weights(self, number: int, weights: tuple[np.ndarray, ...]) -> None:
        """Keeps a trial's weights, in their order, as ``weights.npz`` (floats as float32)."""
        child = self._child(number)
        with self._refusals(f"keep the weights of trial {number}"):
            with artifacts.uploading(child.artifact_uri, self._uri) as folder:
                pack_weights(folder / WEIGHTS_FILE, weights)
            self._client.set_tag(child.run_id, "weights", "kept")
        self._children[number] = replace(child, has_weights=True)

    def drop_weights(self, number: int) -> None:
        """Deletes a trial's weights; nothing happens where none are kept."""
        child = self._child(number)
        if not child.has_weights:
            return
        with self._refusals(f"drop the weights of trial {number}"):
            artifacts.delete(child.artifact_uri, self._uri, WEIGHTS_FILE)
            self._client.set_tag(child.run_id, "weights", "dropped")
        self._children[number] = replace(child, has_weights=False)

    def kept_weights(self) -> tuple[int, ...]:
        """Returns the numbers of the trials whose weights are kept."""
        return tuple(number for number, child in self._children.items() if child.has_weights)

    def _child(self, number: int) -> _Child:
        """Returns the child run of a trial that was started."""
        if number not in self._children:
            raise TrackingError(
                f"study '{self.study}' has no run for trial {number}: call trial_started first "
                f"(it has {len(self._children)} trials)"
            )
        return self._children[number]

    def _refusals(self, action: str) -> AbstractContextManager[None]:
        return refusals(self._uri, action)
