"""The table of trials, and why each trial lost."""

import re
from dataclasses import replace

from pipeline.report.sections import trials


def numbers(lines):
    return [int(re.match(r"Trial (\d+)", line)[1]) for line in lines if line.startswith("Trial")]


def test_winner_best_and_references_are_always_in_the_short_table(make_trial, report_on):
    many = [make_trial(number, gap_ce=number / 1000) for number in range(20)]
    best = make_trial(30, val_ce=0.299, gap_ce=0.25)
    named = make_trial(31, name="notebook_l1", val_ce=2.0, accuracy=0.5)
    table = trials.short_table(report_on(*many, best, named))
    rows = {row[1]: row for row in table.rows}
    assert len(rows) == trials.NUM_ROWS + 2
    assert rows["30"][0] == "b"
    assert rows["31"][2] == "notebook_l1"
    assert "; ... 5 more" in table.note


def test_the_short_and_the_whole_table_have_the_same_cells(every_state):
    short, whole = trials.short_table(every_state), trials.full_table(every_state)
    assert whole.rows[: len(short.rows)] == short.rows
    assert len(whole.rows) == 30
    assert whole.headings == short.headings


def test_a_line_is_drawn_below_the_last_eligible_trial(every_state, make_trial, report_on):
    assert trials.short_table(every_state).line_after == 1
    assert trials.short_table(report_on(make_trial(0), make_trial(1))).line_after is None


def test_the_closest_that_lost_come_first_with_their_figures(every_state):
    lines = trials.reasons(every_state).lines
    assert numbers(lines) == [0, 7, 8, 9, 10]
    assert "(baseline)" in lines[0]
    assert "gap (0.2000 against 0.0457)" in lines[0]
    assert "0.4700 worse than the best (0.3000)" in lines[1]
    assert "24 more" in lines[-1]


def test_a_finalist_lost_by_its_means_over_seeds(with_finalists):
    changed = [
        replace(f, measurement=replace(f.measurement, gap_ce=0.1234 if f.number == 1 else 0.05))
        for f in with_finalists.confirmation.finalists
    ]
    confirmation = replace(with_finalists.confirmation, finalists=tuple(changed))
    report = replace(with_finalists, confirmation=confirmation)
    assert "gap (0.1234 against 0.0500)" in trials.why_not_chosen(report, report.trial(1))
