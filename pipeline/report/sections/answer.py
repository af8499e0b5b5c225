"""Answers in three lines: how much less the winner overfits, if that is proven, how good it is.

The numbers are those on the test part; where that was not read, those on validation, and they say
so. A further number that every reader should see is an entry in :func:`numbers`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.formatting import between, decimal, signed
from pipeline.records import TestResult, TrialRecord
from pipeline.report.content import Number, Numbers, Text
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.differences import Difference, Differences
from pipeline.report.report import BEST_SCORE, NO_REGULARIZATION, Report
from pipeline.selection.statistics import wilson_interval
from pipeline.selection.verdicts import gap_interval_of

_SMALLEST_SHARED_GAP = 0.005
"""Nats; a difference to a smaller gap is not said as a share of it."""


def conclusion(report: Report) -> Text:
    """Returns how the winner compares with the best score and no regularization, on new data."""
    if report.winner is None:
        return Text(())
    new_data = report.test is not None
    found = _differences(report)
    parts = [_compared(report, role, model, found[model.number]) for role, model in _named(report)
             if model.number in found]  # fmt: skip
    if alone := _against_one_training(report):
        # Last is no regularization, where there is such a model.
        parts.insert(1 if len(parts) > 1 else len(parts), alone)
    lines = [_same(report)]
    if parts:
        where = "On new data" if new_data else "On validation data"
        *first, last = parts
        before = ", ".join(first) + " and " if first else ""
        lines.append(f"{where} it overfits {before}{last}.")
    worse = [_worse(role, found[m.number]) for role, m in _named(report) if m.number in found]
    alone_difference = evidence_of(report).one_training_difference
    if alone_difference is not None:
        worse.append(_worse("what other tuners deliver", alone_difference))
    if new_data and any(worse):
        lines.append(f"Proven worse: {'; '.join(words for words in worse if words)}.")
    return Text((" ".join(line for line in lines if line),) if any(lines) else (), style="answer")


def numbers(report: Report) -> Numbers | None:
    """Returns accuracy and gap of the delivered model, and its gap against the other models'.

    They are those on the test part; while that is unread they are those on validation.
    """
    delivered, found = report.delivered, _differences(report)
    if report.winner is None or delivered is None or delivered.measurement is None:
        return None
    own = _on_test(report.test) if report.test is not None else _on_validation(report, delivered)
    against = [
        _against(report, role, model, found[model.number].gap_ce)
        for role, model in _named(report)
        if model.number in found
    ]
    return Numbers((*own, *against), _meaning(report))


def _differences(report: Report) -> Mapping[int, Differences]:
    """Returns the winner's differences to other models where its numbers are from."""
    evidence = evidence_of(report)
    return evidence.test_differences if report.test is not None else evidence.validation_differences


def _named(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the best score and no regularization, but for the one that the winner is."""
    roles = {BEST_SCORE: report.best, NO_REGULARIZATION: report.baseline}
    models = {role: report.measured(trial.number) for role, trial in roles.items() if trial}
    # The best score may be the one without regularization: then it is named as both.
    if report.best and report.baseline and report.best.number == report.baseline.number:
        models = {f"{BEST_SCORE}, {NO_REGULARIZATION}": models[BEST_SCORE]}
    winner = report.selection.winner
    return [(role, model) for role, model in models.items() if model and model.number != winner]


def _same(report: Report) -> str:
    """Returns whether the winner is itself the best score or the baseline."""
    winner, best, baseline = report.selection.winner, report.best, report.baseline
    if baseline is not None and winner == baseline.number:
        return "It uses no regularization: nothing as good overfits less."
    if best is not None and winner == best.number and len(report.study.trials) > 1:
        over = ", over all seeds" if report.confirmation else ""
        return f"It has the {BEST_SCORE} on validation, too{over}."
    return ""


def _compared(report: Report, role: str, model: TrialRecord, found: Differences) -> str:
    """Returns by how much less or more the winner overfits than a model, and if that is proven."""
    gap = _gap_of(report, model)
    amount = f"{decimal(abs(found.gap_ce.value))} nats"
    # A share of a gap near 0 would be a huge number that means nothing.
    if gap is not None and gap > _SMALLEST_SHARED_GAP:
        amount = f"{abs(found.gap_ce.value) / gap:.0%}"
    if amount in ("0%", f"{decimal(0.0)} nats"):
        return f"as much as {_the(role)} (trial {model.number})"
    comparison = "less" if found.gap_ce.value <= 0 else "more"
    proven = "; proven" if found.gap_ce.proven else "; not proven"
    if report.test is None:
        # The winner was chosen for its gap there: nothing is proven by it.
        proven = ""
    return f"{amount} {comparison} than {_the(role)} (trial {model.number}{proven})"


def _against_one_training(report: Report) -> str:
    """Returns how the winner compares with what other tuners deliver; empty while unread.

    That is the search's best training on validation, one model of one seed.
    """
    evidence = evidence_of(report)
    found, best = evidence.one_training_difference, evidence.best_of_search
    if found is None or best is None:
        return ""
    tested = report.tested_trainings.get(str(best.mlflow_run_id))
    amount = f"{decimal(abs(found.gap_ce.value))} nats"
    if tested is not None and tested.gap_ce > _SMALLEST_SHARED_GAP:
        amount = f"{abs(found.gap_ce.value) / tested.gap_ce:.0%}"
    comparison = "less" if found.gap_ce.value <= 0 else "more"
    proven = "proven" if found.gap_ce.proven else "not proven"
    return (
        f"{amount} {comparison} than what other tuners deliver (trial {best.number}'s one "
        f"training; {proven})"
    )


def _worse(role: str, found: Differences) -> str:
    """Returns by how much the winner is worse than a model, where that is proven; else nothing."""
    worse = []
    if found.accuracy.high < 0:
        worse.append(f"accuracy by {decimal(-found.accuracy.value)}")
    if found.ce.low > 0:
        worse.append(f"cross-entropy by {decimal(found.ce.value)} nats")
    return f"{', '.join(worse)} (against {_the(role)})" if worse else ""


def _the(role: str) -> str:
    return f"the {role}" if role.startswith(BEST_SCORE) else role


def _gap_of(report: Report, model: TrialRecord) -> float | None:
    if report.test is not None:
        tested = report.tested.get(model.number)
        return tested.gap_ce if tested is not None else None
    return model.measurement.gap_ce if model.measurement is not None else None


def _on_test(test: TestResult) -> tuple[Number, Number]:
    accuracy = between(test.accuracy_low, test.accuracy_high)
    gap = between(test.gap_ce_low, test.gap_ce_high)
    return (
        Number("Test accuracy", decimal(test.accuracy), accuracy),
        Number("Gap on new data", decimal(test.gap_ce), gap),
    )


def _on_validation(report: Report, delivered: TrialRecord) -> tuple[Number, Number]:
    judged = report.judged(delivered.number)
    assert judged is not None, "the winner was measured"
    interval = ""
    if delivered.validation is not None and delivered.validation.correct.size:
        correct = delivered.validation.correct
        interval = between(*wilson_interval(int(correct.sum()), correct.size))
    return (
        Number("Validation accuracy", decimal(judged.val_accuracy), interval),
        Number("Gap", decimal(judged.gap_ce), between(*gap_interval_of(judged))),
    )


def _against(report: Report, role: str, model: TrialRecord, gap: Difference) -> Number:
    proven = "no proven difference"
    if gap.proven:
        proven = "overfits less" if gap.value < 0 else "overfits more"
    proven = proven if report.test is not None else "selected on"
    label = f"Gap against {_the(role)} (trial {model.number})"
    return Number(label, signed(gap.value), f"{signed(gap.low)} to {signed(gap.high)}", proven)


def _meaning(report: Report) -> str:
    """Returns what the numbers are measured on, and what a gap is."""
    test = report.test
    if test is None:
        return (
            "Test part: not read for this choice; these are validation figures, which flatter. "
            "Gap, the generalization gap: validation minus training cross-entropy, in nats; 0 is "
            f"no overfitting.{_ensemble(report)}"
        )
    times = "once" if test.reads == 1 else f"{test.reads} times"
    examples = report.test_examples
    proven = "Intervals are of these models, not of other seeds."
    if report.seeds_behind(report.selection.winner):
        proven = "Intervals of differences contain the luck of the seeds."
    count = f": {examples.labels.size:,} new examples" if examples is not None else ""
    return (
        f"Test part (read {times}){count}. Gap, the generalization gap: test minus training "
        "cross-entropy, in nats; 0 is no overfitting. Proven: the 95% interval of the difference "
        f"excludes 0. {proven}{_ensemble(report)}"
    )


def _ensemble(report: Report) -> str:
    """Returns what the headline means by a mean of seeds; empty where it names none."""
    finalist = report.finalist(report.selection.winner)
    if finalist is None or finalist.place is not None:
        return ""
    count = len(finalist.runs)
    return (
        f" The mean of {count} seeds is an ensemble: one model that gives the mean of {count} "
        "trainings' probabilities."
    )
