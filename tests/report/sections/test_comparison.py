"""The winner beside the others: the search's best single training that seeds do not confirm."""

import re
from dataclasses import replace

import numpy as np

from pipeline.formatting import decimal, signed, with_interval
from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text
from pipeline.report.sections import comparison

ROLE = "best of the search"


def overtaken(report, finalists):
    """The full report with the best mean on another finalist than on the search's best, trial 1."""
    confirmation = replace(report.confirmation, finalists=tuple(finalists))
    selection = replace(report.selection, reference=0)
    return replace(report, confirmation=confirmation, selection=selection)


def test_winner_best_and_baseline_stand_side_by_side_with_their_test_figures(with_finalists):
    table = comparison.table(with_finalists)
    assert [(row[0], int(row[1]), int(row[2])) for row in table.rows] == [
        ("winner", 2, 3),
        ("its seeds alone, on average", 2, 1),
        ("best score", 1, 3),
        (f"{ROLE}, one training", 1, 1),
        ("no regularization", 0, 3),
    ]
    trainings = with_finalists.tested_trainings
    alone = [trainings[run.mlflow_run_id] for run in with_finalists.parts(2)]
    cells = dict(zip(table.headings, table.rows[1], strict=True))
    # A mean of three models is no model: it has no interval.
    assert cells["test gap (95%)"] == decimal(np.mean([one.gap_ce for one in alone]))
    assert cells["test CE"] == decimal(np.mean([one.ce for one in alone]))
    for row in (row for row in table.rows if row[0] != "its seeds alone, on average"):
        tested = with_finalists.tested[int(row[1])] if row[2] == "3" else trainings["run1"]
        cells = dict(zip(table.headings, row, strict=True))
        gap = with_interval(tested.gap_ce, tested.gap_ce_low, tested.gap_ce_high)
        assert cells["test gap (95%)"] == gap
        assert (cells["test acc"], cells["test CE"]) == (
            decimal(tested.accuracy),
            decimal(tested.ce),
        )


def test_what_the_choice_costs_is_paired_on_the_test_examples(with_finalists):
    table, results = comparison.costs(with_finalists), with_finalists.test_examples.results
    # What it costs most comes first.
    assert [row[:2] for row in table.rows] == [
        ("no regularization", "0"),
        ("best score", "1"),
        (f"{ROLE}, one training", "1"),
    ]
    alone = with_finalists.test_examples.trainings["run1"]
    change = results[2].nll.mean() - alone.nll.mean()
    assert table.rows[2][3].startswith(f"{signed(change)} (")
    for row in table.rows[:2]:
        number = int(row[1])
        accuracy = results[2].correct.mean() - results[number].correct.mean()
        assert row[2].startswith(f"{signed(accuracy)} (")
        assert row[3].startswith(f"{signed(results[2].nll.mean() - results[number].nll.mean())} (")
    assert comparison.costs(replace(with_finalists, test_examples=None)) is None


def test_a_best_single_training_that_seeds_do_not_confirm_is_named_and_compared(with_finalists):
    finalists = [
        replace(f, measurement=replace(f.measurement, val_ce=0.4567)) if f.number == 1 else f
        for f in with_finalists.confirmation.finalists
    ]
    report = overtaken(with_finalists, finalists)
    tested = decimal(report.tested[1].accuracy)
    for page in (as_text, as_markdown):
        text = re.sub(r"\s+", " ", page(report))
        told = (
            f"{ROLE} was trial 1, validation cross-entropy 0.2998; over 3 seeds it reaches 0.4567."
        )
        assert told in text
    table = comparison.table(report)
    (row,) = [row for row in table.rows if row[0] == ROLE]
    assert dict(zip(table.headings, row, strict=True))["test acc"] == tested
    assert f"The {ROLE} was" not in as_text(with_finalists)


def test_a_best_single_training_that_is_no_finalist_is_described_as_such(with_finalists):
    others = [f for f in with_finalists.confirmation.finalists if f.number != 1]
    (line,) = [
        line
        for line in comparison.introduction(overtaken(with_finalists, others)).lines
        if f"{ROLE} was" in line
    ]
    assert "trial 1, validation cross-entropy 0.2998; it is not among the finalists" in line


def test_before_the_test_part_is_read_the_table_has_the_figures_on_validation(
    make_trial, report_on
):
    table = comparison.table(report_on(make_trial(0), make_trial(1, val_ce=0.31, gap_ce=0.01)))
    assert table.headings == ("model", "trial", "seeds", "verdict", "val gap", "val acc", "val CE")
    assert table.rows[0] == ("winner", "1", "1", "healthy", "0.0100", "0.9000", "0.3100")
