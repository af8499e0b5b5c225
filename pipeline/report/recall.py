"""A report on a study from what tracking holds: nothing is trained, measured or read here.

In: a store, a study and a :class:`Decision`. Out: a :class:`Report`, on the locked choice with its
test results, or on another one as a what-if, without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.formatting import between, decimal
from pipeline.records import StudyRecord, TestResult
from pipeline.report.report import Report
from pipeline.selection.confirm import Decision
from pipeline.selection.records import Selection
from pipeline.tracking.codec import (
    LOCK_TAG,
    MODEL_TAG,
    REGISTERED_TAG,
    TEST_FILE,
    TESTED_TAG,
    TOTAL_TAG,
)

if TYPE_CHECKING:
    from pipeline.tracking import Tracking


def locked_report(store: Tracking, study: StudyRecord, decision: Decision) -> Report:
    """Returns the report of a locked study from what tracking holds."""
    run_id, selection = str(study.run_id), decision.selection
    tags = store.tags(run_id)
    total = tags.get(TOTAL_TAG)
    ended = len(selection.verdicts)
    if total is not None and ended < int(total):
        note = (
            f"the study has {ended} of {total} trials: the choice is locked on these. A longer "
            "study is another choice (--read-test-again)"
        )
        selection = _noted(selection, note)
    tested = _is_of_lock(tags, TESTED_TAG)
    return Report(
        study,
        selection,
        test=store.read_test_result(run_id) if tested else None,
        model_uri=tags.get(MODEL_TAG) if _is_of_lock(tags, REGISTERED_TAG) else None,
        extras=_provenance(store.read_selection(run_id), tags.get(LOCK_TAG)),
        confirmation=decision.confirmation,
        tested=_test_results(store, run_id) if tested else {},
        test_examples=store.read_test_examples(run_id) if tested else None,
    )


def _is_of_lock(tags: Mapping[str, str], step: str) -> bool:
    """Whether a step was done for the choice that is locked, not for one that it replaced."""
    return LOCK_TAG in tags and tags.get(step) == tags[LOCK_TAG]


def _test_results(store: Tracking, run_id: str) -> dict[int, TestResult]:
    """Returns what is kept of the results on the test part, by trial number."""
    kept = store.read_file(run_id, TEST_FILE)
    return {int(n): TestResult(**values) for n, values in json.loads(kept or "{}").items()}


def _provenance(locked: Mapping[str, Any] | None, digest: str | None) -> dict[str, str]:
    """Returns a line on what was locked, by which code, on which data; hashes cut short."""
    if locked is None:
        return {}
    commit = f", commit {locked['commit'][:12]}" if locked["commit"] else ""
    text = (
        f"selection {str(digest)[:12]}, by version {locked['version']}{commit}, sources "
        f"{locked['source_sha256'][:12]}, data {locked['data_sha256'][:12]}, split "
        f"{locked['split_id']}"
    )
    return {"Locked": text}


def _in_words(result: TestResult) -> str:
    return (
        f"accuracy {decimal(result.accuracy)}, cross-entropy {decimal(result.ce)}, gap "
        f"{decimal(result.gap_ce)} ({between(result.gap_ce_low, result.gap_ce_high)})"
    )


def what_if(
    store: Tracking, study: StudyRecord, decision: Decision, locked: Mapping[str, Any], change: str
) -> Report:
    """Returns a report on another choice than the locked one, with that one's test result."""
    note = (
        f"what-if: the choice is locked on trial {locked['winner']}, made {change}; this one "
        "cannot read the test part. --read-test-again locks it anew, and the reading is counted"
    )
    run_id = str(study.run_id)
    tags = store.tags(run_id)
    results = _test_results(store, run_id) if _is_of_lock(tags, TESTED_TAG) else {}
    extras = {
        f"Test, locked trial {number}": _in_words(result)
        for number, result in results.items()
        if number == locked["winner"]
    }
    if _is_of_lock(tags, REGISTERED_TAG):
        extras["Model of the locked trial"] = tags[MODEL_TAG]
    noted = _noted(decision.selection, note)
    return Report(study, noted, extras=extras, confirmation=decision.confirmation)


def _noted(selection: Selection, note: str) -> Selection:
    return replace(selection, notes=(*selection.notes, note))
