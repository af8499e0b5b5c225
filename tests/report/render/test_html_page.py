"""The HTML page: whole without its parts, self-contained, escaped, and with the same numbers."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from full_reports import full_report

from pipeline.report import figures
from pipeline.report.render import render
from pipeline.report.render.json import as_json
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text
from pipeline.report.report import Report
from pipeline.report.sections import answer, comparison, notes, overview
from pipeline.selection.records import RuleSettings, Verdict
from pipeline.selection.select import select

VOID = {"meta", "br", "hr", "img", "link"}
EVIL = '<script>alert("x")</script>$\\frac{'


class Checker(HTMLParser):
    """Collects ids, tags, links and text, and checks that every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.tags, self.links, self.text = [], [], set(), [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src", "xlink:href") if key in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def checked(page):
    found = Checker()
    found.feed(page)
    assert found.open == []
    return found


def words(found):
    return re.sub(r"\s+", " ", " ".join(found.text))


@pytest.mark.slow
def test_the_page_is_one_file_with_every_picture_and_unique_ids(with_finalists):
    page = render(with_finalists, "html")
    found = checked(page)
    assert page.startswith("<!DOCTYPE html>")
    assert not found.tags & {"script", "link", "iframe", "img", "object"}
    assert all(link.startswith("#") for link in found.links)
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links} <= set(found.ids)
    # Twice each: for a wide and for a narrow screen.
    assert page.count("<svg") == 2 * len(figures.FIGURES)
    assert page.count('role="img"') == 2 * len(figures.FIGURES)
    assert len(page) < 1_000_000


@pytest.mark.slow
def test_every_format_has_the_same_facts_in_the_same_order(with_finalists):
    texts = [re.sub(r"\s+", " ", page(with_finalists)) for page in (as_text, as_markdown)]
    html = words(checked(render(with_finalists, "html")))
    facts = [
        *overview.headline(with_finalists).lines,
        *answer.conclusion(with_finalists).lines,
        *(entry.label for entry in answer.numbers(with_finalists).entries),
        *notes.notes(with_finalists).lines,
        "Side by side",
        "What the choice costs",
        *comparison.introduction(with_finalists).lines,
        "Finalists",
        "What each technique buys on its own",
        "models:/digits-least-overfit/1",
    ]
    for page in (*texts, html):
        places = [page.rindex(fact) for fact in facts]
        assert places == sorted(places)
    found = [set(re.findall(r"\d\.\d{4}", page.split("Trials")[0])) for page in texts]
    assert found[0] == found[1]
    assert found[0] <= set(re.findall(r"\d\.\d{4}", html))


@pytest.mark.slow
def test_what_users_name_is_escaped_everywhere(make_trial, make_study):
    report = full_report(make_trial, make_study, num_test=60, names=(EVIL, "b"))
    trials = [replace(report.study.trials[0], name=EVIL), *report.study.trials[1:]]
    failed = make_trial(99, state="FAIL", measurement=None, validation=None, cause=EVIL)
    study = replace(report.study, dataset=EVIL, study=EVIL, trials=(*trials, failed))
    notes = replace(report.selection, notes=(EVIL,), excluded={99: EVIL}, verdicts={
        **report.selection.verdicts, 99: Verdict("failed", "no cause was recorded")})  # fmt: skip
    page = render(replace(report, study=study, selection=notes, extras={EVIL: EVIL}), "html")
    assert "<script" not in page.lower()
    assert page.count("&lt;script&gt;") > 8
    checked(page)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([], "The study has no trials."),
        ([{"val_ce": 2.4, "accuracy": 0.1}], "No trial is better than guessing"),
        ([{"state": "FAIL", "measurement": None}], "ended with usable measures (1 FAIL)"),
        ([{}], "Only one trial could be chosen: no selection took place."),
    ],
)
def test_a_page_is_whole_and_honest_when_there_is_little_to_show(
    make_trial, make_study, trials, expected
):
    study = make_study(*(make_trial(n, **wanted) for n, wanted in enumerate(trials)))
    report = Report(study, select(study, RuleSettings()))
    page = words(checked(render(report, "html")))
    assert expected in page
    if report.selection.winner is not None:
        assert "Test part: not read for this choice" in page
        assert "Each trial was trained once" in page


@pytest.mark.parametrize("absent", ["confirmation", "test", "tested", "test_examples"])
def test_text_and_json_are_whole_without_any_one_part(with_finalists, absent):
    nothing = {} if absent == "tested" else None
    report = replace(with_finalists, **{absent: nothing})
    data, text = as_json(report), as_text(report)
    assert data["winner"] == with_finalists.selection.winner
    assert (data["optimism"] is None) == (absent == "test_examples")
    assert ("Finalists" in text) == (absent != "confirmation")
    assert ("Optimism" in text) == (absent != "test_examples")
    assert ("What the choice costs" in text) == (absent != "test_examples")
    assert ("Test accuracy" in text) == (absent != "test")


def test_only_the_winners_rows_stand_out_whatever_a_class_is_called(make_trial, make_study):
    report = full_report(make_trial, make_study, num_test=60, names=("> a", "winner"))
    rows = re.findall(r'<tr class="winner"><td [^>]*>(.*?)</td>', render(report, "html"))
    # Side by side, the finalists, how often each is picked, all trials.
    assert rows == ["winner", "&gt; 2", "&gt; 2", "&gt;"]


def test_what_stands_between_backticks_is_code(make_study):
    study = make_study()
    page = render(Report(study, select(study, RuleSettings())), "html")
    assert "run <code>pipeline search --dataset digits --study digits-a1</code>." in page


def folds(page):
    return dict(re.findall(r'<details id="([\w-]+)"( open)?>', page))


@pytest.mark.slow
def test_sections_fold_and_only_what_everybody_needs_is_unfolded(with_finalists):
    found = folds(render(with_finalists, "html"))
    assert [name for name, is_open in found.items() if is_open] == ["notes", "compared"]
    assert list(found) == [
        "notes", "compared", "choice", "techniques", "hyperparameters", "errors", "trials", "data",
        "again",
    ]  # fmt: skip


def test_no_part_and_no_card_is_empty(make_study):
    study = make_study()
    page = render(Report(study, select(study, RuleSettings())), "html")
    assert "<figure" not in page
    assert "missing" in folds(page)
    assert {"notes", "compared", "errors"}.isdisjoint(folds(page))
    assert "Learning curves: No learning curves were kept." in page


@pytest.mark.slow
def test_every_column_has_one_meaning_and_its_numbers_stand_at_the_right(with_finalists):
    page = render(with_finalists, "html")
    for table in re.findall(r"<table>.*?</table>", page, re.S):
        headings = re.findall(r"<th [^>]*>(.*?)</th>", table)
        assert len(headings) == len(set(headings)), headings
        assert "95%" not in headings
        for cell in re.findall(r'<td class="([\w ]+)" data-column="(.*?)">([^<]*)</td>', table):
            classes, heading, shown = cell
            assert heading in headings
            if re.fullmatch(r"[-+]?\d[\d.,]*%?( \(.*\))?", shown) and heading != "class":
                assert "number" in classes.split(), cell


def test_the_page_unfolds_on_paper_and_shows_every_cell_on_a_phone(make_study):
    study = make_study()
    page = render(Report(study, select(study, RuleSettings())), "html")
    on_paper = page.split("@media print")[1].split("</style>")[0]
    assert "details::details-content { content-visibility: visible;" in on_paper
    narrow = page.split("(max-width: 44rem)")[1].split("@media")[0]
    for rule in (".wide { display: none; }", ".narrow { display: block; }", "attr(data-column)"):
        assert rule in narrow
