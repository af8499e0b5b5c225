"""The HTML page in Chromium: what fits on the first screen, how long it is, and nothing cut off."""

import re
from functools import lru_cache
from pathlib import Path

import pytest
from browser import CHROMIUM, measured
from full_reports import full_report

from pipeline.report.render import render
from pipeline.report.report import Report
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)"),
]

LONGEST = 4500
"""Pixels of the page at 1280 pixels' width, its folds as they are when it opens."""

PHONE = (390, 844)


def whole(make_trial, make_study):
    return full_report(make_trial, make_study)


def one_trial(make_trial, make_study):
    study = make_study(make_trial(0))
    return Report(study, select(study, RuleSettings()))


def no_skill(make_trial, make_study):
    study = make_study(*(make_trial(number, val_ce=2.4, accuracy=0.1) for number in range(3)))
    return Report(study, select(study, RuleSettings()))


REPORTS = {report.__name__: report for report in (whole, one_trial, no_skill)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Writes the page of a report of this name, once."""
    folder = tmp_path_factory.mktemp("pages")

    @lru_cache
    def page(name, make_trial, make_study):
        path: Path = folder / f"{name}.html"
        path.write_text(render(REPORTS[name](make_trial, make_study), "html"), encoding="utf-8")
        return path

    return page


@pytest.fixture(params=REPORTS)
def page(request, pages, make_trial, make_study):
    return pages(request.param, make_trial, make_study)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen_even_unfolded(page, width):
    found = measured(
        page,
        """(page.querySelectorAll("details").forEach(fold => fold.open = true),
        [page.documentElement.scrollWidth, ...[...page.querySelectorAll("svg, table, td, pre")]
          .map(shown => shown.getBoundingClientRect()).filter(box => box.width > 0)
          .map(box => Math.floor(box.right))])""",
        width,
    )
    assert max(found) <= width


def test_the_page_is_not_too_long(page):
    assert measured(page, "page.documentElement.scrollHeight", 1280, 800) <= LONGEST


@pytest.mark.parametrize(("width", "height"), [(1280, 800), PHONE])
def test_the_first_screen_has_the_answer_its_numbers_and_the_picture(
    pages, make_trial, make_study, width, height
):
    page = pages("whole", make_trial, make_study)
    bottoms = measured(
        page,
        """[".lead", ".answer", ".numbers", "#picture-tradeoff svg"].map(name =>
        Math.max(...[...page.querySelectorAll(name)].map(shown =>
          shown.getBoundingClientRect().bottom)))""",
        width,
        height,
    )
    assert all(0 < bottom <= height for bottom in bottoms), bottoms


def test_verdict_and_gap_of_every_trial_are_seen_on_a_phone(pages, make_trial, make_study):
    page = pages("whole", make_trial, make_study)
    found = measured(
        page,
        """(page.querySelector("#trials").open = true,
        [...page.querySelectorAll("#trials td")].filter(cell =>
          ["verdict", "val gap (95%)"].includes(cell.dataset.column)).map(cell =>
          [cell.getBoundingClientRect().right, getComputedStyle(cell).display,
           cell.textContent]))""",
        *PHONE,
    )
    assert len(found) == 2 * 26
    assert all(right <= PHONE[0] and shown == "block" for right, shown, _ in found)
    assert all(re.fullmatch(r"[a-z_]+|-?\d.*\)", text) for *_, text in found)


@pytest.mark.parametrize(("width", "drawn"), [(1280, "wide"), (390, "narrow")])
def test_every_picture_is_shown_once(pages, make_trial, make_study, width, drawn):
    page = pages("whole", make_trial, make_study)
    found = measured(
        page,
        """(page.querySelectorAll("details").forEach(fold => fold.open = true),
        [...page.querySelectorAll("figure > div")].filter(shown =>
          shown.getBoundingClientRect().height > 0).map(shown => shown.className))""",
        width,
    )
    assert found == [drawn] * 9
