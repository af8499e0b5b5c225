"""Defines the commands that make a study: ``search``, ``report``, and ``run``, which is both."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from pipeline.cli_group import examples, say_next, typed
from pipeline.cli_options import (
    CONSTANTS,
    REPORT,
    RUN,
    SEARCH,
    format_option,
    with_options,
)
from pipeline.redaction import redacted

if TYPE_CHECKING:
    from pipeline.prepared_search import PreparedSearch
    from pipeline.records import StudyRecord
    from pipeline.report.options import ReportOptions
    from pipeline.search.progress import PlainView
    from pipeline.search.result import SearchResult
    from pipeline.search.run import Check
    from pipeline.tracking import Tracking


@click.command(
    epilog=examples(
        "pipeline search --dataset digits",
        "pipeline search --dataset my.csv --dry-run",
        "pipeline search --dataset cifar10 --epochs 5 \\",
        "    --train-examples 4000 --trials 20",
    )
)
@with_options(SEARCH)
@format_option
@click.pass_context
def search(
    ctx: click.Context, dry_run: bool, quiet: bool, verbose: bool, format_: str, **options: Any
) -> None:
    """Search for the regularization that overfits least, tracked in MLflow.

    Options without a default shown take `auto`, too: as the search space says.
    """
    from pipeline.prepared_search import PreparedSearch

    level = _level(ctx, quiet, verbose)
    asked = PreparedSearch.of(options)
    if dry_run:
        _tell_plan(ctx, asked, format_)
        return
    result = _search(asked, level)
    if format_ == "json":
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        _say_where(result.study)
        *sentences, following = map(redacted, result.as_lines())
        click.echo("\n".join([*map(_wrapped, sentences), following]))


@click.command(
    epilog=examples(
        "pipeline report --study digits",
        "pipeline report --study digits --format html",
        "pipeline report --study digits --max-gap 0.2",
    )
)
@with_options(REPORT)
@click.pass_context
def report(
    ctx: click.Context,
    quiet: bool,
    verbose: bool,
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
    from pipeline.arguments import report_options

    level = _level(ctx, quiet, verbose)
    asked = report_options(options | {"constants": _constants(options)})
    _report(asked, level, format_, output, max_gap, min_accuracy)


@click.command(
    epilog=examples(
        "pipeline run --dataset digits",
        "pipeline run --dataset my.csv --seeds 1 --format html",
    )
)
@with_options(RUN)
@click.pass_context
def run(
    ctx: click.Context,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
    format_: str,
    output: Path | None,
    max_gap: float | None,
    min_accuracy: float | None,
    **options: Any,
) -> None:
    """Search, then report: what `mlflow run .` does.

    What the report needs is checked before the first trial.
    """
    from pipeline.arguments import report_options
    from pipeline.prepared_search import PreparedSearch
    from pipeline.report.checks import check_folder, check_options, check_store
    from pipeline.search.executors.kept import workers_kept

    level = _level(ctx, quiet, verbose)
    # A report that follows tells its time in the search's plan: seeds and finalists are of both.
    searched = PreparedSearch.of(options)
    found = {"study": searched.prepared.study, "dataset": None, "constants": _constants(options)}
    asked = report_options(options | found)
    check_options(asked)
    if dry_run:
        _tell_plan(ctx, searched, format_)
        return
    if output is not None or format_ == "html":
        check_folder(output)

    def check(store: Tracking) -> None:
        check_store(store, searched.prepared.dataset.name)

    with workers_kept():
        result = _search(searched, level, check)
        if not quiet:
            # The result of the command is its report, which follows: what to type stands below it.
            sentences = map(redacted, result.as_lines()[:2])
            click.echo("\n".join(_wrapped(line, sys.stderr) for line in sentences), err=True)
        _report(asked, level, format_, output, max_gap, min_accuracy)


def _constants(options: dict[str, Any]) -> dict[str, float]:
    """Returns the rule's constants that were given."""
    given = {constant.name: options[constant.name] for constant in CONSTANTS}
    return {name: value for name, value in given.items() if value is not None}


def _level(ctx: click.Context, quiet: bool, verbose: bool) -> int:
    """Returns how much is told; with ``--verbose`` libraries speak as well from now on."""
    import warnings

    from pipeline.library_messages import NORMAL, QUIET, VERBOSE, shown

    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose contradict each other: give one of them")
    if verbose:
        ctx.with_resource(shown())
        ctx.with_resource(warnings.catch_warnings())
        warnings.simplefilter("default")
    return QUIET if quiet else VERBOSE if verbose else NORMAL


def _tell_plan(ctx: click.Context, asked: PreparedSearch, format_: str) -> None:
    """Says what a search would do, after the device that was asked for was found."""
    from pipeline.search import executors
    from pipeline.search.opening import plan_json, plan_lines

    chosen, prepared = asked.options, asked.prepared
    if chosen.device == "gpu" and not executors.find(chosen.executor).places:
        from pipeline.training.backend import prepare

        # Importing the backend takes seconds: only where the device may be missing.
        prepare(chosen.device, chosen.precision, None)
    words = [word for word in typed(ctx) if word != "--dry-run"]
    if format_ == "json":
        click.echo(json.dumps(plan_json(chosen, prepared, redacted(shlex.join(words))), indent=2))
    else:
        click.echo("\n".join(plan_lines(chosen, prepared)))
        say_next(words)


def _search(asked: PreparedSearch, level: int, check: Check | None = None) -> SearchResult:
    """Searches to the end; returns how it ended."""
    from rich.console import Console

    from pipeline.search.progress import open_view

    with open_view(Console(stderr=True), level) as view:
        return asked.run(view, check)


def _report(
    asked: ReportOptions,
    level: int,
    format_: str,
    output: Path | None,
    max_gap: float | None,
    min_accuracy: float | None,
) -> None:
    """Makes a report, prints it and ends with its exit code."""
    from pipeline.api import made_report
    from pipeline.report.gates import unmet
    from pipeline.report.next_command import next_command
    from pipeline.report.render.files import write_html

    @cache
    def view() -> PlainView:
        # Only where there is something to say: it is slow to import, and the report on a locked
        # study says nothing.
        from rich.console import Console

        from pipeline.search.progress import PlainView

        return PlainView(Console(stderr=True), level)

    made = made_report(asked, lambda line: view().note(line), lambda line: view().warn(line))
    finished = made.report
    if output is not None:
        made.save(output)
    if format_ == "html":
        click.echo(write_html(finished) if output is None else output / "report.html")
    else:
        click.echo(made.render(format_, **_page_of_terminal()), nl=False)
    if format_ != "json":
        _say_where(finished.study)
    if format_ != "json" and (next_words := next_command(finished)):
        say_next(next_words)
    failures = unmet(finished, max_gap, min_accuracy)
    for failure in failures:
        click.echo(f"gate not met: {failure}", err=True)
    if finished.selection.status != "ok":
        raise click.exceptions.Exit(3)
    if failures:
        raise click.exceptions.Exit(4)


def _say_where(study: StudyRecord) -> None:
    """Says on stderr where MLflow shows the study; nothing where ``--quiet`` was given."""
    from pipeline.tracking.address import tracking_address, where_to_look

    line = where_to_look(tracking_address(), study.run_id)
    if line and not click.get_current_context().params.get("quiet"):
        click.echo(redacted(line), err=True)


def _wrapped(line: str, stream: TextIO | None = None) -> str:
    """Returns a sentence in lines as wide as the terminal, which would break its words."""
    if not (stream or sys.stdout).isatty():
        return line
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def _page_of_terminal() -> dict[str, Any]:
    """Returns how wide a page of text is and whether it has colors, by where stdout leads."""
    if not sys.stdout.isatty():
        return {}
    plain = os.environ.get("TERM") in ("dumb", "unknown") or os.environ.get("NO_COLOR")
    return {"color": not plain, "width": shutil.get_terminal_size().columns}
