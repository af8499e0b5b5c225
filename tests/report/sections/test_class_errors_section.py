"""What the heading over the errors says of them."""

from dataclasses import replace

import numpy as np

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
