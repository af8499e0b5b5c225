"""Defines ``pipeline datasets``: which datasets there are, and what is in one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline.cli_completion import complete_dataset
from pipeline.cli_group import Group, examples, say_next
from pipeline.cli_options import (
    DATA,
    SEED,
    data_dir_option,
    data_options,
    format_option,
    with_options,
)


@dataclass(frozen=True)
class _Given:
    """Options that were given before the name of the command below ``datasets``."""

    data_dir: Path | None
    format_: str


@click.group(
    cls=Group,
    invoke_without_command=True,
    epilog=examples("pipeline datasets", "pipeline datasets show digits"),
)
@format_option
@data_dir_option
@click.pass_context
def datasets(ctx: click.Context, format_: str, data_dir: Path | None) -> None:
    """List the datasets, or show one."""
    ctx.obj = _Given(data_dir, format_)
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_datasets)


@datasets.command(
    "list", epilog=examples("pipeline datasets list", "pipeline datasets list --format json")
)
@format_option
@data_dir_option
@click.pass_context
def list_datasets(ctx: click.Context, format_: str, data_dir: Path | None) -> None:
    """List the datasets known by name, and where each would come from."""
    from pipeline.datasets import availability, catalogue

    given = _nearest(ctx, format_, data_dir)
    found = [
        {
            "name": name,
            "availability": availability(name, given.data_dir),
            "summary": source.summary,
        }
        for name, source in catalogue().items()
    ]
    if given.format_ == "json":
        click.echo(json.dumps({"datasets": found}, indent=2))
        return
    for entry in found:
        click.echo(f"{entry['name']:<14} {entry['availability']:<22} {entry['summary']}")
    click.echo(
        "Your own data: pipeline search --dataset my.npz (arrays x, y), my.csv or my.parquet (a "
        "column of classes, --label), or a folder of pictures or texts (a subfolder per class)"
    )
    say_next(["pipeline", "datasets", "show", "digits"])


@datasets.command(
    "show",
    epilog=examples(
        "pipeline datasets show digits",
        "pipeline datasets show my.csv --label species",
        "pipeline datasets show digits --picture digits.png",
    ),
)
@click.argument("name", shell_complete=complete_dataset)
@click.option("--seed", type=SEED, default=0, help="Seed of the split.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a PNG of sample images per class there. Default: nothing is written.",
)
@with_options(DATA)
@format_option
@data_dir_option
@click.pass_context
def show_dataset(
    ctx: click.Context,
    name: str,
    seed: int,
    picture: Path | None,
    format_: str,
    data_dir: Path | None,
    **options: Any,
) -> None:
    """Show a dataset: shapes, classes, split sizes, findings; a picture of samples if asked for."""
    from pipeline.datasets import as_lines, describe, load, sample_grid
    from pipeline.datasets.option_words import option_words
    from pipeline.records import DatasetSpec

    chosen, given = data_options(options), _nearest(ctx, format_, data_dir)
    dataset = load(DatasetSpec(name, given.data_dir, seed, None, chosen))
    if picture is not None:
        sample_grid(dataset, picture)
    shown = describe(dataset)
    if given.format_ == "json":
        click.echo(json.dumps(shown | {"picture": picture and str(picture)}, indent=2))
        return
    click.echo("\n".join(as_lines(shown)))
    if picture is not None:
        click.echo(f"samples per class: {picture}")
    seeds = ["--seed", str(seed)] if seed else []
    where = ["--data-dir", str(data_dir)] if _is_given(ctx, "data_dir") else []
    say_next(["pipeline", "search", "--dataset", name, *option_words(chosen), *seeds, *where])


def _nearest(ctx: click.Context, format_: str, data_dir: Path | None) -> _Given:
    """Returns the options given to the command itself, else those before it, else its own."""
    before = ctx.obj
    return _Given(
        data_dir if _is_given(ctx, "data_dir") else before.data_dir or data_dir,
        format_ if _is_given(ctx, "format_") else before.format_,
    )


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
