"""The winner beside the others: the search's best single training that seeds do not confirm."""

import re
from dataclasses import replace

from pipeline.formatting import decimal
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text
from pipeline.report.sections import comparison

ROLE = "best single training of the search"


def overtaken(report, finalists):
    """The full report with the best mean on another finalist than on the search's best, trial 1."""
    confirmation = replace(report.confirmation, finalists=tuple(finalists))
    selection = replace(report.selection, reference=0)
    return replace(report, confirmation=confirmation, selection=selection)


def test_winner_best_and_baseline_stand_side_by_side_with_their_test_figures(with_finalists):
    table = comparison.table(with_finalists)
    assert [(row[0], int(row[1])) for row in table.rows] == [
        ("winner", 2),
        ("best on validation", 1),
        ("unregularized baseline", 0),
    ]
    for row in table.rows:
        tested = with_finalists.tested[int(row[1])]
        assert (row[5], row[7], row[8]) == tuple(
            map(decimal, (tested.accuracy, tested.ce, tested.gap_ce))
        )


def test_a_best_single_training_that_seeds_do_not_confirm_is_named_and_compared(with_finalists):
    finalists = [
        replace(f, measurement=replace(f.measurement, val_ce=0.4567)) if f.number == 1 else f
        for f in with_finalists.confirmation.finalists
    ]
    report = overtaken(with_finalists, finalists)
    tested = decimal(report.tested[1].accuracy)
    for page in (as_text, as_markdown):
        text = re.sub(r"\s+", " ", page(report))
        assert f"{ROLE} was trial 1, cross-entropy 0.2998; over 3 seeds it reaches 0.4567." in text
        assert f"{ROLE}, trial 1: test accuracy {tested}" in text
    rows = {row[0]: row for row in comparison.table(report).rows}
    assert rows[ROLE][5] == tested
    assert ROLE not in as_text(with_finalists)


def test_a_best_single_training_that_is_no_finalist_is_described_as_such(with_finalists):
    others = [f for f in with_finalists.confirmation.finalists if f.number != 1]
    (line,) = [
        line
        for line in comparison.sentences(overtaken(with_finalists, others))
        if f"{ROLE} was" in line
    ]
    assert "trial 1, cross-entropy 0.2998; it is not among the finalists" in line
