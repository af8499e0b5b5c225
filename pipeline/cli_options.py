"""Defines the options of the ``pipeline`` command; ``cli_types`` has what reads their values.

A command takes a tuple of options (:data:`SEARCH`, :data:`REPORT`, :data:`RUN`, ...) by
``@with_options``; ``--help`` shows them in this order. Nothing heavy is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli_completion import (
    Complete,
    complete_dataset,
    complete_executor,
    complete_file,
    complete_known_dataset,
    complete_rule,
    complete_space,
    complete_study,
)
from pipeline.cli_types import (
    Address,
    Auto,
    Duration,
    ImageSize,
    Names,
    Separator,
    StudyName,
    WorkerCount,
)
from pipeline.option_values import (
    COLORS,
    DECIMAL_MARKS,
    DEVICES,
    LARGEST_SEED,
    PRECISIONS,
    STORAGE_VARIABLE,
)
from pipeline.search.space.strategies import PRUNERS, SAMPLERS
from pipeline.selection.records import DELIVERIES, Constant
from pipeline.selection.rules import constants

if TYPE_CHECKING:
    from pipeline.records import DataOptions

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def with_options(options: Sequence[Decorator]) -> Decorator:
    """Returns a decorator that adds these options to a command."""
    # Click lists the option that was added last first.
    return lambda command: reduce(lambda added, option: option(added), reversed(options), command)


def _optional(
    name: str,
    inner: click.ParamType[Any, Any],
    metavar: str,
    text: str,
    complete: Complete | None = None,
) -> Decorator:
    """Returns an option without a default of its own: left out and ``auto`` mean the same."""
    return click.option(name, type=Auto(inner), metavar=metavar, help=text, shell_complete=complete)


def _study_option(text: str) -> Decorator:
    return click.option(
        "--study", type=StudyName(), metavar="NAME", help=text, shell_complete=complete_study
    )


def _choice(name: str, choices: Sequence[str], text: str, *names: str) -> Decorator:
    """Returns an option that takes one of these words; the first one is the default."""
    kind = click.Choice(choices)
    return click.option(name, *names, type=kind, default=choices[0], show_default=True, help=text)


def device_option(text: str) -> Decorator:
    """Returns ``--device`` with this help."""
    return _choice("--device", DEVICES, text)


def _workers_option(text: str) -> Decorator:
    return click.option(
        "--workers", type=WorkerCount(), default=1, show_default=True, metavar="N|auto", help=text
    )


def storage_option(text: str) -> Decorator:
    """Returns ``--storage`` with this help."""
    return click.option(
        "--storage",
        type=Auto(Address()),
        metavar="URL",
        help=text,
        envvar=STORAGE_VARIABLE,
        show_envvar=True,
        callback=_storage,
        shell_complete=complete_file,
    )


def _storage(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Returns what the variable says, too, where the option says ``auto``, as MLproject does."""
    return value or Auto(Address()).convert(os.environ.get(STORAGE_VARIABLE, ""), param, ctx)


def ray_address_option(text: str) -> Decorator:
    """Returns ``--ray-address`` with this help."""
    return _optional("--ray-address", click.STRING, "HOST:PORT", text)


def _constant_option(constant: Constant) -> Decorator:
    """Returns the option that sets a constant of the selection rule."""
    text = f"{constant.meaning} Default: {constant.default:g}, or as locked."
    return _optional(constant.option, click.FLOAT, "X", text)


def family_option(text: str) -> Decorator:
    """Returns ``--family`` with this help; the option alone has the user's file run."""
    return _optional("--family", click.STRING, "FILE.py:FUNCTION", text, complete_file)


COUNT = click.IntRange(min=1)
SEED = click.IntRange(0, LARGEST_SEED)
CONSTANTS = constants()  # of selection rules: each is an option of a report

data_dir_option = click.option(
    "--data-dir",
    envvar="PIPELINE_DATA_DIR",
    show_envvar=True,
    type=Auto(click.Path(file_okay=False, exists=True, path_type=Path)),
    help="Folder with official dataset files, looked at before any download.",
)

format_option = _choice("--format", ["text", "json"], "What to print.", "format_")
TEXT_FILE: tuple[Decorator, ...] = (
    _optional(
        "--delimiter", Separator(), "CHAR", "Separator of columns (tab: \\t). Default: detected."
    ),
    _optional(
        "--decimal", click.Choice(DECIMAL_MARKS), "CHAR", "Decimal mark, . or , Default: detected."
    ),
)
DATA: tuple[Decorator, ...] = (
    _optional(
        "--label",
        click.STRING,
        "COLUMN",
        "Column of a table's classes. Default: the only one named label, target, class or y, "
        "else the last where it alone is text.",
    ),
    _optional("--drop", Names(), "COLUMN,...", "Columns of a table that are left out."),
    _optional(
        "--categorical", Names(), "COLUMN,...", "Columns whose numbers are names of categories."
    ),
    _optional("--text", click.STRING, "COLUMN", "Column of texts, whose words are the features."),
    _optional(
        "--group", click.STRING, "COLUMN", "Rows with one value here stay in one part of the split."
    ),
    _optional(
        "--order-by",
        click.STRING,
        "COLUMN",
        "The split cuts by this column: the smallest values train, the largest test.",
    ),
    _optional("--split", click.STRING, "COLUMN", "Column of the words train, validation and test."),
    *TEXT_FILE,
    click.option(
        "--classes/--no-classes",
        default=False,
        help="Take targets that look like a regression's for classes nevertheless.",
    ),
    _optional("--image-size", ImageSize(), "HxW", "Scale pictures to this height and width."),
    _optional("--color", click.Choice(COLORS), "|".join(COLORS), "Convert pictures to this."),
    _optional("--ignore", Names(), "CODE,...", "Findings about the data that are not told."),
)


def data_options(options: dict[str, Any]) -> DataOptions:
    """Takes the options of :data:`DATA` out of a command's; returns them as one."""
    from pipeline.records import DataOptions

    names = [field.name for field in fields(DataOptions)]
    given = {name: options.pop(name) for name in names if name in options}
    return DataOptions(**{name: value for name, value in given.items() if value is not None})


VERBOSITY: tuple[Decorator, ...] = (
    click.option(
        "-q", "--quiet", is_flag=True, help="Say nothing but warnings, errors and the result."
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Say more: cohorts, timings, reasons of verdicts, what libraries say.",
    ),
)

PLACEMENT: tuple[Decorator, ...] = (
    ray_address_option(
        "Ray cluster that --executor ray joins. Default: RAY_ADDRESS, else Ray on this machine."
    ),
    _optional(
        "--cpus-per-worker",
        COUNT,
        "N",
        "Processors of a worker, with ray. Default: what the cluster has for each.",
    ),
    _optional(
        "--gpus-per-worker",
        click.FloatRange(min=0.0),
        "X",
        "GPUs of a worker, with ray; 0.25 has four share one. Default: 1, or 0 without GPUs.",
    ),
)
"""Where workers are placed, for executors that use several machines."""

SEARCH: tuple[Decorator, ...] = (
    click.option(
        "--dataset",
        default="digits",
        show_default=True,
        metavar="NAME|PATH",
        help="A dataset's name (see `pipeline datasets`), or your own .npz, .csv or .parquet "
        "file, or folder of pictures or texts, a subfolder per class.",
        shell_complete=complete_dataset,
    ),
    *DATA,
    _optional(
        "--search-space",
        click.STRING,
        "FILE",
        "Search space (YAML). Default: the dataset's own, else the one for its shape.",
        complete_space,
    ),
    family_option("Search a Keras model of your own: this function makes it."),
    _optional(
        "--trials",
        COUNT,
        "N",
        "The study's total; run again to continue to it. Default: the space's.",
    ),
    _optional("--timeout", Duration(), "30m", "Start no trial after this time."),
    _optional(
        "--trial-timeout",
        Duration(),
        "10m",
        "End a trial that takes longer; of a cohort, one that is silent this long or takes as "
        "much for each trial in it. Default: no limit.",
    ),
    _optional(
        "--max-failures", COUNT, "N", "Stop after N failures of one kind in a row. Default: 5."
    ),
    _optional("--epochs", COUNT, "N", "Largest number of epochs of a trial. Default: the space's."),
    _optional("--train-examples", COUNT, "N", "Train on this many examples only (stratified)."),
    click.option(
        "--seed",
        type=SEED,
        default=0,
        show_default=True,
        help="Seed of split, sampler, initial weights and dropout.",
    ),
    _study_option("Name of the study. Default: the dataset's."),
    storage_option("Optuna's storage: a journal file or a database. Default: studies.journal."),
    click.option(
        "--references/--no-references",
        default=True,
        show_default=True,
        help="Train the space's reference configurations, too.",
    ),
    _optional(
        "--sampler",
        click.Choice(SAMPLERS),
        "|".join(SAMPLERS),
        "What suggests trials; only tpe learns from those before. Default: the space's, or tpe.",
    ),
    _optional(
        "--pruner",
        click.Choice(PRUNERS),
        "|".join(PRUNERS),
        "What stops early the trials that fall far behind. Default: the space's, or percentile.",
    ),
    click.option(
        "--executor",
        default="processes",
        show_default=True,
        metavar="NAME",
        help="Where trials run: inline (this process), processes, or ray (several machines).",
        shell_complete=complete_executor,
    ),
    _workers_option(
        "Cohorts at once; auto: one per GPU of this machine, without any what its cores, its "
        "memory and the study keep busy; with ray what its cluster holds."
    ),
    *PLACEMENT,
    _optional(
        "--cohort-size",
        COUNT,
        "N|auto",
        "Most trials trained together in one model. Default: auto, what suits the study.",
    ),
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    *VERBOSITY,
    device_option("Where networks train."),
    _choice("--precision", PRECISIONS, "Arithmetic of the networks."),
    data_dir_option,
)

CHOICE: tuple[Decorator, ...] = (
    click.option(
        "--rule",
        default="least_overfit",
        show_default=True,
        metavar="NAME",
        help="Selection rule; another one than the locked shows a what-if.",
        shell_complete=complete_rule,
    ),
    _choice(
        "--format",
        ["text", "json", "markdown", "html"],
        "What to print; html writes a file, report-STUDY.html here or in --output, and prints "
        "its path.",
        "format_",
    ),
    _optional(
        "--output",
        click.Path(file_okay=False, path_type=Path),
        "DIR",
        "Write every page and picture there, too.",
    ),
    _optional(
        "--seeds",
        COUNT,
        "K",
        "Train each finalist with K seeds; 1 trains none. 5 take up to 25 trainings instead of 15 "
        "for about 1% less cross-entropy, at the same gap. Default: 3, or as locked.",
    ),
    _optional(
        "--finalists",
        click.IntRange(min=2),
        "F",
        "Train at most F of the eligible trials again. Default: 5, or as locked.",
    ),
    _optional(
        "--deliver",
        click.Choice(DELIVERIES),
        "|".join(DELIVERIES),
        "Of the winner's seeds: their mean in one model, or the best of them. Default: ensemble, "
        "or as locked.",
    ),
    *(_constant_option(constant) for constant in CONSTANTS),
    click.option(
        "--promote/--no-promote",
        default=False,
        help="Make the model the champion even where it is worse than the one before, or cannot be "
        "compared with it.",
    ),
    _optional(
        "--max-gap",
        click.FloatRange(min=0.0),
        "X",
        "Exit code 4 unless the upper end of the gap's 95% interval is at most X nats.",
    ),
    _optional(
        "--min-accuracy",
        click.FloatRange(0.0, 1.0),
        "Y",
        "Exit code 4 unless the lower end of the accuracy's 95% interval is at least Y.",
    ),
)
"""How a report chooses, judges and is shown."""

REPORT: tuple[Decorator, ...] = (
    _optional(
        "--dataset",
        click.STRING,
        "NAME",
        "Report on the newest study of this dataset.",
        complete_known_dataset,
    ),
    _study_option("Report on this study."),
    family_option("The model of your own that the study trained, for its first report."),
    *CHOICE,
    _optional(
        "--trial-timeout",
        Duration(),
        "10m",
        "End a finalist's training that takes longer, as in a search. Default: no limit.",
    ),
    _workers_option("Cohorts of finalists at once, as in a search; auto as there."),
    *PLACEMENT,
    click.option(
        "--read-test-again",
        is_flag=True,
        help="Lock the selection anew and read the test part once more; it is counted.",
    ),
    *VERBOSITY,
    data_dir_option,
)

RUN: tuple[Decorator, ...] = (*SEARCH, *CHOICE)
"""A search and its report; what both have is the search's."""

PREDICT: tuple[Decorator, ...] = (
    click.option(
        "--model",
        required=True,
        metavar="URI|PATH",
        help="models:/NAME@champion, models:/NAME/VERSION, runs:/RUN_ID/model, a folder that "
        "MLflow saved, or a .keras file.",
    ),
    click.option(
        "--input",
        "input_",
        required=True,
        type=click.Path(path_type=Path),
        metavar="FILE|FOLDER",
        help="Raw inputs: a table as search reads it, .npy, .npz (key x), a picture, a .txt with a "
        "text per line, a folder of pictures or texts, .jsonl or .txt of token ids.",
    ),
    *TEXT_FILE,
    click.option(
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the CSV there. Default: stdout.",
    ),
    click.option(
        "--batch-size", type=COUNT, default=256, show_default=True, help="Examples at once."
    ),
    click.option("--probabilities", is_flag=True, help="Add a column per class."),
)
