"""Says who wins and by which rule; or why nothing is recommended, and what to do.

The first line of every page; ``answer`` says how good the winner is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from pipeline.formatting import decimal
from pipeline.report.configurations import identifying_keys
from pipeline.report.content import Text
from pipeline.report.report import Report
from pipeline.report.sections.trials import trial_name
from pipeline.selection.records import RuleSettings
from pipeline.selection.rules import RULES
from pipeline.training.descriptions import describe


def headline(report: Report) -> Text:
    """Returns the first sentence of a report: who wins and by which rule, or that nobody does."""
    selection, dataset = report.selection, report.study.dataset
    winner = report.winner
    if winner is not None:
        name = f" ({winner.name})" if winner.name else ""
        overfits = "overfits least" if selection.rule.name == "least_overfit" else "is chosen"
        config = describe(winner.config, identifying_keys(winner.config))
        finalist = report.finalist(winner.number)
        delivered = ""
        if finalist is not None and finalist.place is None:
            delivered = f" (the mean of {len(finalist.runs)} seeds)"
        line = f"Trial {winner.number}{name} {overfits} on {dataset}: {config}{delivered}."
    elif selection.status == "ok":
        line = f"No single winner on {dataset}: the rule '{selection.rule.name}' picks none."
    else:
        line = f"No model can be recommended for {dataset} (status {selection.status})."
    return Text((line,), style="headline")


def problems(report: Report) -> Text:
    """Returns, where nothing can be delivered, why and what to do; empty for status ``ok``."""
    study, selection = report.study, report.selection
    search = f"`pipeline search --dataset {study.dataset} --study {study.study}`"
    lines: tuple[str, ...] = ()
    if selection.status == "no_finite":
        lines = (_no_finite_line(report, search),)
    elif selection.status == "no_skill":
        lines = (_no_skill_line(report),)
    elif selection.status == "empty" and not study.trials:
        lines = (f"Study '{study.study}' has no trials. What to do: run {search}.",)
    elif selection.status == "empty" and not selection.notes:
        lines = (
            f"No trial of study '{study.study}' has ended yet. What to do: wait for the search or, "
            f"if it was stopped, run {search}, which continues it.",
        )
    elif selection.status == "empty":
        lines = selection.notes
    elif selection.front:
        front = ", ".join(str(number) for number in selection.front)
        lines = (f"Pareto front, smallest gap first: trials {front}.",)
    return Text(lines, style="warning")


def rule(report: Report) -> Text:
    """Returns the rule in a sentence."""
    return Text((rule_line(report),), style="paragraphs")


def rule_line(report: Report) -> str:
    """Returns the rule, what it chooses, and its constants."""
    rule = report.selection.rule
    if rule.name not in RULES:
        return f"Rule {rule.name}."
    entry = RULES[rule.name]
    summary = entry.summary
    chosen = f": {summary[0].lower()}{summary[1:].rstrip('.')}" if summary else ""
    names = [constant.name for constant in entry.constants]
    words = ", ".join(f"{name} {getattr(rule, name):g}" for name in names)
    return f"Rule {rule.name}{chosen} ({words}).{_margins(rule, names)}"


def _margins(rule: RuleSettings, names: Collection[str]) -> str:
    """Returns what the constants say, for the rules that have those of ``least_overfit``."""
    if not {"k", "tau", "tau_accuracy"} <= set(names):
        return ""
    errors = f"{rule.k:g} standard error{'' if rule.k == 1 else 's'}"
    points = 100 * rule.tau_accuracy
    return (
        f" As good: cross-entropy at most {rule.tau:.0%} worse (tau), and accuracy at most "
        f"{points:g} point{'' if points == 1 else 's'} (tau_accuracy); or {errors} (k) of the "
        "difference, where that is more."
    )


def _no_finite_line(report: Report, search: str) -> str:
    states = Counter(trial.state for trial in report.study.trials)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return (
        f"None of the {len(report.study.trials)} trials ended with usable measures ({counts}). See "
        "the reasons below. What to do: repair the cause if trials failed, lower the learning "
        f"rate if they are not finite, then run {search} with more --trials."
    )


def _no_skill_line(report: Report) -> str:
    chance, best = report.study.chance, report.best
    found = ""
    if best is not None and best.measurement is not None:
        found = (
            f" The best, trial {trial_name(best)}, reaches accuracy "
            f"{decimal(best.measurement.val_accuracy)} and cross-entropy "
            f"{decimal(best.measurement.val_ce)}; it is named as a diagnostic and not delivered."
        )
    return (
        f"No trial is better than guessing (accuracy {decimal(chance.accuracy)}, cross-entropy "
        f"{decimal(chance.ce)} from the class shares alone).{found} What to do: check that labels "
        "belong to their inputs, train longer (--epochs), use more examples, or widen the search "
        "space (learning rate, width, weaker regularization)."
    )
