"""Opens and reads the finalists' runs: children of a study's parent, one per trial and seed.

In: a parent run, or a ``StudyRecord``. Out: a ``StudyRun`` that writes finalists, and the same
trainings read back as ``TrialRecord``. A finalist's run has the tags ``role=finalist``,
``trial`` (the trial whose configuration it trains again) and ``seed``; all else
is as on a trial's run. What was cut off stays as a failed run, and is trained again in another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline.records import StudyRecord, TrialRecord
from pipeline.tracking.client import Client
from pipeline.tracking.queries import FINALIST_ROLE, finalists_of
from pipeline.tracking.read import READERS, read_trial
from pipeline.tracking.study_run import StudyRun

CUT_OFF = "the report was killed while it ran"


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


def read_finalists(client: Client, study: StudyRecord) -> Mapping[tuple[int, int], TrialRecord]:
    """Returns the study's finalists by trial number and seed.

    Of several trainings of one seed the last complete one counts, and the last where none is. Those
    of another split, and of trials that the study does not have, are left out.
    """
    if study.run_id is None:
        return {}
    client = client.doing("read the finalists")
    trials = {trial.number: trial for trial in study.trials}
    runs = finalists_of(client, [client.get_run(study.run_id)])
    with ThreadPoolExecutor(READERS) as readers:
        records = list(
            readers.map(
                lambda run: read_trial(client, int(run.data.tags["trial"]), run),
                [run for run in runs if run.data.params],
            )
        )
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
    return found
