"""Runs the ``pipeline`` command. Results go to stdout, progress and messages to stderr.

Exit codes: 0 done, 1 failure, 2 usage or bad input, 3 no model can be recommended, 4 a gate was not
met, 130 stopped. Everything heavy is imported inside the commands, so that ``--help`` answers at
once. ``cli_study`` has the commands that make a study, ``cli_group`` what all of them have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.cli_group import Commands
from pipeline.cli_options import (
    DATA,
    PREDICT,
    SEED,
    data_dir_option,
    data_options,
    device_option,
    format_option,
    storage_option,
    with_options,
)
from pipeline.cli_study import report, run, search
from pipeline.cli_types import Auto


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="least-overfit", prog_name="pipeline")
def main(debug: bool) -> None:
    """Find the network that overfits least.

    `search` trains and measures, `report` chooses and shows, `run` does both. Every run is in
    MLflow.
    """


for command in (search, report, run):
    main.add_command(command)


@main.group(invoke_without_command=True)
@data_dir_option
@click.pass_context
def datasets(ctx: click.Context, data_dir: Path | None) -> None:
    """List the datasets, or show one."""
    ctx.obj = data_dir
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_datasets)


@datasets.command("list")
@data_dir_option
@click.pass_context
def list_datasets(ctx: click.Context, data_dir: Path | None) -> None:
    """List the datasets known by name, and where each would come from."""
    from pipeline.datasets import availability, catalogue

    data_dir = nearest_data_dir(ctx, data_dir)
    for name, source in catalogue().items():
        click.echo(f"{name:<14} {availability(name, data_dir):<22} {source.summary}")
    click.echo(
        "Your own data: pipeline search --dataset my.npz (arrays x, y), my.csv or my.parquet (a "
        "column of classes, --label), or a folder of pictures or texts (a subfolder per class)"
    )


@datasets.command("show")
@click.argument("name")
@click.option("--seed", type=SEED, default=0, help="Seed of the split.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PNG of sample images per class. Default: NAME-samples.png here.",
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
    """Show a dataset: shapes, classes, split sizes, findings, and a picture of sample images."""
    import json

    from pipeline.datasets import as_lines, describe, load, sample_grid
    from pipeline.records import DatasetSpec

    chosen = data_options(options)
    dataset = load(DatasetSpec(name, nearest_data_dir(ctx, data_dir), seed, None, chosen))
    shown = describe(dataset)
    click.echo(json.dumps(shown, indent=2) if format_ == "json" else "\n".join(as_lines(shown)))
    if dataset.kind == "image" or picture is not None:
        target = picture or Path(f"{dataset.name}-samples.png")
        sample_grid(dataset, target)
        click.echo(f"samples per class: {target}", err=format_ == "json")


def nearest_data_dir(ctx: click.Context, data_dir: Path | None) -> Path | None:
    """Returns the --data-dir given to the command itself, else the one before it, else its own."""
    given = ctx.get_parameter_source("data_dir") is click.core.ParameterSource.COMMANDLINE
    return data_dir if given else ctx.obj or data_dir


@main.group()
def space() -> None:
    """Work with search spaces."""


@space.command("check")
@click.argument("file")
def check_space(file: str) -> None:
    """Validate a search space (a YAML file or a shipped name) and print what may vary."""
    from pipeline.search.space.space import load

    checked = load(file)
    rows = [("hyperparameter", "", "values", "asked when")]
    rows += [(row.name, row.role, row.values, row.condition) for row in checked.grid()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]).rstrip())
    names = ", ".join(entry.name for entry in checked.references) or "none"
    click.echo(
        f"{checked.path}: valid; {checked.trials} trials of at most {checked.epochs} epochs; "
        f"references: {names}"
    )


@space.command("init")
@click.option("--dataset", required=True, metavar="NAME|PATH", help="What is to be searched on.")
@with_options(DATA)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the space there; a file that is there is kept. Default: stdout.",
)
@data_dir_option
def init_space(dataset: str, output: Path | None, data_dir: Path | None, **options: Any) -> None:
    """Propose a commented search space for your data: family, width, depth and epochs by size.

    Every technique stands among its references, each alone. Change what you like, and give it to
    `pipeline search --search-space FILE`.
    """
    from pipeline.search.options import SearchOptions
    from pipeline.search.proposal import propose, write

    chosen = SearchOptions(dataset, data_dir=data_dir, data=data_options(options))
    text = propose(chosen, "FILE" if output is None else str(output))
    if output is None:
        click.echo(text, nl=False)
    else:
        write(text, output)
        click.echo(f"search space: {output}", err=True)


@main.command()
@with_options(PREDICT)
def predict(
    model: str,
    input_: Path,
    output: Path | None,
    batch_size: int,
    probabilities: bool,
    delimiter: str | None,
    decimal: str | None,
) -> None:
    """Predict classes of raw inputs by a saved model, as CSV: row, class, probability."""
    from pipeline.doctor import backend_chosen
    from pipeline.predict.predict import as_csv, write
    from pipeline.predict.predict import predict as predict_file

    backend_chosen()
    note = lambda line: click.echo(line, err=True)  # noqa: E731
    found = predict_file(model, input_, batch_size, note, delimiter, decimal)
    lines = as_csv(found, every_class=probabilities)
    if output is None:
        click.echo("".join(lines), nl=False)
    else:
        write(lines, output)
        click.echo(f"predictions: {output}", err=True)


@main.command()
@click.argument("run_id")
@device_option("Where the network trains.")
@data_dir_option
def reproduce(run_id: str, device: str, data_dir: Path | None) -> None:
    """Train a trial again from its record in MLflow, and say whether the numbers agree.

    RUN_ID is the run of a trial or of a finalist; a study's stands for what was delivered, each of
    its seeds by itself. Nothing is written. Exit code 0: they agree; 1: they do not.
    """
    from pipeline.doctor import backend_chosen
    from pipeline.reproduce import as_text, retrain

    backend_chosen()
    found = retrain(run_id, data_dir, device, lambda line: click.echo(line, err=True))
    click.echo("\n".join(as_text(comparison) for comparison in found), nl=False)
    if not all(comparison.agrees for comparison in found):
        raise click.exceptions.Exit(1)


@main.command()
@click.option(
    "--data-dir",
    envvar="PIPELINE_DATA_DIR",
    show_envvar=True,
    type=Auto(click.Path(path_type=Path)),
    help="Folder with official dataset files.",
)
@storage_option("Optuna's storage. Default: studies.journal.")
def doctor(data_dir: Path | None, storage: str | None) -> None:
    """Check this machine: versions, device, MLflow, storage, datasets, disk and memory.

    Writes nothing. Exit code 0, or 1 where something needed is broken.
    """
    from pipeline.doctor import examine

    problems = 0
    for finding in examine(data_dir, storage, lambda line: click.echo(line, err=True)):
        click.echo(finding.as_line())
        problems += finding.status == "problem"
    if problems:
        raise click.exceptions.Exit(1)
