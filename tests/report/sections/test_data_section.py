"""The data's findings in a report: in every format, escaped where that is needed."""

from dataclasses import replace

import pytest
from full_reports import NOTES

from pipeline.records import DataNotes
from pipeline.report.render import render
from pipeline.report.render.json import as_json
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select


@pytest.fixture
def report(make_trial, make_study):
    def make(notes):
        study = replace(make_study(make_trial(0)), data=notes)
        return Report(study, select(study, RuleSettings()))

    return make


@pytest.mark.parametrize("page", ["text", "markdown", "html"])
def test_findings_stand_in_every_format(report, page):
    shown = " ".join(render(report(NOTES), page).split())
    assert "The data" in shown
    assert "groups: train 60, validation 20, test 20." in shown
    assert "<i>" not in shown or page == "text"


@pytest.mark.parametrize("notes", [None, DataNotes(("label 'a' (2 classes)",), ())])
def test_nothing_found_is_no_section(report, notes):
    assert "The data" not in render(report(notes), "text")


def test_json_has_codes_and_says_whether_anybody_looked(report):
    assert as_json(report(None))["data_findings"] is None
    assert as_json(report(DataNotes((), ())))["data_findings"] == []
    assert [found["code"] for found in as_json(report(NOTES))["data_findings"]] == [
        "groups",
        "rare",
    ]
