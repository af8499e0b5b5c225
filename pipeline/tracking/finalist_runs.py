"""Opens and reads the finalists' runs: children of a study's parent, one per trial and seed.

In: a parent run, or a ``StudyRecord``. Out: a ``StudyRun`` that writes finalists, and the same
trainings read back as ``TrialRecord``. A finalist's run has the tags ``role=finalist``,
``trial`` (the trial whose configuration it trains again) and ``seed``, and it keeps the
probabilities of every class, of which means over seeds are made; all else is as on a trial's run.
What was cut off stays as a failed run, and is trained again in another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import TrackingError
from pipeline.records import Probabilities, StudyRecord, TrialRecord
from pipeline.selection.averages import Average, average
from pipeline.tracking.client import Client
from pipeline.tracking.codec import PROBABILITIES_FILE, PROBABILITIES_TAG, unpack_probabilities
from pipeline.tracking.npz import readable
from pipeline.tracking.queries import FINALIST_ROLE, finalists_of
from pipeline.tracking.read import READERS, read_trials
from pipeline.tracking.study_run import StudyRun

TRAINED_AGAIN = "delete the run, and its configuration is trained again"
CUT_OFF = "the report was killed while it ran"
ROUNDING = 1e-4
"""Nats by which a training's mean cross-entropy may differ from that of its probabilities."""


def open_finalists(client: Client, run_id: str) -> StudyRun:
    """Returns a writer of finalists; runs that an earlier, killed report left are ended as FAILED.

    Its runs are numbered by the caller, whatever the trials; ``trial`` has to be among the tags.
    """
    opening = client.doing("open the finalists")
    parent = opening.get_run(run_id)
    for run in finalists_of(opening, [parent]):
        if run.info.status == "RUNNING":
            tags = {"state": "FAIL", "cause": CUT_OFF}
            opening.log_in_batches(run.info.run_id, tags=tags)
            opening.set_terminated(run.info.run_id, status="FAILED")
    return StudyRun(client, parent, {}, role=FINALIST_ROLE)


@dataclass(frozen=True)
class Finalists:
    """The trainings with several seeds that a study has.

    Attributes:
        trained: Trial number and seed -> the training that counts.
        with_probabilities: Their runs that keep the probabilities of every class; those of older
            versions do not.
    """

    trained: Mapping[tuple[int, int], TrialRecord]
    with_probabilities: frozenset[str] = frozenset()


def read_finalists(client: Client, study: StudyRecord) -> Finalists:
    """Returns the study's finalists, by one query.

    Of several trainings of one seed the last complete one counts, and the last where none is. Those
    of another split, and of trials that the study does not have, are left out.
    """
    if study.run_id is None:
        return Finalists({})
    client = client.doing("read the finalists")
    trials = {trial.number: trial for trial in study.trials}
    runs = finalists_of(client, [client.get_run(study.run_id)])
    described = [(int(run.data.tags["trial"]), run) for run in runs if run.data.params]
    records = read_trials(client, described)
    seeds = {run.info.run_id: int(run.data.tags["seed"]) for run in runs}
    found: dict[tuple[int, int], TrialRecord] = {}
    for record in records:
        trial = trials.get(record.number)
        key = record.number, seeds[str(record.mlflow_run_id)]
        same = trial is not None and trial.config == record.config
        if trial is None or not same or record.split_id != study.split_id:
            continue
        if key not in found or (found[key].state, record.state) == ("FAIL", "COMPLETE"):
            found[key] = replace(record, name=trial.name)
    kept = frozenset(run.info.run_id for run in runs if PROBABILITIES_TAG in run.data.tags)
    return Finalists(found, kept)


def read_averages(
    client: Client, groups: Mapping[int, Sequence[TrialRecord]]
) -> Mapping[int, Average]:
    """Returns the mean of the probabilities of each group of trainings.

    One group at a time is in memory for each of a few threads, not all of them.

    Args:
        client: Of the store.
        groups: Trial number -> its trainings, all of which keep their probabilities.

    Raises:
        TrackingError: A file of them is missing, or is not that training's.
    """
    client = client.doing("read the finalists' probabilities")

    def read(runs: Sequence[TrialRecord]) -> Average:
        return average([_read_probabilities(client, run) for run in runs])

    with ThreadPoolExecutor(READERS) as readers:
        return dict(zip(groups, readers.map(read, groups.values()), strict=True))


def _read_probabilities(client: Client, record: TrialRecord) -> Probabilities:
    run_id = str(record.mlflow_run_id)
    data = client.read_artifact(client.get_run(run_id).info.artifact_uri, PROBABILITIES_FILE)
    if data is None:
        raise TrackingError(
            f"run {run_id} at {client.address} has no {PROBABILITIES_FILE} any more: restore the "
            f"file, or {TRAINED_AGAIN}"
        )
    with readable(PROBABILITIES_FILE, run_id, TRAINED_AGAIN):
        found = unpack_probabilities(data)
    recorded = record.measurement.val_ce if record.measurement else float("nan")
    labels = found.validation_labels
    own = -float(found.validation[np.arange(len(labels)), labels].mean(dtype=np.float64))
    if not abs(own - recorded) <= ROUNDING * max(1.0, recorded):
        raise TrackingError(
            f"{PROBABILITIES_FILE} of run {run_id} gives a validation cross-entropy of {own:.6f}, "
            f"but {recorded:.6f} was recorded: the file was changed; restore it, or "
            f"{TRAINED_AGAIN}"
        )
    return found
