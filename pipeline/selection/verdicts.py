"""Says what became of each trial, in one word and one sentence.

A :class:`TrialRecord` and the study's best trial in, a :class:`Verdict` out: ``failed``,
``pruned``, ``diverged``, ``no_skill``, ``underfit``, ``overfit`` or ``healthy``, the first that
applies (``running`` while a trial has no end). Verdicts describe; selection does not use them: a
trial that diverged and was restored keeps its place among the candidates. To add one, put a line
into ``_name`` and one into ``_because``.
"""

from __future__ import annotations

from pipeline.formatting import between, decimal
from pipeline.records import Measurement, TrialRecord
from pipeline.selection.records import Verdict
from pipeline.selection.statistics import Interval, normal_interval

OVERFIT_SHARE = 0.25
"""Share of the validation cross-entropy that the gap must exceed to be called overfitting.

At 0.25 the model is a quarter less uncertain about examples it was trained on than about new ones.
The notebooks' CIFAR-10 nets lie on both sides: about 0.1 to 0.2 where validation cross-entropy is
smallest (epoch 2), more than 0.8 after the five epochs for which they are shown as overfitting.
The interval must also exclude 0, so that a small validation part does not accuse by noise.
"""

OVERFIT_NATS = 0.105
OVERFIT_ACCURACY = 0.03
"""One of the two gaps must exceed these, too: a gap of 0.09 of 0.1 nats, at 97% right, matters
little. exp(-0.105) = 0.9: of the (geometric) mean probability of the right class a tenth is lost
on new examples; .03 and a tenth are where scikit-learn's companion skore begins to warn, too.
"""

UNDERFIT_MARGIN = 0.05
"""Relative margin above the best validation cross-entropy; the default tau of the selection rule.

A model whose *training* cross-entropy is still above that has not learned from the examples it saw
what the best one predicts about examples it never saw.
"""
UNDERFIT_NATS = 0.01
"""And by so much: between two perfect models a ratio says nothing."""
ALL_RIGHT = 0.999
"""A model that gets so many of its training examples right is not called underfit."""


def gap_interval_of(measurement: Measurement) -> Interval:
    """Returns the 95% interval of a trial's gap from its stored standard error, nats."""
    return normal_interval(measurement.gap_ce, measurement.gap_ce_se)


def verdict_of(trial: TrialRecord, best: TrialRecord | None, skilled: bool = True) -> Verdict:
    """Returns the verdict on a trial, with its reason.

    Args:
        trial: Any trial of the study.
        best: The study's best-validation trial; None where none was measured.
        skilled: Whether the trial is better than chance (a result of the guard in ``skill``).
    """
    name = _name(trial, best, skilled)
    return Verdict(name, _because(name, trial, best))


def _name(trial: TrialRecord, best: TrialRecord | None, skilled: bool) -> str:
    measured = trial.measurement
    if trial.state == "RUNNING":
        return "running"
    if trial.state == "PRUNED":
        return "pruned"
    if trial.state != "COMPLETE" or measured is None:
        return "failed"
    if measured.diverged or not measured.finite:
        return "diverged"
    if not skilled:
        return "no_skill"
    if _overfits(measured):
        return "overfit"
    return "underfit" if _underfits(measured, best) else "healthy"


def _overfits(measured: Measurement) -> bool:
    return _large(measured) and _matters(measured) and gap_interval_of(measured).low > 0


def _large(measured: Measurement) -> bool:
    return measured.gap_ce > OVERFIT_SHARE * measured.val_ce


def _matters(measured: Measurement) -> bool:
    return measured.gap_ce > OVERFIT_NATS or measured.gap_accuracy > OVERFIT_ACCURACY


def _underfits(measured: Measurement, best: TrialRecord | None) -> bool:
    if best is None or best.measurement is None:
        return False
    reached = best.measurement.val_ce
    margin = max(UNDERFIT_MARGIN * reached, UNDERFIT_NATS)
    return measured.train_ce > reached + margin and measured.train_accuracy < ALL_RIGHT


def _because(name: str, trial: TrialRecord, best: TrialRecord | None) -> str:
    measured = trial.measurement
    if name == "running":
        return "it has not ended yet"
    if name == "pruned":
        epochs = len(trial.curves.get("val_ce", ())) or (measured.epochs if measured else 0)
        return f"stopped after {epochs} epochs" if epochs else "stopped early"
    if measured is None:
        return trial.cause or "no cause was recorded"
    if name == "failed":
        return trial.cause or "no cause was recorded"
    if name == "diverged":
        restored = f"; the weights of epoch {measured.best_epoch} were restored"
        return "a loss was not finite" + (restored if measured.finite else "")
    if name == "no_skill":
        return (
            f"validation accuracy {decimal(measured.val_accuracy)} and cross-entropy "
            f"{decimal(measured.val_ce)} are no better than chance"
        )
    return _fit_because(name, measured, best)


def _fit_because(name: str, measured: Measurement, best: TrialRecord | None) -> str:
    if name == "underfit" and best is not None and best.measurement is not None:
        return (
            f"its training cross-entropy {decimal(measured.train_ce)} is above even the best "
            f"validation cross-entropy {decimal(best.measurement.val_ce)} by more than "
            f"{UNDERFIT_MARGIN:.0%}"
        )
    share = measured.gap_ce / measured.val_ce if measured.val_ce > 0 else 0.0
    return (
        f"gap {decimal(measured.gap_ce)} nats (95% {between(*gap_interval_of(measured))}), "
        f"{max(share, 0.0):.0%} of the validation cross-entropy, and "
        f"{100 * measured.gap_accuracy:.1f} points of accuracy: {_judged(name, measured)}"
    )


def _judged(name: str, measured: Measurement) -> str:
    """Returns why a gap makes a trial what it is called."""
    if name == "overfit":
        by = f"{OVERFIT_NATS} nats" if measured.gap_ce > OVERFIT_NATS else "3 points"
        return f"more than {OVERFIT_SHARE:.0%} and more than {by}"
    if not _large(measured):
        return f"within {OVERFIT_SHARE:.0%}"
    if not _matters(measured):
        return f"a large share, but it costs no more than {OVERFIT_NATS} nats and 3 points"
    return "not certain, for the interval includes 0"
