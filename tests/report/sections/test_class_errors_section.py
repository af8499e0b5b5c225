"""What the heading over the errors says of them."""

from dataclasses import replace

import numpy as np

from pipeline.report.render.text import as_text
from pipeline.report.sections import class_errors


def test_the_heading_names_the_worst_class_or_that_there_is_no_error(with_finalists):
    assert class_errors.finding(with_finalists).startswith("most often on class ")
    examples = with_finalists.test_examples
    right = {
        number: replace(
            found, predicted=examples.labels, correct=np.ones(len(examples.labels), bool)
        )
        for number, found in examples.results.items()
    }
    report = replace(with_finalists, test_examples=replace(examples, results=right))
    assert class_errors.finding(report) == "on no test example"


def test_short_pages_show_the_classes_where_they_are_unbalanced(with_finalists):
    assert class_errors.short_table(with_finalists) is None
    examples = with_finalists.test_examples
    labels = np.array(examples.labels)
    labels[: len(labels) * 3 // 4] = 0
    report = replace(with_finalists, test_examples=replace(examples, labels=labels))
    table = class_errors.short_table(report)
    assert max(int(row[1]) for row in table.rows) >= 2 * min(int(row[1]) for row in table.rows)
    assert table.note.startswith("Macro-F1, the mean over the classes that the test part has: 0.")
    assert "Macro-F1" in as_text(report)
    assert "Macro-F1" not in as_text(with_finalists)
