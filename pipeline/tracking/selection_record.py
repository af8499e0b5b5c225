"""What a report leaves in MLflow: the locked selection, the count of test reads, pages, verdicts.

In: a parent run and plain dicts, files, a ``TestResult``. Out: the same, checked. The selection
record is written once, hashed, and the hash is a tag: a changed record, or a second other one, is
refused, so that nobody picks a winner after having seen the test part. The tag is what locks: the
file that it names (``selection-HASH.json``) is there before it, the copy under a plain name after
it, so that a crash in between loses no record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mlflow import MlflowClient

from pipeline.errors import TrackingError
from pipeline.records import StudyRecord, TestResult
from pipeline.tracking import artifacts
from pipeline.tracking.batches import metrics, run_tags
from pipeline.tracking.codec import LOCK_TAG, finite_or_infinite
from pipeline.tracking.parent_run import SELECTION_FILE
from pipeline.tracking.queries import children_of

READS_TAG = "test_reads"
STAR = "\N{BLACK STAR} "
"""Before the winner's name: it is seen at once among a hundred runs."""
NOTE_TAG = "mlflow.note.content"
TEST_PREFIX = "test_"
MAX_NOTE_LENGTH = 8_000


def lock_selection(
    client: MlflowClient, run_id: str, record: Mapping[str, Any], *, replace: bool = False
) -> str:
    """Writes the selection record once; returns its SHA-256. The same record again is no error.

    With ``replace`` another record takes the place of a locked one, whose file stays.

    Raises:
        TrackingError: Another selection was locked before, or the record is no strict JSON.
    """
    try:
        text = json.dumps(record, indent=2, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise TrackingError(
            f"the selection record cannot be written as JSON ({error}): use None for numbers that "
            "are not finite, text as keys, and plain Python values"
        ) from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    run = client.get_run(run_id)
    locked = run.data.tags.get(LOCK_TAG)
    if locked is not None and locked != digest and not replace:
        raise TrackingError(
            f"the selection of run {run_id} is locked ({locked[:12]}...) and differs from the new "
            f"one ({digest[:12]}...): after the lock the test part may have been read, so the "
            "choice stands. Show it again as it is, or start a new study (--study NAME)"
        )
    address = run.info.artifact_uri, client.tracking_uri
    if locked != digest:
        artifacts.write(*address, {_file_of(digest): text})
        client.set_tag(run_id, LOCK_TAG, digest)
    if artifacts.read(*address, SELECTION_FILE) != text.encode():
        artifacts.write(*address, {SELECTION_FILE: text})
    return digest


def _file_of(digest: str) -> str:
    """Returns the name of the file that holds the selection record with this hash."""
    return f"selection-{digest[:12]}.json"


def read_selection(client: MlflowClient, run_id: str) -> dict[str, Any] | None:
    """Returns the locked selection record, checked against its hash; None where none is locked.

    Raises:
        TrackingError: The record is missing, or is not the one that was locked.
    """
    run = client.get_run(run_id)
    locked = run.data.tags.get(LOCK_TAG)
    if locked is None:
        return None
    name = _file_of(locked)
    data = artifacts.read(run.info.artifact_uri, client.tracking_uri, name)
    if data is None:
        raise TrackingError(
            f"run {run_id} has a locked selection ({locked[:12]}...), but its {name} is gone: "
            f"restore the file among the run's artifacts ({SELECTION_FILE} is its copy), or start "
            "a new study (--study NAME)"
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != locked:
        raise TrackingError(
            f"{name} of run {run_id} was changed after it was locked: its SHA-256 is "
            f"{digest[:12]}..., locked was {locked[:12]}.... Restore the file, or start a new "
            "study (--study NAME)"
        )
    return dict(json.loads(data))


def count_test_read(client: MlflowClient, run_id: str) -> int:
    """Adds one to the number of times the test part was read; returns the new number."""
    reads = test_reads(client, run_id) + 1
    client.set_tag(run_id, READS_TAG, str(reads))
    return reads


def test_reads(client: MlflowClient, run_id: str) -> int:
    """Returns how often the test part was read."""
    return int(client.get_run(run_id).data.tags.get(READS_TAG, "0"))


def log_test_result(client: MlflowClient, run_id: str, result: TestResult) -> None:
    """Logs the result on the test part as metrics ``test_ce``, ..., at step ``reads``."""
    values = {f"{TEST_PREFIX}{f.name}": float(getattr(result, f.name)) for f in fields(TestResult)}
    client.log_batch(run_id, metrics=metrics(values, step=result.reads))


def read_test_result(client: MlflowClient, run_id: str) -> TestResult | None:
    """Returns the last result on the test part; None before the first read."""
    values = client.get_run(run_id).data.metrics
    names = [entry.name for entry in fields(TestResult)]
    if any(f"{TEST_PREFIX}{name}" not in values for name in names):
        return None
    found = {name: finite_or_infinite(values[f"{TEST_PREFIX}{name}"]) for name in names}
    reads = int(found.pop("reads"))
    return TestResult(**found, reads=reads)


def log_report(client: MlflowClient, run_id: str, files: Mapping[str, str | bytes]) -> None:
    """Writes pages under ``report/``; a Markdown page becomes the run's description, too."""
    run = client.get_run(run_id)
    pages = {f"report/{name}": content for name, content in files.items()}
    artifacts.write(run.info.artifact_uri, client.tracking_uri, pages)
    for name, content in files.items():
        if name.endswith(".md"):
            text = content if isinstance(content, str) else content.decode()
            client.set_tag(run_id, NOTE_TAG, _note(text, name))


def _note(text: str, name: str) -> str:
    """Returns a page as a run's description, cut at a line where it is too long for a tag."""
    if len(text) <= MAX_NOTE_LENGTH:
        return text
    more = f"\n\n(continued in `report/{name}` among the artifacts)\n"
    return text[: MAX_NOTE_LENGTH - len(more)].rpartition("\n")[0] + more


def set_verdicts(
    client: MlflowClient,
    record: StudyRecord,
    verdicts: Mapping[int, str],
    reasons: Mapping[int, str],
) -> None:
    """Tags trials with their verdicts and the numbers behind them; what is there costs nothing."""
    if record.run_id is None:
        return
    runs = children_of(client, [client.get_run(record.run_id)])
    for number, verdict in verdicts.items():
        wanted = {"verdict": verdict, "verdict_because": reasons.get(number, "")}
        known = runs[number].data.tags if number in runs else wanted
        changed = {key: value for key, value in wanted.items() if value and known.get(key) != value}
        if changed:
            client.log_batch(runs[number].info.run_id, tags=run_tags(changed))


def mark_winner(client: MlflowClient, record: StudyRecord, number: int) -> None:
    """Tags the winner's run ``winner=true`` and stars its name, no other's; tells the parent."""
    if record.run_id is None:
        return
    for other, run in children_of(client, [client.get_run(record.run_id)]).items():
        plain = (run.info.run_name or "").removeprefix(STAR)
        if other == number:
            client.log_batch(run.info.run_id, tags=run_tags({"winner": "true"}))
            client.update_run(run.info.run_id, name=f"{STAR}{plain}")
        elif "winner" in run.data.tags:
            client.delete_tag(run.info.run_id, "winner")
            client.update_run(run.info.run_id, name=plain)
    client.set_tag(record.run_id, "winner", str(number))
