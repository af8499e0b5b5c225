"""The winner's place in the search space: an edge of it is a warning."""

import re
from dataclasses import replace

from pipeline.records import TrialConfig
from pipeline.report.render.json import as_json
from pipeline.report.render.text import as_text
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select


def test_off_is_no_edge_and_an_edge_is_a_warning(make_trial, make_study):
    at_edge = TrialConfig(depth=3, dropout_rate=0.1)
    study = replace(
        make_study(make_trial(0, config=at_edge)),
        definition={"space": {"search": {"depth": {"low": 1, "high": 3}}}},
    )
    report = Report(study, select(study, RuleSettings()))
    told = (
        "The winner's depth (3) lies at the edge of the search space, whose largest value is 3: "
        "better ones may lie outside. Raise the limit and search again."
    )
    assert as_json(report)["warnings"] == [told]
    assert told in re.sub(r"\s+", " ", as_text(report))
