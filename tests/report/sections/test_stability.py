"""Stability of the choice: by the whole search, whatever the finalists say."""

from dataclasses import replace

from pipeline.report.render.json import as_json
from pipeline.report.report import Report
from pipeline.report.sections import stability
from pipeline.selection.records import RuleSettings
from pipeline.selection.select import select


def test_shares_among_the_finalists_and_of_the_search_are_both_said(with_finalists):
    among_finalists, of_search = stability.sentences(with_finalists).lines
    assert "Among the 3 finalists" in among_finalists
    assert "among all candidates" in of_search
    assert all("trial 2 in 100%" in line for line in (among_finalists, of_search))


def test_one_finalist_says_nothing_of_stability_but_the_search_does(with_finalists):
    winner = with_finalists.selection.winner
    only = [f for f in with_finalists.confirmation.finalists if f.number == winner]
    confirmation = replace(with_finalists.confirmation, finalists=tuple(only))
    report = replace(with_finalists, confirmation=confirmation)
    data = as_json(report)
    assert data["frequencies"] == {str(winner): 1.0}
    assert data["frequencies_search"] == as_json(with_finalists)["frequencies_search"]
    (line,) = stability.sentences(report).lines
    assert "among all candidates, by single trainings, of 200 resamples" in line
    assert stability.table(report).headings[3:] == ("by single trainings",)


def test_the_warning_of_an_unstable_choice_rests_on_the_search(
    make_trial, make_study, with_finalists
):
    noisy = [make_trial(n, gap_ce=0.1 + n / 1000, noise=0.5) for n in range(8)]
    first = with_finalists.confirmation.finalists[0]
    study = make_study(*noisy)
    selection = select(study, RuleSettings())
    winner = replace(first, number=selection.winner, runs=(noisy[selection.winner],) * 3)
    confirmation = replace(with_finalists.confirmation, finalists=(winner,))
    report = Report(study, selection, confirmation=confirmation)
    data = as_json(report)
    share = data["frequencies_search"].get(str(selection.winner), 0.0)
    assert data["frequencies"] == {str(selection.winner): 1.0}
    assert share < 0.5
    assert data["warnings"][0].startswith(
        f"The choice is not stable: by single trainings the winner is picked in {share:.0%} of"
    )
