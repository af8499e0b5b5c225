"""Writes what a report leaves in MLflow: the locked selection, test results, pages, verdicts.

In: a parent run and plain dicts, files, a ``TestResult``. Out: the same, checked. The selection
record is written once, hashed, and the hash is a tag: a changed record, or a second other one, is
refused, so that nobody picks a winner after having seen the test part. The tag is what locks: the
file that it names (``selection-HASH.json``) is there before it, the copy under a plain name after
it, so that a crash in between loses no record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pipeline.errors import TrackingError
from pipeline.records import StudyRecord, TestExamples, TestResult
from pipeline.tracking.client import Client
from pipeline.tracking.codec import (
    DELIVERED_TAG,
    LOCK_TAG,
    TEST_EXAMPLES_FILE,
    TEST_PART_TAG,
    finite_or_infinite,
    pack_test_examples,
    unpack_test_examples,
)
from pipeline.tracking.delivery.message import points
from pipeline.tracking.experiment_page import NOTE_TAG
from pipeline.tracking.npz import readable
from pipeline.tracking.parent_run import SELECTION_FILE
from pipeline.tracking.queries import children_of, finalists_of, parents_of

READS_TAG = "test_reads"
TEST_PREFIX = "test_"
MAX_NOTE_LENGTH = 8_000


def lock_selection(
    client: Client, run_id: str, record: Mapping[str, Any], *, replace: bool = False
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
    client = client.doing("lock the selection")
    digest = hashlib.sha256(text.encode()).hexdigest()
    run = client.get_run(run_id)
    locked = run.data.tags.get(LOCK_TAG)
    if locked is not None and locked != digest and not replace:
        raise TrackingError(
            f"the selection of run {run_id} is locked ({locked[:12]}...) and differs from the new "
            f"one ({digest[:12]}...): after the lock the test part may have been read, so the "
            "choice stands. Show it again as it is, or start a new study (--study NAME)"
        )
    address = run.info.artifact_uri
    if locked != digest:
        client.write_artifacts(address, {_file_of(digest): text})
        client.set_tag(run_id, LOCK_TAG, digest)
    if client.read_artifact(address, SELECTION_FILE) != text.encode():
        client.write_artifacts(address, {SELECTION_FILE: text})
    return digest


def _file_of(digest: str) -> str:
    """Returns the name of the file that holds the selection record with this hash."""
    return f"selection-{digest[:12]}.json"


def read_selection(client: Client, run_id: str) -> dict[str, Any] | None:
    """Returns the locked selection record, checked against its hash; None where none is locked.

    Raises:
        TrackingError: The record is missing, or is not the one that was locked.
    """
    client = client.doing("read the selection")
    run = client.get_run(run_id)
    locked = run.data.tags.get(LOCK_TAG)
    if locked is None:
        return None
    name = _file_of(locked)
    data = client.read_artifact(run.info.artifact_uri, name)
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


def count_test_read(client: Client, run_id: str) -> int:
    """Adds one to the number of times the test part was read; returns the new number."""
    client = client.doing("count a read of the test part")
    reads = _reads_of(client, run_id) + 1
    client.set_tag(run_id, READS_TAG, str(reads))
    return reads


def reads_by_other_studies(client: Client, run_id: str) -> dict[str, int]:
    """Returns which other studies read the test part that this one read, and how often each."""
    client = client.doing("count reads of the same test part")
    tags = client.get_run(run_id).data.tags
    if not tags.get(TEST_PART_TAG):
        return {}
    found: dict[str, int] = {}
    for run in parents_of(client, test_part=tags[TEST_PART_TAG]):
        study, reads = run.data.tags["study"], int(run.data.tags.get(READS_TAG, "0"))
        if study != tags["study"] and reads:
            found[study] = max(reads, found.get(study, 0))
    return dict(sorted(found.items()))


def test_reads(client: Client, run_id: str) -> int:
    """Returns how often the test part was read."""
    return _reads_of(client.doing("read the count of test reads"), run_id)


def _reads_of(client: Client, run_id: str) -> int:
    return int(client.get_run(run_id).data.tags.get(READS_TAG, "0"))


def log_test_result(client: Client, run_id: str, result: TestResult) -> None:
    """Logs the result on the test part as metrics ``test_ce``, ..., at step ``reads``."""
    values = {f"{TEST_PREFIX}{f.name}": float(getattr(result, f.name)) for f in fields(TestResult)}
    client = client.doing("log the test result")
    client.log_in_batches(run_id, points(values, step=result.reads))


def read_test_result(client: Client, run_id: str) -> TestResult | None:
    """Returns the last result on the test part; None before the first read."""
    values = client.doing("read the test result").get_run(run_id).data.metrics
    names = [entry.name for entry in fields(TestResult)]
    if any(f"{TEST_PREFIX}{name}" not in values for name in names):
        return None
    found = {name: finite_or_infinite(values[f"{TEST_PREFIX}{name}"]) for name in names}
    reads = int(found.pop("reads"))
    return TestResult(**found, reads=reads)


def keep_test_examples(client: Client, run_id: str, examples: TestExamples) -> None:
    """Keeps the results per test example of what was measured there."""
    client = client.doing(f"keep {TEST_EXAMPLES_FILE}")
    address = client.get_run(run_id).info.artifact_uri
    client.write_artifacts(address, {TEST_EXAMPLES_FILE: pack_test_examples(examples)})


def read_test_examples(client: Client, run_id: str) -> TestExamples | None:
    """Returns them; None before the test part was read."""
    client = client.doing(f"read {TEST_EXAMPLES_FILE} of run {run_id}")
    address = client.get_run(run_id).info.artifact_uri
    data = client.read_artifact(address, TEST_EXAMPLES_FILE)
    if data is None:
        return None
    with readable(TEST_EXAMPLES_FILE, run_id, ""):
        return unpack_test_examples(data)


def log_report(client: Client, run_id: str, files: Mapping[str, str | bytes]) -> None:
    """Writes pages under ``report/``; a Markdown page becomes the run's description, too."""
    client = client.doing("keep the report")
    run = client.get_run(run_id)
    pages = {f"report/{name}": content for name, content in files.items()}
    client.write_artifacts(run.info.artifact_uri, pages)
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
    client: Client,
    record: StudyRecord,
    verdicts: Mapping[int, str],
    reasons: Mapping[int, str] | None = None,
) -> None:
    """Tags trials with their verdicts and the numbers behind them; what is there costs nothing."""
    if record.run_id is None:
        return
    client, because = client.doing("tag verdicts"), reasons or {}
    runs = children_of(client, [client.get_run(record.run_id)])
    for number, verdict in verdicts.items():
        wanted = {"verdict": verdict, "verdict_because": because.get(number, "")}
        known = runs[number].data.tags if number in runs else wanted
        changed = {key: value for key, value in wanted.items() if value and known.get(key) != value}
        if changed:
            client.log_in_batches(runs[number].info.run_id, tags=changed)


def mark_winner(
    client: Client, record: StudyRecord, number: int, delivered: Sequence[str] = ()
) -> None:
    """Tags the winner's run ``winner=true``, no other's; tags the parent, too.

    Where given, the runs whose weights are delivered are tagged ``delivered=true``.
    """
    if record.run_id is None:
        return
    client = client.doing("mark the winner")
    for other, run in children_of(client, [client.get_run(record.run_id)]).items():
        if other == number:
            client.log_in_batches(run.info.run_id, tags={"winner": "true"})
        elif "winner" in run.data.tags:
            client.delete_tag(run.info.run_id, "winner")
    client.set_tag(record.run_id, "winner", str(number))
    if delivered:
        _mark_delivered(client, record.run_id, delivered)


def _mark_delivered(client: Client, run_id: str, delivered: Sequence[str]) -> None:
    """Tags the runs whose weights are delivered, takes the tag off others, and tags the parent."""
    for run in finalists_of(client, [client.get_run(run_id)]):
        if run.info.run_id in delivered:
            client.set_tag(run.info.run_id, "delivered", "true")
        elif "delivered" in run.data.tags:
            client.delete_tag(run.info.run_id, "delivered")
    client.set_tag(run_id, DELIVERED_TAG, ",".join(delivered))
