"""Reports with real networks on studies whose reference `baseline` is missing or diverged."""

import pytest
from real_studies import REAL_STUDY
from told_lines import Notes

from pipeline.report.options import ReportOptions
from pipeline.report.run import make_report
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search

pytestmark = REAL_STUDY

SPACE = """
family: mlp
trials: 4
epochs: 4
patience: 4
fixed: {{depth: 1, width: 32}}
search:
  dropout_rate: {{low: 0.05, high: 0.3}}
references:
  {references}
"""
# So slow a learner is not as good as the best, and may not win.
PLAIN = "plain: {learning_rate: 0.0003}"
REFERENCES = {
    "named otherwise": PLAIN,
    "diverged": "baseline: {learning_rate: 1.0e+30}\n  " + PLAIN,
    "diverged and alone": "baseline: {learning_rate: 1.0e+30}",
}


@pytest.mark.parametrize("references", REFERENCES)
def test_a_study_without_a_measured_baseline_is_reported(references, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPACE.format(references=REFERENCES[references]))
    options = SearchOptions(search_space="small.yaml", executor="inline")
    run_search(options, prepare(options), Notes())
    report = make_report(ReportOptions(study="digits", seeds=1), [].append)
    assert report.test is not None and report.model_uri is not None
    states = {trial.name: trial.measurement for trial in report.study.trials if trial.name}
    if "baseline" in states:
        assert states["baseline"] is None or not states["baseline"].finite
    if "plain" in states:
        assert report.baseline.name == "plain"
        assert report.baseline.number not in report.selection.eligible
        assert report.baseline.number in report.tested
    else:
        assert report.baseline is None
    assert not any("not measured on the test part" in note for note in report.selection.notes)
