"""Defines the commands that make a study: ``search``, ``report``, and ``run``, which is both."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli_group import examples, say_next
from pipeline.cli_options import CONSTANTS, REPORT, RUN, SEARCH, data_options, with_options
from pipeline.selection.records import FINALISTS, SEEDS

if TYPE_CHECKING:
    from pipeline.report.options import ReportOptions
    from pipeline.search.options import Prepared, SearchOptions
    from pipeline.search.run import Check


@click.command(
    epilog=examples(
        "pipeline search --dataset digits",
        "pipeline search --dataset my.csv --dry-run",
        "pipeline search --dataset cifar10 --epochs 5 \\",
        "    --train-examples 4000 --trials 20",
    )
)
@with_options(SEARCH)
def search(dry_run: bool, **options: Any) -> None:
    """Search for the regularization that overfits least, tracked in MLflow.

    Options without a default shown take `auto`, too: as the search space says.
    """
    chosen, prepared = _prepared(options)
    if dry_run:
        _tell_plan(chosen, prepared)
        return
    _search(chosen, prepared)
    say_next(["pipeline", "report", "--study", prepared.study])


@click.command(
    epilog=examples(
        "pipeline report --study digits",
        "pipeline report --study digits --format html",
        "pipeline report --study digits --max-gap 0.2",
    )
)
@with_options(REPORT)
def report(
    format_: str,
    output: Path | None,
    max_gap: float | None,
    min_accuracy: float | None,
    **options: Any,
) -> None:
    """Choose the model that overfits least and show why; read the test part once.

    The first report on a study trains the finalists again with other seeds, locks the choice and
    reads the test part; every later one shows the same in seconds.
    """
    from pipeline.report.options import ReportOptions

    constants = _constants(options)
    asked = ReportOptions(constants=constants, **options)
    _report(asked, format_, output, max_gap, min_accuracy)


@click.command(
    epilog=examples(
        "pipeline run --dataset digits",
        "pipeline run --dataset my.csv --seeds 1 --format html",
    )
)
@with_options(RUN)
def run(
    dry_run: bool,
    format_: str,
    output: Path | None,
    max_gap: float | None,
    min_accuracy: float | None,
    rule: str,
    seeds: int | None,
    finalists: int | None,
    deliver: str | None,
    promote: bool,
    **options: Any,
) -> None:
    """Search, then report: what `mlflow run .` does.

    What the report needs is checked before the first trial.
    """
    from pipeline.report.checks import check_folder, check_options, check_store
    from pipeline.report.options import ReportOptions

    constants = _constants(options)
    options["seeds"], options["finalists"] = seeds or SEEDS, finalists or FINALISTS
    chosen, prepared = _prepared(options)
    asked = ReportOptions(
        study=prepared.study,
        rule=rule,
        constants=constants,
        seeds=seeds,
        finalists=finalists,
        deliver=deliver,
        trial_timeout=chosen.trial_timeout_seconds,
        data_dir=chosen.data_dir,
        promote=promote,
    )
    check_options(asked)
    if dry_run:
        _tell_plan(chosen, prepared)
        return
    if output is not None or format_ == "html":
        check_folder(output)
    _search(chosen, prepared, lambda store: check_store(store, prepared.dataset.name))
    _report(asked, format_, output, max_gap, min_accuracy)


def _prepared(options: dict[str, Any]) -> tuple[SearchOptions, Prepared]:
    """Returns what a search was asked for, and what it needs, checked."""
    from pipeline.doctor import backend_chosen
    from pipeline.search.options import SearchOptions, prepare

    backend_chosen()
    options["timeout_seconds"] = options.pop("timeout")
    options["trial_timeout_seconds"] = options.pop("trial_timeout")
    data = data_options(options)
    given = {name: value for name, value in options.items() if value is not None}
    chosen = SearchOptions(**given, data=data)
    return chosen, prepare(chosen)


def _constants(options: dict[str, Any]) -> dict[str, float]:
    """Returns the rule's constants that were given, and takes them out of the options."""
    given = {constant.name: options.pop(constant.name) for constant in CONSTANTS}
    return {name: value for name, value in given.items() if value is not None}


def _tell_plan(chosen: SearchOptions, prepared: Prepared) -> None:
    from pipeline.search.opening import plan_lines

    click.echo("\n".join(plan_lines(chosen, prepared)))


def _search(chosen: SearchOptions, prepared: Prepared, check: Check | None = None) -> None:
    from rich.console import Console

    from pipeline.search.progress import open_view
    from pipeline.search.run import run_search

    with open_view(Console(stderr=True)) as view:
        run_search(chosen, prepared, view, check)


def _report(
    asked: ReportOptions,
    format_: str,
    output: Path | None,
    max_gap: float | None,
    min_accuracy: float | None,
) -> None:
    """Makes a report, prints it and ends with its exit code."""
    from pipeline.report.gates import unmet
    from pipeline.report.next_command import next_command
    from pipeline.report.render import render
    from pipeline.report.render.files import write_files, write_html
    from pipeline.report.run import make_report

    finished = make_report(asked, lambda line: click.echo(line, err=True))
    if output is not None:
        write_files(finished, output)
    if format_ == "html":
        click.echo(write_html(finished) if output is None else output / "report.html")
    else:
        click.echo(render(finished, format_, color=sys.stdout.isatty()), nl=False)
    if format_ != "json" and (next_words := next_command(finished)):
        say_next(next_words)
    failures = unmet(finished, max_gap, min_accuracy)
    for failure in failures:
        click.echo(f"gate not met: {failure}", err=True)
    if finished.selection.status != "ok":
        raise click.exceptions.Exit(3)
    if failures:
        raise click.exceptions.Exit(4)
