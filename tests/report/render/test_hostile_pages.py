"""Names as an attacker would choose them: no page runs them, no file leaves its folder."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from full_reports import full_report
from odd_names import ODD

from pipeline.report.render import render
from pipeline.report.render.files import write_html
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text

EVIL = "\"><img src=x onerror=alert(1)> {{ 7*7 }} '&<script>"


@pytest.fixture
def hostile(make_trial, make_study):
    """A report on which everything that has a name is called EVIL."""
    names = tuple(f"{EVIL}{label}" for label in range(10))
    report = full_report(make_trial, make_study, names=names)
    study = report.study
    trials = [replace(trial, name=trial.name and EVIL) for trial in study.trials]
    definition = study.definition | {"source": EVIL}
    named = {"study": EVIL, "dataset": EVIL, "trials": tuple(trials), "definition": definition}
    return replace(report, study=replace(study, **named), model_uri=EVIL, extras={EVIL: EVIL})


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)


@pytest.mark.slow
def test_no_name_becomes_markup_on_the_page(hostile):
    page, found = render(hostile, "html"), Elements()
    found.feed(page)
    assert not found.tags & {"img", "script", "iframe", "object", "link", "base"}
    assert not [name for name in found.attributes if name.startswith("on") or name == "src"]
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10
    assert "{{ 7*7 }}" in page  # shown, not computed
    assert "<img" not in page


def test_no_name_becomes_markup_in_markdown(hostile):
    page = as_markdown(hostile)
    assert page.count(r"\<img src=x onerror=alert(1)\>") > 3
    assert page.count("<img") == page.count(r"\<img")


def test_the_terminal_gets_no_escape_code_out_of_a_store(hostile):
    study = replace(hostile.study, dataset="\x1b]0;x\x07red\x1b[31m", study="a\x9bb")
    page = as_text(replace(hostile, study=study))
    assert "?]0;x?red?[31m" in page
    assert all(sign.isprintable() or sign == "\n" for sign in page)


@pytest.mark.parametrize("name", [*ODD, "..", ".", "a\x00b", "木" * 300, "~"])
def test_a_page_is_written_into_its_folder(name, hostile, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.report.render.files.render", lambda report, page: "page")
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    path = write_html(replace(hostile, study=replace(hostile.study, study=name)), folder)
    assert [path] == [entry for entry in tmp_path.rglob("*") if entry.is_file()]
    assert path.parent == folder
