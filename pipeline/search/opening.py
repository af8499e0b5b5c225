"""Says what a search will do: the lines of ``--dry-run``, its first lines, the study's params.

In: the options and what was prepared from them. Out: texts for the user; nothing is written.
"""

from __future__ import annotations

from typing import Any

from pipeline.datasets import data_lines
from pipeline.errors import printable
from pipeline.formatting import duration
from pipeline.redaction import masked
from pipeline.search import executors
from pipeline.search.cost import typical_configs
from pipeline.search.foreseen import (
    PLACING_SECONDS,
    START_SECONDS,
    UNTIMED,
    Span,
    cohort_size,
    num_finalist_trainings,
    remembered,
    report_span,
    search_span,
)
from pipeline.search.options import (
    Prepared,
    SearchOptions,
    data_size,
    trained_space,
    typical_trials,
)
from pipeline.search.plan import cohort_sizing
from pipeline.search.space.points import num_trials
from pipeline.search.space.sequences import grid_lines
from pipeline.search.space.space import SearchSpace
from pipeline.search.storage import DEFAULT_STORAGE
from pipeline.search.workers import staffed
from pipeline.tracking.address import tracking_address
from pipeline.training.scoring import validation_per_epoch

FEWEST_SEARCHED = 5
"""Searched trials below which the user reads that this is no search."""


def plan_lines(options: SearchOptions, prepared: Prepared) -> list[str]:
    """Returns what a search would do, for ``--dry-run``."""
    options, workers = staffed(options, prepared)
    chosen, dataset = prepared.space, prepared.dataset
    sizes = ", ".join(f"{part} {size:,}" for part, size in dataset.split_sizes.items())
    rows = [f"  {row.name}: {row.values}" for row in chosen.grid() if row.role == "searched"]
    names = [entry.name for entry in chosen.references] if options.references else []
    return [
        f"study: {prepared.study}",
        f"dataset: {dataset.name} ({sizes}), split {dataset.split_id}",
        *(f"  {line}" for line in data_lines(dataset)),
        f"search space: {chosen.path}",
        *own_lines(prepared),
        *rows,
        f"references, trained first: {', '.join(names) or 'none'}",
        *prepared.notes,
        f"trials: {total_in_words(options, chosen)} of at most {chosen.epochs} epochs, patience "
        f"{chosen.patience}",
        *too_few_to_search(options, chosen),
        *scoring_lines(prepared),
        *strategy_lines(chosen),
        time_line(options, prepared),
        f"executor: {options.executor}, {workers.count} worker(s), device {options.device}, "
        f"{options.precision}",
        *([workers.told] if workers.told else []),
        "dry run: nothing was trained or written",
    ]


def own_lines(prepared: Prepared) -> list[str]:
    """Returns what is known of the user's own model, where the study has one."""
    own = prepared.own
    if own is None:
        return []
    count = own.size.num_parameters
    size = f"{count:,} parameters in the largest of a few tries" if count else "of unknown size"
    return [f"model: {own.option}, {size}, SHA-256 {own.sha256[:12]}"]


def strategy_lines(chosen: SearchSpace) -> list[str]:
    """Returns the sampler and the pruner, and of a grid what it takes of each range."""
    about = f"sampler: {chosen.sampler}, pruner: {chosen.pruner}"
    return [about, *(grid_lines(chosen) if chosen.sampler == "grid" else [])]


def plan_json(options: SearchOptions, prepared: Prepared, next_command: str) -> dict[str, Any]:
    """Returns the same as JSON values; the keys are in docs/command-json.md.

    Args:
        options: What was asked for.
        prepared: What would be searched.
        next_command: The command to type next.
    """
    options, workers = staffed(options, prepared)
    chosen, dataset = prepared.space, prepared.dataset
    references = [entry.name for entry in chosen.references] if options.references else []
    notes = [*prepared.notes, *too_few_to_search(options, chosen)]
    notes += [workers.told] if workers.told else []
    return {
        "dry_run": True,
        "study": prepared.study,
        "dataset": dataset.name,
        "split_id": dataset.split_id,
        "split_sizes": dict(dataset.split_sizes),
        "findings": [
            {"code": one.code, "message": printable(one.message)} for one in dataset.findings
        ],
        "search_space": str(chosen.path),
        "searched": {row.name: row.values for row in chosen.grid() if row.role == "searched"},
        "references": references,
        "trials": chosen.trials,
        "epochs": chosen.epochs,
        "patience": chosen.patience,
        "sampler": chosen.sampler,
        "pruner": chosen.pruner,
        "validation_per_epoch": prepared.definition.get("validation_per_epoch"),
        "time": time_line(options, prepared).removeprefix("time: "),
        "executor": options.executor,
        "workers": workers.count,
        "device": options.device,
        "precision": options.precision,
        "storage": masked(options.storage or DEFAULT_STORAGE),
        "tracking_uri": masked(tracking_address()),
        "notes": notes,
        "next": next_command,
    }


def time_line(options: SearchOptions, prepared: Prepared) -> str:
    """Returns how long the search and its report take, by what this machine timed before."""
    chosen, data = prepared.space, data_size(prepared.dataset)
    configs = typical_trials(trained_space(options, chosen))
    typical = typical_configs(chosen, chosen.trials)
    together = cohort_size(configs, cohort_sizing(options, chosen, prepared.dataset))
    estimate, timed = remembered(data, chosen.epochs, options.device)
    search = search_span(estimate, configs, options.workers, together) + Span(*START_SECONDS)
    if executors.find(options.executor).places:
        search += Span(*PLACING_SECONDS)
    trainings = num_finalist_trainings(options.seeds, options.finalists, configs)
    report = report_span(estimate, typical, trainings)
    source = "by what earlier searches on this machine took a step"
    if not timed:
        search, report = search.widened(UNTIMED), report.widened(UNTIMED)
        source = "a rough guess before this machine's first search; a search says it again"
    limit = f" (--timeout {duration(options.timeout_seconds)})" if options.timeout_seconds else ""
    return f"time: search {search}{limit}, its report with finalists {report}; {source}"


def num_references(options: SearchOptions, chosen: SearchSpace) -> int:
    """Returns how many trials of the study are reference configurations."""
    return min(len(chosen.references), chosen.trials) if options.references else 0


def total_in_words(options: SearchOptions, chosen: SearchSpace) -> str:
    """Returns the study's total and what it is made of."""
    references, total = num_references(options, chosen), chosen.trials
    trials = f"{total} trial{'' if total == 1 else 's'}"
    if not references:
        return trials
    word = "reference" if references == 1 else "references"
    return f"{references} {word} + {total - references} searched = {trials}"


def too_few_to_search(options: SearchOptions, chosen: SearchSpace) -> list[str]:
    """Returns the warning that the total leaves next to nothing to the search, or nothing."""
    references = len(chosen.references) if options.references else 0
    enough = references + FEWEST_SEARCHED
    if chosen.trials >= enough or chosen.trials >= num_trials(chosen, options.references):
        return []
    without = ", or --no-references" if references else ""
    return [
        f"--trials {chosen.trials} leaves {chosen.trials - num_references(options, chosen)} to the "
        f"search{' beside the references' * bool(references)}: give --trials {enough} or more"
        f"{without}"
    ]


def scoring_lines(prepared: Prepared) -> list[str]:
    """Returns what is scored after each epoch, where it is not the whole validation part."""
    sizes = prepared.dataset.split_sizes
    whole, part = sizes["validation"], prepared.definition.get("validation_per_epoch")
    if part != validation_per_epoch(sizes["train"], whole):
        scored = f"{part:,} of the" if part else "all"
        return [
            f"this study was begun with another version: after each epoch {scored} {whole:,} "
            "validation examples are scored, as in its earlier trials"
        ]
    if not part:
        return []
    return [
        f"after each epoch {part:,} of the {whole:,} validation examples are scored; what a trial "
        "is measured and chosen by is all of them, at its best epoch"
    ]


def first_line(options: SearchOptions, prepared: Prepared, ended: int, address: str) -> str:
    """Returns the first line of a search: what it does and where it writes."""
    sizes = prepared.dataset.split_sizes
    again = f", {ended} of them done" if ended else ""
    return (
        f"study '{prepared.study}': {total_in_words(options, prepared.space)}{again} on "
        f"{prepared.dataset.name} ({sizes['train']:,} training and {sizes['validation']:,} "
        f"validation examples; {sizes['test']:,} test examples sealed); MLflow: {address}; "
        f"Optuna: {masked(options.storage or DEFAULT_STORAGE)}"
    )


def study_params(options: SearchOptions, prepared: Prepared) -> dict[str, str]:
    """Returns what matters of a study's definition, in words, for its run in MLflow.

    The whole of it is a file of the run. The number of trials is no param: it may grow.
    """
    chosen, part = prepared.space, options.train_examples
    rows = chosen.grid()
    names = ", ".join(entry.name for entry in chosen.references)
    fixed = ", ".join(f"{row.name} {row.values}" for row in rows if row.role == "fixed")
    return {
        "family": chosen.family,
        "epochs": str(chosen.epochs),
        "patience": str(chosen.patience),
        "seed": str(options.seed),
        "precision": options.precision,
        **chosen.strategy(),
        **({} if part is None else {"train_examples": str(part)}),
        "references": names if names and options.references else "none",
        **({"fixed": fixed} if fixed else {}),
        **{f"search.{row.name}": row.values for row in rows if row.role == "searched"},
    }
