"""Whole pages of three reports, kept as files: whatever changes on a page shows in a diff.

``scripts/test tests/report/test_golden_pages.py --write-golden`` writes them anew; read the diff
before you commit it. In pictures numbers are rounded: the last digits are the processor's.
"""

import re
from functools import lru_cache
from pathlib import Path

import pytest
from full_reports import full_report

from pipeline.report.render import FORMATS, render
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select

FOLDER = Path(__file__).parent / "golden"
DRAWN = re.compile(r"(?<=<defs>).*?</svg>", re.DOTALL)
DECIMAL = re.compile(r"-?\d+\.\d+")
CLIP = re.compile(r"(?<=-)p[0-9a-f]{10}\b")
"""The name of a rectangle that cuts a drawing off: a hash of its numbers."""


def winner_differs_from_the_best(make_trial, make_study):
    """By one seed each: the winner overfits less than the best-validation trial."""
    trials = [
        make_trial(0, name="baseline", gap_ce=0.2),
        make_trial(1, val_ce=0.2995, gap_ce=0.15),
        make_trial(2, val_ce=0.301, gap_ce=0.04),
        make_trial(3, val_ce=0.5, gap_ce=0.01),
        make_trial(4, state="FAIL", measurement=None, validation=None, cause="no memory [OOM]"),
        make_trial(5, state="PRUNED"),
    ]
    study = make_study(*trials)
    return Report(study, select(study, RuleSettings()))


def no_skill(make_trial, make_study):
    trials = [make_trial(number, val_ce=2.31, accuracy=0.1, gap_ce=0.02) for number in range(4)]
    study = make_study(*trials)
    return Report(study, select(study, RuleSettings()))


REPORTS = {
    "winner_differs": winner_differs_from_the_best,
    "no_skill": no_skill,
    "finalists": full_report,
}


@lru_cache
def report_of(name, make_trial, make_study):
    return REPORTS[name](make_trial, make_study)


def rounded(page):
    """The page with the numbers in its pictures rounded, and names made of numbers counted."""
    places = {name: place for place, name in enumerate(dict.fromkeys(CLIP.findall(page)))}
    page = CLIP.sub(lambda name: f"p{places[name[0]]}", page)
    return DRAWN.sub(lambda svg: DECIMAL.sub(lambda n: f"{float(n[0]):.0f}", svg[0]), page)


def test_the_reports_are_what_their_names_say(make_trial, make_study):
    differs = report_of("winner_differs", make_trial, make_study).selection
    assert (differs.winner, differs.reference) == (2, 1)
    assert report_of("no_skill", make_trial, make_study).selection.status == "no_skill"
    assert report_of("finalists", make_trial, make_study).confirmation is not None


@pytest.mark.parametrize("page", FORMATS)
@pytest.mark.parametrize("name", REPORTS)
def test_pages_are_the_golden_ones(name, page, make_trial, make_study, request):
    shown = rounded(render(report_of(name, make_trial, make_study), page))
    file = FOLDER / f"{name}.{FORMATS[page]}"
    if request.config.getoption("--write-golden"):
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")
