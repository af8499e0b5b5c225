"""After a report the user reads how to use its model, or how to come back to the locked choice."""

from dataclasses import replace

import pytest

from pipeline.report.next_command import next_command
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select

URI = "models:/digits-least-overfit/3"


@pytest.fixture
def report(make_trial, make_study):
    study = make_study(make_trial(0), make_trial(1, gap_ce=0.01))
    return Report(study, select(study, RuleSettings()))


@pytest.mark.parametrize(
    ("alias", "model"),
    [
        ("champion", "models:/digits-least-overfit@champion"),
        ("challenger", "models:/digits-least-overfit@challenger"),
        (None, URI),
    ],
)
def test_a_delivered_model_is_used_next(alias, model, report):
    words = next_command(replace(report, model_uri=URI, alias=alias))
    assert words == ["pipeline", "predict", "--model", model, "--input", "FILE"]


def test_a_what_if_by_another_rule_leads_back_to_the_locked_choice(report):
    other = replace(report, selection=select(report.study, RuleSettings(name="best_val")))
    assert next_command(other) == ["pipeline", "report", "--study", report.study.study]


def test_a_report_without_a_model_says_itself_what_to_do(report, make_trial, make_study):
    assert next_command(report) == []
    study = make_study(make_trial(0, val_ce=2.31, accuracy=0.1))
    hopeless = select(study, RuleSettings(name="best_val"))
    assert hopeless.status == "no_skill"
    assert next_command(Report(study, hopeless)) == []
