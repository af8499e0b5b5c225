"""Says how to make the study and its report again: the commands, and what identifies them."""

from __future__ import annotations

import shlex

from pipeline.datasets.option_words import option_words
from pipeline.records import DataOptions
from pipeline.report.content import Column, Table, Text, tabulate
from pipeline.report.report import Report


def introduction(report: Report) -> Text:
    """Returns what the commands below it promise."""
    return Text(
        (
            "The same commands on the same machine give the same numbers; `search_space.yaml` is "
            "a file of the study's MLflow run.",
        ),
        style="paragraphs",
    )


def commands(report: Report) -> Text:
    """Returns the commands that make this study and this page again, as far as they are known."""
    report_again = ["pipeline", "report", "--study", report.study.study]
    rule = report.selection.rule.name
    lines = [shlex.join(_search(report))]
    lines.append(
        shlex.join([*report_again, *(["--rule", rule] if rule != "least_overfit" else [])])
    )
    if report.delivered is not None and report.delivered.mlflow_run_id:
        lines.append(shlex.join(["pipeline", "reproduce", report.delivered.mlflow_run_id]))
    return Text(tuple(lines), style="commands")


def model(report: Report) -> Text:
    """Returns where the model is, and the further lines, for pages that show no other facts."""
    lines = [f"Model: {report.model_uri}"] if report.model_uri else []
    lines += [f"{label}: {value}" for label, value in report.extras.items()]
    return Text(tuple(lines), style="paragraphs")


def facts(report: Report) -> Table:
    """Returns what identifies the study: split, runs, model, and whatever else was given."""
    delivered = report.delivered
    known = [
        ("Split", report.study.split_id),
        ("MLflow run of the study", report.study.run_id),
        ("MLflow run of the delivered model", delivered.mlflow_run_id if delivered else None),
        ("Model", report.model_uri),
        *report.extras.items(),
    ]
    given = [(label, value) for label, value in known if value]
    return tabulate("", COLUMNS, given)


def _search(report: Report) -> list[str]:
    """Returns the words of the command that makes the study."""
    study, definition = report.study, report.study.definition
    words = ["pipeline", "search", "--dataset", str(definition.get("source", study.dataset))]
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
        words += [option, str(value)] if value is not None else []
    return words + option_words(DataOptions.of(definition.get("data", {})))


COLUMNS: tuple[Column[tuple[str, str]], ...] = (
    Column("", lambda fact: fact[0], align="left"),
    Column("", lambda fact: fact[1], align="left"),
)
