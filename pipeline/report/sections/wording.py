"""What a report says, in words: the sentences and cells that text and Markdown share.

A :class:`Report` in, strings out; no layout here and no
measuring: every number is the record's, rounded by ``rounding``. A new sentence is one function,
placed by ``pages``.
"""

from __future__ import annotations

from collections import Counter

from pipeline.formatting import between, decimal
from pipeline.records import Measurement, TestResult, TrialRecord
from pipeline.report.configurations import describe, identifying_keys
from pipeline.report.report import Report, ordered
from pipeline.selection.records import Finalist
from pipeline.selection.rules import RULES
from pipeline.selection.statistics import wilson_interval
from pipeline.selection.verdicts import gap_interval_of

NUM_REASONS = 5
"""Trials whose reason for losing is listed."""


def headline(report: Report) -> str:
    """Returns the first sentence of a report: who wins and by which rule, or that nobody does."""
    selection, dataset = report.selection, report.study.dataset
    winner = report.trial(selection.winner)
    if winner is not None:
        name = f" ({winner.name})" if winner.name else ""
        overfits = "overfits least" if selection.rule.name == "least_overfit" else "is chosen"
        config = describe(winner.config, identifying_keys(report.study, winner.config))
        return f"Trial {winner.number}{name} {overfits} on {dataset}: {config}."
    if selection.status == "ok":
        return f"No single winner on {dataset}: the rule '{selection.rule.name}' picks none."
    return f"No model can be recommended for {dataset} (status {selection.status})."


def winner_lines(report: Report) -> list[str]:
    """Returns the winner's validation figures, test figures and verdict; empty without one."""
    winner, delivered = report.trial(report.selection.winner), report.delivered
    if winner is None or delivered is None or delivered.measurement is None:
        return []
    measured = delivered.measurement
    verdict = report.selection.verdicts[winner.number]
    return [
        f"Validation{_which_seed(report)}: accuracy {decimal(measured.val_accuracy)}"
        f"{_accuracy_interval(delivered)}, cross-entropy {decimal(measured.val_ce)} nats.",
        _gap_line(report, measured),
        tested_line(report.test),
        f"Verdict{' on its training in the search' if report.confirmation else ''}: "
        f"{verdict.name} - {verdict.because}.",
    ]


def seed_of(report: Report, finalist: Finalist, place: int) -> int | None:
    """Returns the seed of a finalist's run; None where the list of seeds does not match."""
    seeds = report.confirmation.seeds if report.confirmation else ()
    return int(seeds[place]) if len(seeds) == len(finalist.runs) else None


def _which_seed(report: Report) -> str:
    finalist = report.finalist(report.selection.winner)
    if finalist is None:
        return ""
    seed = seed_of(report, finalist, finalist.median)
    named = f"seed {seed}, " if seed is not None else ""
    return f" of the delivered model ({named}the median of {len(finalist.runs)})"


def _gap_line(report: Report, measured: Measurement) -> str:
    finalist = report.finalist(report.selection.winner)
    over = f", mean over {len(finalist.runs)} seeds" if finalist else ""
    shown = finalist.measurement if finalist else measured
    return (
        f"Generalization gap (validation - train cross-entropy){over}: {decimal(shown.gap_ce)} "
        f"nats, 95% {between(*gap_interval_of(shown))} (selected on)."
    )


def rule_line(report: Report) -> str:
    """Returns the rule, what it chooses, and its constants."""
    rule = report.selection.rule
    doc = RULES[rule.name].summary if rule.name in RULES else ""
    chosen = f": {doc[0].lower()}{doc[1:].rstrip('.')}" if doc else ""
    constants = {
        "k": rule.k,
        "tau": rule.tau,
        "tau_accuracy": rule.tau_accuracy,
        "alpha": rule.alpha,
    }
    constants |= {"weight": rule.weight} if rule.name == "penalised" else {}
    constants |= {"epsilon": rule.epsilon} if rule.name == "constraint" else {}
    listed = ", ".join(f"{key} {value:g}" for key, value in constants.items())
    return f"Rule {rule.name}{chosen} ({listed})."


def status_lines(report: Report) -> list[str]:
    """Returns, where nothing can be delivered, why and what to do; empty for status ``ok``."""
    study, selection = report.study, report.selection
    again = f"`pipeline search --dataset {study.dataset} --study {study.study}`"
    if selection.status == "no_finite":
        states = Counter(trial.state for trial in study.trials)
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return [
            f"None of the {len(study.trials)} trials ended with usable measures ({counts}). See "
            "the reasons below. What to do: repair the cause if trials failed, lower the learning "
            f"rate if they are not finite, then run {again} with more --trials."
        ]
    if selection.status == "no_skill":
        return [_no_skill_line(report)]
    if selection.status == "empty" and not study.trials:
        return [f"Study '{study.study}' has no trials. What to do: run {again}."]
    if selection.status == "empty" and not selection.notes:
        return [
            f"No trial of study '{study.study}' has ended yet. What to do: wait for the search or, "
            f"if it was stopped, run {again}, which continues it."
        ]
    if selection.status == "empty":
        return list(selection.notes)
    front = ", ".join(str(number) for number in selection.front)
    return [f"Pareto front, smallest gap first: trials {front}."] if front else []


def reasons(report: Report) -> list[str]:
    """Returns why the trials next to the winner lost, closest first."""
    others = [trial for trial in ordered(report) if trial.number != report.selection.winner]
    lost = [(trial, why_lost(report, trial)) for trial in others]
    told = [f"Trial {_named(trial)}: {why}." for trial, why in lost if why]
    rest = len(told) - NUM_REASONS
    more = [f"... {rest} more; the JSON report has every trial's reason."] if rest > 0 else []
    return told[:NUM_REASONS] + more


def why_lost(report: Report, trial: TrialRecord) -> str:
    """Returns why a trial was not chosen; empty for the winner and where nobody was."""
    if trial.number == report.selection.winner:
        return ""
    excluded = report.selection.excluded.get(trial.number)
    mine, its = report.judged(trial.number), report.judged(report.selection.winner)
    if excluded or mine is None or its is None:
        return excluded or ""
    worse = []
    if mine.gap_ce > its.gap_ce:
        worse.append(f"gap ({decimal(mine.gap_ce)} against {decimal(its.gap_ce)})")
    if mine.val_ce > its.val_ce:
        worse.append(f"cross-entropy ({decimal(mine.val_ce)} against {decimal(its.val_ce)})")
    if mine.num_parameters > its.num_parameters:
        worse.append(f"parameters ({mine.num_parameters:,} against {its.num_parameters:,})")
    winner = report.selection.winner
    return f"eligible, but trial {winner} is better in {', '.join(worse) or 'its number'}"


def _no_skill_line(report: Report) -> str:
    chance, best = report.study.chance, _reference(report)
    found = ""
    if best is not None and best.measurement is not None:
        found = (
            f" The best, trial {_named(best)}, reaches accuracy "
            f"{decimal(best.measurement.val_accuracy)} and cross-entropy "
            f"{decimal(best.measurement.val_ce)}; it is named as a diagnostic and not delivered."
        )
    return (
        f"No trial is better than guessing (accuracy {decimal(chance.accuracy)}, cross-entropy "
        f"{decimal(chance.ce)} from the class shares alone).{found} What to do: check that labels "
        "belong to their inputs, train longer (--epochs), use more examples, or widen the search "
        "space (learning rate, width, weaker regularization)."
    )


def tested_line(test: TestResult | None) -> str:
    """Returns the winner's figures on the test part, or that it was not read."""
    if test is None:
        return "Test part: not read for this choice."
    times = "once" if test.reads == 1 else f"{test.reads} times"
    return (
        f"Test part (read {times}): accuracy {decimal(test.accuracy)}, "
        f"95% {between(test.accuracy_low, test.accuracy_high)}; cross-entropy {decimal(test.ce)}, "
        f"95% {between(test.ce_low, test.ce_high)}; gap to train {decimal(test.gap_ce)}, "
        f"95% {between(test.gap_ce_low, test.gap_ce_high)}."
    )


def _reference(report: Report) -> TrialRecord | None:
    return report.trial(report.selection.reference)


def _named(trial: TrialRecord) -> str:
    return f"{trial.number} ({trial.name})" if trial.name else str(trial.number)


def _accuracy_interval(trial: TrialRecord) -> str:
    if trial.validation is None or not trial.validation.correct.size:
        return ""
    correct = trial.validation.correct
    return f", 95% {between(*wilson_interval(int(correct.sum()), correct.size))}"
