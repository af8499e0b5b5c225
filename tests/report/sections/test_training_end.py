"""A winner that needed more epochs than it was allowed is told, in every format."""

from dataclasses import replace

import pytest

from pipeline.report.content import EVERY_FORMAT
from pipeline.report.render import render
from pipeline.report.sections.training_end import warnings

TOLD = (
    "The winner, trial 0, was still improving when its training ended: its best epoch is the last "
    "of the 6 that were allowed. Search again with a larger limit, --epochs 12, in another study "
    "(--study NAME)."
)


@pytest.fixture
def report(make_trial, report_on):
    def build(best_epoch, definition):
        made = report_on(make_trial(0, best_epoch=best_epoch))
        return replace(made, study=replace(made.study, definition=definition))

    return build


def test_a_best_epoch_before_the_last_one_is_no_warning(report):
    assert warnings(report(5, {"space": {"epochs": 6}})) == []
    assert warnings(report(6, {"space": {"epochs": 7}})) == []
    assert warnings(report(6, {})) == []


def test_a_best_epoch_that_is_the_last_one_is_told_with_the_option(report):
    assert warnings(report(6, {"space": {"epochs": 6}})) == [TOLD]


def test_a_trial_with_epochs_of_its_own_was_allowed_these(report):
    made = report(6, {"space": {"epochs": 50}})
    (trial,) = made.study.trials
    short = replace(trial, config=replace(trial.config, more=(("epochs", 6),)))
    (line,) = warnings(replace(made, study=replace(made.study, trials=(short,))))
    assert "is the last of the 6 that were allowed" in line
    assert "Search again with larger numbers of epochs in the search space" in line


@pytest.mark.parametrize("page", [*EVERY_FORMAT, "json"])
def test_every_format_says_so(page, report):
    words = render(report(6, {"space": {"epochs": 6}}), page).replace("&#39;", "'")
    assert "was still improving when its training ended" in " ".join(words.split())


def test_of_finalists_the_delivered_seed_decides(with_finalists):
    space = {"space": {"epochs": with_finalists.delivered.measurement.best_epoch}}
    (line,) = warnings(
        replace(with_finalists, study=replace(with_finalists.study, definition=space))
    )
    assert line.startswith(f"The winner, trial {with_finalists.selection.winner}, was still")
