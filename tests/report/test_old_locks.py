"""Choices that older versions locked are shown again as they were: real records of theirs.

A record in ``locks/`` is the ``selection.json`` that a scripted study's report with three seeds and
three finalists left at that version's commit, which stands in it.
"""

import json
import re
from pathlib import Path

import pytest
from scripted_studies import as_older_versions

from pipeline.report import finalists
from pipeline.report import run as module
from pipeline.report.render import FORMATS, render
from pipeline.report.render.json import as_json
from pipeline.tracking.codec import LOCK_TAG, REGISTERED_TAG, REPORTED_TAG, TESTED_TAG

BEFORE_ENSEMBLES = Path(__file__).parent / "locks" / "version_0_1_0_before_ensembles.json"


@pytest.fixture
def old(scripted_study):
    """Returns the old record, and what that version left: its runs, its reading, its model."""
    with as_older_versions():
        made, _ = scripted_study.report(seeds=3, finalists=3)
    text = BEFORE_ENSEMBLES.read_text()
    # The runs have other ids here; all else is what that version wrote.
    for finalist in json.loads(text)["finalists"]:
        ours = made.several_seeds(finalist["number"]).runs
        for run, own in zip(finalist["runs"], ours, strict=True):
            assert run["val_ce"] == pytest.approx(own.measurement.val_ce, abs=1e-7)
            text = text.replace(run["run_id"], own.mlflow_run_id)
    record, store, run_id = json.loads(text), scripted_study.store, made.study.run_id
    digest = store.lock_selection(run_id, record, replace=True)
    for tag in (TESTED_TAG, REGISTERED_TAG, REPORTED_TAG):
        store.set_tag(run_id, tag, digest)
    return record


def test_a_record_from_before_ensembles_is_shown_again(scripted_study, old, monkeypatch):
    def refused(*arguments):
        raise AssertionError("an old choice is shown, nothing is trained or read")

    monkeypatch.setattr(finalists, "train", refused)
    monkeypatch.setattr(module, "load_dataset", refused)
    shown, said = scripted_study.report()
    assert said == []
    assert (shown.selection.winner, shown.selection.reference) == (old["winner"], old["reference"])
    assert list(shown.selection.eligible) == old["eligible"]
    assert [f.number for f in shown.confirmation.finalists] == [
        finalist["number"] for finalist in old["finalists"]
    ]
    assert shown.delivered.mlflow_run_id == old["delivered_run"]
    assert shown.test is not None and shown.test.reads == 1 and not shown.tested_trainings
    assert shown.model_uri == "models:/digits/1"
    page = as_json(shown)
    assert page["delivered"]["deliver"] == "median"
    assert page["finalists"][0]["val_ce"] == pytest.approx(old["finalists"][0]["val_ce"])
    for name in FORMATS:
        text = " ".join(re.sub("<[^>]*>", " ", render(shown, name)).split())
        assert "this choice was locked by an older version, which delivered the winner's" in (
            text.replace("&#39;", "'")
        )
        if name in ("text", "html"):
            assert f"by version 0.1.0, commit {old['commit'][:12]}" in text
    assert scripted_study.store.tag(shown.study.run_id, LOCK_TAG)[:12] in render(shown, "text")


def test_another_wish_on_it_is_a_what_if(scripted_study, old):
    shown, _ = scripted_study.report(deliver="ensemble")
    assert shown.test is None and shown.model_uri is None
    assert shown.selection.notes[-1].startswith(
        f"what-if: the choice is locked on trial {old['winner']}, made by version 0.1.0, which "
        "delivered the seed with the median val CE; this one cannot read the test part."
    )
