"""Notes and warnings: what a reader should keep in mind."""

from dataclasses import replace

from pipeline.report.render.json import as_json
from pipeline.report.render.text import as_text
from pipeline.report.sections import notes


def test_notes_of_the_choice_are_shown(make_trial, report_on):
    report = report_on(make_trial(0))
    assert report.selection.notes
    assert notes.notes(report).lines[:-1] == report.selection.notes
    assert "trained once" in notes.notes(report).lines[-1]
    assert f"Notes\n- {report.selection.notes[0]}" in as_text(report)


def test_optimism_beyond_chance_and_repeated_readings_are_warnings(with_finalists):
    report = replace(with_finalists, test=replace(with_finalists.test, reads=2))
    optimistic, repeated = as_json(report)["warnings"]
    assert f"{-as_json(report)['optimism']['ce']:.4f} nats" in optimistic
    assert "read 2 times" in repeated


def test_readings_by_other_studies_are_a_warning(with_finalists):
    report = replace(with_finalists, other_reads={"first": 1, "second": 2})
    assert as_json(report)["warnings"][-1] == (
        "Other studies read the same test part: 'first', 'second' (2 times); 4 times in all. "
        "Whoever compares studies by it, or searched on with what it said, finds its figures too "
        "good."
    )
    assert as_json(report)["test_reads_by_other_studies"] == {"first": 1, "second": 2}
