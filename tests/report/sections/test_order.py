"""The order of the page: a new section is one entry, and every format shows it."""

from itertools import groupby

import pytest

from pipeline.report.content import EVERY_FORMAT, Column, Figure, Text, tabulate
from pipeline.report.render import render
from pipeline.report.sections import order

NAMES = Column("noun", str, align="left")
LENGTHS = Column("letters", lambda word: str(len(word)), formats=("html",))


@pytest.fixture
def page_with(make_trial, report_on, monkeypatch):
    """Adds one entry to the order and returns the page of a report in a format."""

    def page(format_, content, part="again", formats=EVERY_FORMAT):
        # At the end of its part: the page is grouped by parts.
        place = max(n for n, section in enumerate(order.SECTIONS) if section.part == part) + 1
        entry = order.Section(part, lambda report: content, formats)
        added = (*order.SECTIONS[:place], entry, *order.SECTIONS[place:])
        monkeypatch.setattr(order, "SECTIONS", added)
        return render(report_on(make_trial(0)), format_)

    return page


@pytest.mark.parametrize("format_", EVERY_FORMAT)
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (Text(("The moon was full.",), "Weather"), ["Weather", "The moon was full."]),
        (
            tabulate("Words", (NAMES, LENGTHS), ("moon", "stars"), "Short ones."),
            ["Words", "noun", "moon", "stars", "Short ones."],
        ),
        (Figure("moon", "Moon", "", "It is round."), ["Moon", "It is round."]),
    ],
    ids=["text", "table", "figure"],
)
def test_a_section_is_one_entry_and_appears_in_every_format(page_with, format_, content, lines):
    page = page_with(format_, content)
    places = [page.index(line) for line in lines]
    assert places == sorted(places)


@pytest.mark.parametrize("format_", EVERY_FORMAT)
def test_a_column_appears_in_its_formats_only(page_with, format_):
    page = page_with(format_, tabulate("Words", (NAMES, LENGTHS), ("moon",)))
    assert ("letters" in page) is (format_ == "html")


@pytest.mark.parametrize("format_", EVERY_FORMAT)
def test_a_section_appears_in_its_formats_only(page_with, format_):
    page = page_with(format_, Text(("The moon was full.",)), "notes", formats=("markdown",))
    assert ("The moon was full." in page) is (format_ == "markdown")


@pytest.mark.parametrize("format_", EVERY_FORMAT)
def test_text_without_lines_leaves_no_title(page_with, format_):
    assert "Weather" not in page_with(format_, Text((), "Weather"))


@pytest.mark.parametrize("format_", EVERY_FORMAT)
@pytest.mark.parametrize("style", ["paragraphs", "commands", "warning", "list"])
def test_every_style_shows_its_lines(page_with, format_, style):
    page = page_with(format_, Text(("First line.", "Second line."), "Weather", style), "notes")
    assert page.index("Weather") < page.index("First line.") < page.index("Second line.")


def test_sections_of_a_part_stand_together():
    """The page that has headings of parts groups by them: a part begins once."""
    parts = [section.part for section in order.SECTIONS]
    assert [*(part for part, _ in groupby(parts)), order.MISSING.name] == list(order.PARTS)
