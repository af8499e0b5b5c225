"""Pages of a locked report are kept with a key of all that they show, and shown again unchanged."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from full_reports import full_report

from pipeline.report.render import json as json_page
from pipeline.report.render import kept, render
from pipeline.report.render.kept import KEPT_FILE, PAGES, kept_page, key_of, record_of
from pipeline.report.report import Report, Size
from pipeline.tracking.client import Client
from pipeline.tracking.models.champion import CHAMPION


@pytest.fixture
def made(make_trial, make_study):
    """Returns the same report, made anew at every call."""
    return lambda: full_report(make_trial, make_study)


def files_of(report, **changed):
    pages = {name: f"the {format_} page" for format_, name in PAGES.items()}
    return pages | {KEPT_FILE: record_of(report, pages)} | changed


def read_from(files):
    found = {name: text.encode() for name, text in files.items() if text is not None}
    return found.get


def test_a_kept_page_is_given_again_for_the_same_report_made_anew(made):
    files = files_of(made())
    for format_ in PAGES:
        assert kept_page(made(), format_, read_from(files)) == f"the {format_} page"
    assert kept_page(made(), "text", read_from(files)) is None  # its width is the terminal's
    with_kept = replace(made(), kept=lambda report, page: kept_page(report, page, read_from(files)))
    assert render(with_kept, "html") == "the html page"
    assert render(with_kept, "text") == render(made(), "text")


def trial_changed(report, **changed):
    trials = list(report.study.trials)
    trials[3] = replace(trials[3], **changed)
    return replace(report, study=replace(report.study, trials=tuple(trials)))


def moved(report):
    """One cross-entropy of one validation example, by its last bit."""
    results = report.study.trials[3].validation
    nll = results.nll.copy()
    nll[7] = np.nextafter(nll[7], 9.0)
    return trial_changed(report, validation=replace(results, nll=nll))


def other_settings(report):
    selection = report.selection
    return replace(report, selection=replace(selection, rule=replace(selection.rule, k=1.5)))


def other_seed(report):
    found = report.confirmation
    seeds = (*found.seeds[:-1], found.seeds[-1] + 1)
    return replace(report, confirmation=replace(found, seeds=seeds))


CHANGES = {
    "an example's loss": moved,
    "a curve": lambda report: trial_changed(report, curves={"val_ce": (0.5, 0.25)}),
    "a state": lambda report: trial_changed(report, state="FAIL"),
    "a cause": lambda report: trial_changed(report, cause="no memory"),
    "a trial less": lambda report: replace(
        report, study=replace(report.study, trials=report.study.trials[:-1])
    ),
    "the definition": lambda report: replace(
        report, study=replace(report.study, definition={"epochs": 7})
    ),
    "a constant of the rule": other_settings,
    "a note": lambda report: replace(
        report, selection=replace(report.selection, notes=("see here",))
    ),
    "a seed": other_seed,
    "the test result": lambda report: replace(report, test=replace(report.test, ce=0.5)),
    "the champion": lambda report: replace(report, alias=CHAMPION),
    "a line": lambda report: replace(report, extras={}),
    "the size": lambda report: replace(report, sizes={"delivered": Size(1, 0.1)}),
    "other reads": lambda report: replace(report, other_reads={"another": 2}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_page_is_given_for_another_report(made, change):
    other = CHANGES[change](made())
    assert key_of(other) != key_of(made())
    assert kept_page(other, "json", read_from(files_of(made()))) is None


def test_the_key_covers_every_field_but_the_one_that_finds_pages(made, monkeypatch):
    fed = []
    monkeypatch.setattr(kept, "_feed", lambda digest, value: fed.append(value))
    report = made()
    key_of(report)
    assert len(fed) == len(Report.__dataclass_fields__) - 1
    monkeypatch.undo()
    assert key_of(replace(report, kept=lambda *_: None)) == key_of(report)


@pytest.mark.parametrize("where", ["code", "library"])
def test_no_page_of_another_version_is_given(made, where, monkeypatch, tmp_path):
    before = key_of(made())
    kept._surroundings.cache_clear()
    if where == "code":
        (tmp_path / "template.html").write_text("another page")
        monkeypatch.setattr(kept.pipeline, "__file__", str(tmp_path / "__init__.py"))
    else:
        monkeypatch.setattr(kept.metadata, "version", lambda name: "99")
    assert key_of(made()) != before
    monkeypatch.undo()
    kept._surroundings.cache_clear()
    assert key_of(made()) == before


def test_a_page_that_was_changed_is_missing_or_has_no_record_is_made_anew(made):
    report = made()
    for files in (
        files_of(report, **{"report.json": "{}"}),
        files_of(report, **{"report.json": None}),
        files_of(report, **{KEPT_FILE: None}),  # an older version's
        files_of(report, **{KEPT_FILE: "no JSON"}),
        files_of(report, **{KEPT_FILE: "[1]"}),
        files_of(report, **{KEPT_FILE: json.dumps({"key": key_of(report)})}),
    ):
        assert kept_page(report, "json", read_from(files)) is None


def test_a_report_of_which_no_key_can_be_made_keeps_no_pages(made):
    odd = replace(made(), extras={"what": object()})
    with pytest.raises(TypeError, match="a report holds a object, of which no key can be made"):
        key_of(odd)
    # Its pages are written all the same, and made anew each time: the test part has been read.
    assert json.loads(record_of(odd, {}))["key"] is None
    assert kept_page(odd, "json", read_from(files_of(odd))) is None


def test_a_finished_study_is_shown_again_by_few_questions_and_no_drawing(
    scripted_study, monkeypatch
):
    first, _ = scripted_study.report(seeds=2, finalists=2)
    expected = render(first, "json")
    asked = Counter()
    call = Client.call

    def counting(self, function, *arguments, **named):
        asked[function.__name__] += 1
        return call(self, function, *arguments, **named)

    monkeypatch.setattr(Client, "call", counting)
    again, _ = scripted_study.report()
    # The study's parent, its trials, its finalists, what was deleted, readers of the test part.
    assert asked["search_runs"] == 5
    finalists = [run for f in again.confirmation.finalists for run in f.runs]
    others = [run for other in again.confirmation.others for run in other.runs]
    # One file of each trial, two of each finalist, ten of the study's own at most.
    assert asked["read"] <= len(again.study.trials) + 2 * len([*finalists, *others]) + 10
    with monkeypatch.context() as patch:
        patch.setattr(json_page, "as_json", None)
        assert render(again, "json") == expected
    # What is kept is what would be made.
    assert render(replace(again, kept=None), "json") == expected
