"""Evidence is computed when it is asked for, once per report."""

from dataclasses import replace

from pipeline.report.evidence import evidence_of


def test_evidence_is_computed_once_per_report(with_finalists):
    assert evidence_of(with_finalists) is evidence_of(with_finalists)
    assert evidence_of(with_finalists).frequencies is evidence_of(with_finalists).frequencies
    assert evidence_of(replace(with_finalists)) is not evidence_of(with_finalists)
