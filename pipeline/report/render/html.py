"""The report as one HTML file: no network, no script, light and dark, narrow and printed.

A :class:`Report` in, a string out. Layout is in ``templates/report.html``; what is said comes from
``wording`` and ``claims``, pictures from ``figures``. Everything that users name is escaped by the
template. To add a part, add it to ``_page`` and to the template.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.formatting import MISSING, between, decimal, percent
from pipeline.records import TrialRecord
from pipeline.report import figures
from pipeline.report.configurations import describe, varying_keys
from pipeline.report.evidence import evidence_of
from pipeline.report.report import Report, mark, ordered
from pipeline.report.sections import claims, layout, rivals, wording
from pipeline.report.sections.claims import Table
from pipeline.selection.verdicts import gap_interval_of

_TEMPLATES = Path(__file__).parent / "templates"

_TRIAL_COLUMNS = (
    "", "trial", "configuration", "verdict", "val acc", "val CE", "train CE", "gap",
    "95% of the gap", "epoch", "why not chosen", "why this verdict",
)  # fmt: skip


def as_html(report: Report) -> str:
    """Returns the page: a whole HTML document."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("report.html").render(_page(report))


def _page(report: Report) -> Mapping[str, Any]:
    study, selection = report.study, report.selection
    return {
        "dataset": study.dataset,
        "study": study.study,
        "status": selection.status,
        "headline": wording.headline(report),
        "problems": wording.status_lines(report),
        "figures_of_winner": _opening(report),
        "compared": rivals.compared(report),
        "pictures": list(figures.pictures(report)),
        "tables": _tables(report),
        "trials": _trials(report),
        "caveats": _caveats(report),
        "commands": commands(report),
        "facts": _facts(report),
    }


def _opening(report: Report) -> list[str]:
    """Returns the lines below the headline: the test part first, which is what counts."""
    lines, tested = wording.winner_lines(report), wording.tested_line(report.test)
    if not lines:
        return []
    rest = [line for line in lines if line != tested]
    found = [tested, *rivals.comparisons(report), *rest, claims.optimism(report)]
    return [line for line in found if line]


def _tables(report: Report) -> list[Table]:
    found = [
        claims.finalists(report),
        _frequencies(report),
        claims.techniques(report),
        _places(report),
        _class_errors(report),
    ]
    return [table for table in found if table is not None]


def _trials(report: Report) -> Table:
    keys = varying_keys(report.study)
    best = report.trial(report.selection.reference)
    trials = ordered(report)
    rows = tuple(_trial_cells(report, trial, keys, best) for trial in trials)
    return Table(
        f"All {len(rows)} trials",
        _TRIAL_COLUMNS,
        rows,
        f"{layout.legend(report)}{layout.more(report, trials)}.",
    )


def _trial_cells(
    report: Report, trial: TrialRecord, keys: set[str], best: TrialRecord | None
) -> tuple[str, ...]:
    measured, verdict = trial.measurement, report.selection.verdicts.get(trial.number)
    config = describe(trial.config, keys) or "plain"
    numbers = [MISSING] * 6
    if measured is not None:
        interval = between(*gap_interval_of(measured)) if measured.finite else MISSING
        values = (measured.val_accuracy, measured.val_ce, measured.train_ce, measured.gap_ce)
        numbers = [*map(decimal, values), interval, f"{measured.best_epoch}/{measured.epochs}"]
    return (
        mark(report, trial),
        str(trial.number),
        f"{trial.name}: {config}" if trial.name else config,
        verdict.name if verdict else MISSING,
        *numbers,
        wording.why_lost(report, trial),
        verdict.because if verdict else "",
    )


def _frequencies(report: Report) -> Table | None:
    evidence, eligible = evidence_of(report), report.selection.eligible
    shown = {"picked in": evidence.frequencies_search}
    if report.confirmation is not None:
        shown = {"by single trainings": evidence.frequencies_search}
        if len(report.confirmation.finalists) > 1 and evidence.frequencies:
            shown = {"among the finalists": evidence.frequencies} | shown
    if not any(shown.values()):
        return None
    keys, rows = varying_keys(report.study), []
    picked = [number for shares in shown.values() for number in shares]
    places = list(dict.fromkeys([*eligible, *picked]))
    for number in places:
        trial = report.trial(number)
        words = (trial.name or describe(trial.config, keys) or "plain") if trial else MISSING
        won = "> " if number == report.selection.winner else ""
        role = "eligible" if number in eligible else "not eligible here"
        cells = (percent(shares.get(number, 0.0)) for shares in shown.values())
        rows.append((f"{won}{number}", words, role, *cells))
    return Table(
        "How often the rule picks whom",
        ("trial", "configuration", "in this study", *shown),
        tuple(rows),
        f"{' '.join(claims.frequencies(report))} No rule is stable: the eligible set is the "
        "finding.",
    )


def _places(report: Report) -> Table | None:
    found = evidence_of(report).places
    if not found:
        return None
    rows = tuple(
        (
            place.name,
            f"{place.value:.4g}" if place.value is not None else "off",
            f"{place.low:.4g} to {place.high:.4g}{', log' if place.log else ''}",
            percent(place.position) if place.position is not None else MISSING,
            f"at its {place.edge} end" if place.edge else "",
        )
        for place in found
    )
    columns = ("hyperparameter", "winner", "searched", "position", "edge")
    return Table("The winner's place in the search space", columns, rows)


def _class_errors(report: Report) -> Table | None:
    found = evidence_of(report).class_errors
    if found is None:
        return None
    rows = tuple(
        (
            entry.name,
            str(entry.num_examples),
            decimal(entry.rate),
            between(*entry.interval),
            f"{entry.taken_for} ({entry.times})" if entry.taken_for is not None else "",
        )
        for entry in found.classes
    )
    columns = ("class", "test examples", "error rate", "95%", "most often taken for")
    note = f"Macro-F1 {decimal(found.macro_f1)}, 95% {between(*found.macro_f1_interval)}."
    return Table("Errors per class on the test part", columns, rows, note)


def _caveats(report: Report) -> list[str]:
    """Returns what to keep in mind: notes, warnings, and what the method cannot promise."""
    found = [*report.selection.notes, *claims.warnings(report)]
    if report.selection.winner is None:
        return found
    found.append(
        "Validation figures took part in the choice and flatter it; the test figures did not."
    )
    if report.confirmation is None:
        found.append(
            "Each trial was trained once: the luck of its seed is part of its figures and of the "
            "choice (no finalists with several seeds)."
        )
    if report.test is None:
        found.append("The test part was not read for this choice: its figures are missing here.")
    return found


def commands(report: Report) -> list[str]:
    """Returns the commands that make this study and this page again, as far as they are known."""
    study, definition = report.study, report.study.definition
    search = ["pipeline", "search", "--dataset", str(definition.get("source", study.dataset))]
    space = definition.get("space") or {}
    options = {
        "--search-space": "search_space.yaml" if space else None,
        "--study": study.study,
        "--seed": definition.get("seed"),
        "--epochs": space.get("epochs", definition.get("epochs")),
        "--train-examples": definition.get("train_examples"),
        "--precision": definition.get("precision"),
        "--trials": len(study.trials) or None,
    }
    for option, value in options.items():
        search += [option, str(value)] if value is not None else []
    found = [shlex.join(search)]
    rule = report.selection.rule.name
    shown = ["pipeline", "report", "--study", study.study]
    found.append(shlex.join([*shown, *(["--rule", rule] if rule != "least_overfit" else [])]))
    if report.delivered is not None and report.delivered.mlflow_run_id:
        found.append(shlex.join(["pipeline", "reproduce", report.delivered.mlflow_run_id]))
    return found


def _facts(report: Report) -> list[tuple[str, str]]:
    """Returns what identifies the study: split, runs, model, and whatever else was given."""
    delivered = report.delivered
    known = [
        ("Split", report.study.split_id),
        ("MLflow run of the study", report.study.run_id),
        ("MLflow run of the delivered model", delivered.mlflow_run_id if delivered else None),
        ("Model", report.model_uri),
        ("Rule", wording.rule_line(report).removeprefix("Rule ")),
        *report.extras.items(),
    ]
    return [(label, value) for label, value in known if value]
