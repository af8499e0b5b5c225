"""Reports for the tests of pages, and studies by script for those that read a store."""

import pytest
from full_reports import full_report
from scripted_studies import scripted_study  # noqa: F401 - a fixture

from pipeline.records import TestResult, TrialConfig
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select

TEST = TestResult(0.31234567, 0.29, 0.33, 0.91, 0.89, 0.93, 0.06, 0.04, 0.08, 1)


@pytest.fixture
def report_on(make_study):
    """A report on trials; keywords are constants of the rule."""

    def build(*trials, test=None, model_uri=None, **constants):
        study = make_study(*trials)
        selection = select(study, RuleSettings(**constants))
        return Report(study, selection, test, model_uri, extras={"MLflow run": "parent"})

    return build


@pytest.fixture
def every_state(make_trial, report_on):
    """A report with a trial in every state, a test result and a model, by one seed each."""
    elastic = TrialConfig(
        regularizer="l1_l2", lambda_l1=1e-5, lambda_l2=3.14159e-4, dropout_rate=0.25, max_norm=3.0
    )
    trials = [
        make_trial(0, name="baseline", gap_ce=0.2),
        make_trial(1, val_ce=0.301234567, gap_ce=0.0456789, config=elastic),
        make_trial(2, state="FAIL", measurement=None, validation=None, cause="no memory [OOM]"),
        make_trial(3, val_ce=float("nan")),
        make_trial(4, state="PRUNED"),
        make_trial(5, val_ce=2.4, accuracy=0.1),
        make_trial(6, state="RUNNING", measurement=None, validation=None),
        *(make_trial(number, val_ce=0.4 + number / 100) for number in range(7, 30)),
    ]
    return report_on(*trials, test=TEST, model_uri="models:/digits-least-overfit/1")


@pytest.fixture
def with_finalists(make_trial, make_study):
    """A report with finalists of three seeds and three models on the test part."""
    return full_report(make_trial, make_study)
