"""The tracking store as the rest of the project sees it: one method per thing to write or read.

In: an address. Out: :class:`StudyRun` for a search, ``StudyRecord`` and a dozen short methods for a
report. Each method hands on to the module that does it and turns MLflow's refusals into
``TrackingError``: one line, no credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient

from pipeline.errors import TrackingError
from pipeline.records import StudyRecord, TestExamples, TestResult, TrialRecord
from pipeline.redaction import masked
from pipeline.tracking import artifacts, finalist_runs, read, selection_record
from pipeline.tracking.address import tracking_address
from pipeline.tracking.client import reach, refusals
from pipeline.tracking.codec import (
    MODEL_TAG,
    TEST_EXAMPLES_FILE,
    WEIGHTS_FILE,
    pack_test_examples,
    unpack_test_examples,
    unpack_weights,
)
from pipeline.tracking.delivery.child_runs import deliver_waiting
from pipeline.tracking.delivery.outbox import Outbox
from pipeline.tracking.models import registry
from pipeline.tracking.parent_run import StudyHead, open_parent
from pipeline.tracking.study_run import StudyRun


@dataclass(frozen=True)
class Tracking:
    """A tracking store that has answered. Made by ``pipeline.tracking.connect``.

    Attributes:
        tracking_uri: Its address, credentials included: show :attr:`address` instead.
    """

    tracking_uri: str
    _client: MlflowClient

    @classmethod
    def open(cls, tracking_uri: str | None = None) -> Tracking:
        """Returns the store at this address; see ``pipeline.tracking.connect``."""
        uri = tracking_address(tracking_uri)
        return cls(uri, reach(uri))

    @property
    def address(self) -> str:
        """The store's address without credentials."""
        return masked(self.tracking_uri)

    def open_study(
        self, study: str, dataset: str, definition: Mapping[str, Any], tags: Mapping[str, str]
    ) -> StudyRun:
        """Returns the study's parent run, RUNNING: continued, ``mlflow run``'s, or a new one.

        Args:
            study: Its name.
            dataset: Name of its dataset.
            definition: What was asked for, JSON values only; reads back as it is.
            tags: More tags of the parent (device, storage, ...).
        """
        with self._refusals(f"open study '{study}'"):
            parent, children = open_parent(
                self._client, StudyHead(study, dataset, definition, tags)
            )
        return StudyRun(self._client, parent, children)

    def deliver_waiting(self, folder: Path) -> int:
        """Delivers what an earlier search had to leave in a folder; returns how many entries.

        Raises:
            TrackingError: The store does not take them. They stay.
        """
        with self._refusals("take what an earlier search left"):
            return deliver_waiting(self._client, Outbox(folder))

    def read_study(self, study: str | None = None, dataset: str | None = None) -> StudyRecord:
        """Returns a study by name, or the one opened last (of a dataset); every trial in it.

        Raises:
            InputError: There is none; the message lists those that exist.
        """
        with self._refusals("read the study"):
            return read.read_study(self._client, study, dataset)

    def open_finalists(self, run_id: str) -> StudyRun:
        """Returns a writer of a study's finalists; see ``pipeline.tracking.finalist_runs``."""
        with self._refusals("open the finalists"):
            return finalist_runs.open_finalists(self._client, run_id)

    def read_finalists(self, study: StudyRecord) -> Mapping[tuple[int, int], TrialRecord]:
        """Returns the finalists of a study that were trained, by trial number and seed."""
        with self._refusals("read the finalists"):
            return finalist_runs.read_finalists(self._client, study)

    def load_weights(self, run_id: str) -> tuple[np.ndarray, ...]:
        """Returns the weights kept on a trial's run, in the order they were given.

        Raises:
            TrackingError: None are kept there.
        """
        with self._refusals(f"read the weights of run {run_id}"):
            artifact_uri = self._client.get_run(run_id).info.artifact_uri
            data = artifacts.read(artifact_uri, self.tracking_uri, WEIGHTS_FILE)
        if data is None:
            raise TrackingError(
                f"run {run_id} at {self.address} keeps no weights: they were dropped when the "
                "trial was no longer as good as the best, or never kept; train its configuration "
                "again"
            )
        return unpack_weights(data)

    def lock_selection(
        self, run_id: str, record: Mapping[str, Any], *, replace: bool = False
    ) -> str:
        """Writes the selection record of a parent run, once; returns its SHA-256.

        With ``replace`` another record may take the place of a locked one.
        """
        with self._refusals("lock the selection"):
            return selection_record.lock_selection(self._client, run_id, record, replace=replace)

    def read_selection(self, run_id: str) -> dict[str, Any] | None:
        """Returns the locked record, verified; None where none is locked. Keys are text (JSON)."""
        with self._refusals("read the selection"):
            return selection_record.read_selection(self._client, run_id)

    def tag(self, run_id: str, name: str) -> str | None:
        """Returns a tag of a run; None where it is not set."""
        return self.tags(run_id).get(name)

    def tags(self, run_id: str) -> dict[str, str]:
        """Returns all tags of a run."""
        with self._refusals(f"read the tags of run {run_id}"):
            return dict(self._client.get_run(run_id).data.tags)

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        """Sets a tag of a run."""
        with self._refusals(f"tag run {run_id}"):
            self._client.set_tag(run_id, name, value)

    def log_files(self, run_id: str, files: Mapping[str, str | bytes]) -> None:
        """Writes files of a run; existing ones are replaced."""
        with self._refusals(f"keep {', '.join(files)}"):
            artifact_uri = self._client.get_run(run_id).info.artifact_uri
            artifacts.write(artifact_uri, self.tracking_uri, files)

    def read_file(self, run_id: str, name: str) -> bytes | None:
        """Returns a file of a run; None where there is none."""
        with self._refusals(f"read {name} of run {run_id}"):
            artifact_uri = self._client.get_run(run_id).info.artifact_uri
            return artifacts.read(artifact_uri, self.tracking_uri, name)

    def count_test_read(self, run_id: str) -> int:
        """Counts one more read of the test part; returns the number of reads so far."""
        with self._refusals("count a read of the test part"):
            return selection_record.count_test_read(self._client, run_id)

    def test_reads(self, run_id: str) -> int:
        """Returns how often the test part was read."""
        with self._refusals("read the count of test reads"):
            return selection_record.test_reads(self._client, run_id)

    def log_test_result(self, run_id: str, result: TestResult) -> None:
        """Logs the result on the test part as metrics ``test_*`` of a parent run."""
        with self._refusals("log the test result"):
            selection_record.log_test_result(self._client, run_id, result)

    def read_test_result(self, run_id: str) -> TestResult | None:
        """Returns the last result on the test part; None before the first read."""
        with self._refusals("read the test result"):
            return selection_record.read_test_result(self._client, run_id)

    def keep_test_examples(self, run_id: str, examples: TestExamples) -> None:
        """Keeps the results per test example of what was measured there."""
        self.log_files(run_id, {TEST_EXAMPLES_FILE: pack_test_examples(examples)})

    def read_test_examples(self, run_id: str) -> TestExamples | None:
        """Returns them; None before the test part was read."""
        data = self.read_file(run_id, TEST_EXAMPLES_FILE)
        return None if data is None else unpack_test_examples(data)

    def log_report(self, run_id: str, files: Mapping[str, str | bytes]) -> None:
        """Writes pages under ``report/``; Markdown becomes the run's description, too."""
        with self._refusals("keep the report"):
            selection_record.log_report(self._client, run_id, files)

    def set_verdicts(
        self,
        record: StudyRecord,
        verdicts: Mapping[int, str],
        reasons: Mapping[int, str] | None = None,
    ) -> None:
        """Tags the trials of a study with their verdicts and, where given, the numbers behind."""
        with self._refusals("tag verdicts"):
            selection_record.set_verdicts(self._client, record, verdicts, reasons or {})

    def mark_winner(self, record: StudyRecord, number: int, delivered: str | None = None) -> None:
        """Tags the winner, and only it, ``winner=true``, and the delivered run ``delivered``."""
        with self._refusals("mark the winner"):
            selection_record.mark_winner(self._client, record, number)
            if record.run_id is not None and delivered is not None:
                finalist_runs.mark_delivered(self._client, record.run_id, delivered)

    def register_model(
        self,
        run_id: str,
        model: Any,
        example_input: np.ndarray,
        name: str | None = None,
        class_names: Sequence[str] = (),
        feature_names: Sequence[str] = (),
    ) -> str:
        """Logs and registers a Keras model as the champion; returns ``models:/NAME/VERSION``.

        Args:
            run_id: The study's parent run.
            model: An ordinary Keras model.
            example_input: [num_examples, ...], a few inputs, for the signature.
            name: Registered name; None means ``<dataset>-least-overfit``.
            class_names: A name per class, for who predicts with it.
            feature_names: A name per column that it takes, where it takes a table's.
        """
        with self._refusals("register the model"):
            if name is None:
                name = registry.model_name(self._client.get_run(run_id).data.tags["dataset"])
            uri = registry.register_model(
                self._client, run_id, model, example_input, name, class_names, feature_names
            )
            self._client.set_tag(run_id, MODEL_TAG, uri)
            return uri

    def load_model(self, model_uri: str) -> Any:
        """Returns the Keras model at ``models:/NAME@champion``, ``models:/NAME/VERSION``, ..."""
        with self._refusals(f"load {model_uri}"):
            return registry.load_model(self.tracking_uri, model_uri)

    def _refusals(self, action: str) -> AbstractContextManager[None]:
        return refusals(self.tracking_uri, action)
