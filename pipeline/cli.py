"""Runs the ``pipeline`` command. Results go to stdout, progress and messages to stderr.

Exit codes: 0 done, 1 failure, 2 usage or bad input, 3 no model can be recommended, 4 a gate was not
met, 130 stopped. Everything heavy is imported inside the commands, so that ``--help`` answers at
once. ``cli_study`` has the commands that make a study, ``cli_datasets`` those that show data,
``cli_group`` what all of them have.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from pipeline.cli_completion import complete_dataset, complete_space
from pipeline.cli_datasets import datasets
from pipeline.cli_group import Commands, Group, examples, next_of, say_next, typed
from pipeline.cli_options import (
    DATA,
    PREDICT,
    data_dir_option,
    data_options,
    device_option,
    family_option,
    format_option,
    ray_address_option,
    storage_option,
    with_options,
)
from pipeline.cli_study import report, run, search
from pipeline.cli_types import Auto


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "pipeline search --dataset digits",
        "pipeline report --dataset digits",
        "pipeline run --dataset my.csv --label species",
    ),
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="least-overfit", prog_name="pipeline")
def main(debug: bool) -> None:
    """Find the network that overfits least.

    `search` trains and measures, `report` chooses and shows, `run` does both. Every run is in
    MLflow.
    """


DOCTOR = ["pipeline", "doctor"]

for command in (search, report, run, datasets):
    main.add_command(command)


@main.group(
    cls=Group,
    epilog=examples("pipeline space check digits", "pipeline space init --dataset my.csv"),
)
def space() -> None:
    """Check a search space, or propose one for your data."""


@space.command(
    "check", epilog=examples("pipeline space check digits", "pipeline space check my.yaml")
)
@click.argument("file", shell_complete=complete_space)
@family_option("The model of your own that the space is for; its file is read, not run.")
@format_option
def check_space(file: str, family: str | None, format_: str) -> None:
    """Validate a search space (a YAML file or a shipped name) and print what may vary."""
    import json

    from pipeline.search.space.space import load
    from pipeline.training.own.registry import family_of

    checked = load(file, own=family_of(family) if family else None)
    words = ["--family", family] if family else []
    following = ["pipeline", "search", "--dataset", "NAME", *words, "--search-space", file]
    if format_ == "json":
        click.echo(json.dumps(checked.as_json() | {"next": next_of(following)}, indent=2))
        return
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
    say_next(following)


@space.command(
    "init",
    epilog=examples(
        "pipeline space init --dataset my.csv --output my.yaml",
        "pipeline search --dataset my.csv --search-space my.yaml",
        "pipeline space init --dataset my.csv \\",
        "    --family-file my_model.py",
    ),
)
@click.option(
    "--dataset",
    required=True,
    metavar="NAME|PATH",
    help="What is to be searched on.",
    shell_complete=complete_dataset,
)
@with_options(DATA)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the space there; a file that is there is kept. Default: stdout.",
)
@click.option(
    "--family-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.py",
    help="Write a commented model of your own there, and its search space beside it.",
)
@data_dir_option
@click.pass_context
def init_space(
    ctx: click.Context,
    dataset: str,
    output: Path | None,
    family_file: Path | None,
    data_dir: Path | None,
    **options: Any,
) -> None:
    """Propose a commented search space for your data: family, width, depth and epochs by size.

    Every technique stands among its references, each alone. Change what you like, and give it to
    `pipeline search --search-space FILE`.
    """
    from pipeline.datasets.option_words import option_words
    from pipeline.search.options import SearchOptions
    from pipeline.search.own_proposal import write_own
    from pipeline.search.proposal import propose, write

    chosen = SearchOptions(dataset, data_dir=data_dir, data=data_options(options))
    if family_file is not None:
        words, written = write_own(chosen, family_file, output)
        click.echo(f"model: {family_file}\nsearch space: {written}", err=True)
        say_next(words)
        return
    text = propose(chosen, "FILE" if output is None else str(output))
    if output is None:
        click.echo(text, nl=False)
        say_next([*typed(ctx), "--output", "my_space.yaml"])
    else:
        write(text, output)
        click.echo(f"search space: {output}", err=True)
        words = ["--dataset", dataset, *option_words(chosen.data), "--search-space", str(output)]
        say_next(["pipeline", "search", *words])


@main.command(
    epilog=examples(
        "pipeline predict --model model.keras --input new.npy",
        "pipeline predict --input new.csv --output classes.csv \\",
        "    --model models:/my-least-overfit@champion",
    )
)
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
    say_next(_after_predicting(model, input_, output))


def _after_predicting(model: str, input_: Path, output: Path | None) -> list[str]:
    """Returns the words of the next command: to keep the predictions, then to serve the model."""
    if output is not None and model.startswith(("models:/", "runs:/")):
        return ["mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local"]
    words = ["pipeline", "predict", "--model", model, "--input"]
    if output is not None:
        return [*words, "FILE"]
    return [*words, str(input_), "--output", "predictions.csv"]


@main.command(
    epilog=examples(
        "pipeline reproduce 4f1c0d2e9a7b4c5d8e6f7a8b9c0d1e2f",
        "pipeline reproduce RUN_ID --device cpu --format json",
    )
)
@click.argument("run_id")
@device_option("Where the network trains.")
@family_option("The model of your own that the run trained.")
@data_dir_option
@format_option
def reproduce(
    run_id: str, device: str, family: str | None, data_dir: Path | None, format_: str
) -> None:
    """Train a trial again from its record in MLflow, and say whether the numbers agree.

    RUN_ID is the run of a trial or of a finalist; a study's stands for what was delivered, each of
    its seeds by itself. Nothing is written. Exit code 0: they agree; 1: they do not.
    """
    import json

    from pipeline.doctor import backend_chosen
    from pipeline.reproduce import as_json, as_text, retrain

    backend_chosen()
    found = retrain(run_id, data_dir, device, partial(click.echo, err=True), family)
    agrees = all(comparison.agrees for comparison in found)
    following = ["pipeline", "report", "--study", found[0].study] if agrees else DOCTOR
    if format_ == "json":
        compared = [as_json(comparison) for comparison in found]
        whole = {"study": found[0].study, "agrees": agrees, "comparisons": compared}
        click.echo(json.dumps(whole | {"next": next_of(following)}, indent=2))
    else:
        click.echo("\n".join(as_text(comparison) for comparison in found), nl=False)
        say_next(following)
    if not agrees:
        raise click.exceptions.Exit(1)


@main.command(epilog=examples("pipeline doctor", "pipeline doctor --format json"))
@click.option(
    "--data-dir",
    envvar="PIPELINE_DATA_DIR",
    show_envvar=True,
    type=Auto(click.Path(path_type=Path)),
    help="Folder with official dataset files.",
)
@storage_option("Optuna's storage. Default: studies.journal.")
@ray_address_option("Ray cluster to look at. Default: RAY_ADDRESS.")
@format_option
def doctor(
    data_dir: Path | None, storage: str | None, ray_address: str | None, format_: str
) -> None:
    """Check this machine: versions, device, MLflow, storage, datasets, disk and memory.

    Writes nothing. Exit code 0, or 1 where something needed is broken.
    """
    import json

    from pipeline.doctor import as_json, examine

    findings = []
    say = lambda line: click.echo(line, err=True)  # noqa: E731
    for finding in examine(data_dir, storage, say, ray_address):
        findings.append(finding)
        if format_ == "text":
            click.echo(finding.as_line())
    found = as_json(findings)
    if format_ == "json":
        click.echo(json.dumps(found, indent=2))
    if not found["ready"]:
        raise click.exceptions.Exit(1)
    if format_ == "text":
        say_next(["pipeline", "search", "--dataset", "digits"])
