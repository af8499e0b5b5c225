"""Turns what ``pipeline report`` was asked for into the settings of the selection rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import datasets
from pipeline.search.executors.interface import Placement
from pipeline.selection.records import ENSEMBLE, FINALISTS, MEDIAN, SEEDS, RuleSettings
from pipeline.selection.rules import rule_settings


@dataclass(frozen=True)
class ReportOptions:
    """What ``pipeline report`` was asked for.

    Attributes:
        dataset: Report on the newest study of this dataset.
        study: Report on this study.
        rule: Selection rule.
        constants: Constant of the rule -> value; one that is left out is as locked by the same
            rule, else the rule's default.
        seeds: Seeds per finalist, 1 for no finalists; None as locked, else ``SEEDS``.
        finalists: Largest number of finalists; None as locked, else ``FINALISTS``.
        deliver: What is delivered of the winner's seeds, ``ensemble`` or ``single``; None as
            locked, else ``ensemble``.
        trial_timeout: Longest wall time of a finalist's training, seconds; None for no limit.
        data_dir: Folder with official files, for training finalists and for the test part.
        read_test_again: Lock the present choice and read the test part once more.
        family: File and function of the user's own model, where the study trained one.
        promote: Make the registered model the champion, whatever the one before was.
        workers: Cohorts of finalists at once.
        auto_workers: Whether ``search.workers`` chooses their number.
        ray_address: Address of a Ray cluster, where the study was searched with Ray.
        cpus_per_worker: Processors of the worker on it that trains finalists.
        gpus_per_worker: GPUs of that worker.
    """

    dataset: str | None = None
    study: str | None = None
    rule: str = "least_overfit"
    constants: Mapping[str, float] = field(default_factory=dict)
    seeds: int | None = None
    finalists: int | None = None
    deliver: str | None = None
    trial_timeout: float | None = None
    data_dir: Path | None = None
    read_test_again: bool = False
    family: str | None = None
    promote: bool = False
    workers: int = 1
    auto_workers: bool = False
    ray_address: str | None = None
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None

    @property
    def placement(self) -> Placement:
        """Where finalists are trained, for executors that use several machines."""
        return Placement(self.ray_address, self.cpus_per_worker, self.gpus_per_worker)

    @property
    def dataset_name(self) -> str | None:
        """The name under which a study has the dataset: of a path, what it is called by."""
        if self.dataset and datasets.is_path(self.dataset):
            return datasets.name_of(Path(self.dataset))
        return self.dataset


def settings_for(options: ReportOptions, locked: Mapping[str, Any] | None) -> RuleSettings:
    """Returns the rule as asked for; what was left out is as locked, else as the rule has it.

    Raises:
        RuleError: The rule is unknown or refused, has no such constant, or not with this value.
    """
    asked = dict(locked["asked"]) if locked else {}
    seeds, count = asked.pop("seeds", SEEDS), asked.pop("finalists", FINALISTS)
    # Versions before there was a choice delivered the seed of the median.
    deliver = asked.pop("deliver", MEDIAN if locked else ENSEMBLE)
    # A constant belongs to its rule: another rule starts from its own defaults.
    constants = asked if locked and locked["rule"]["name"] == options.rule else {}
    return rule_settings(
        options.rule,
        constants | dict(options.constants),
        seeds=options.seeds or seeds,
        finalists=options.finalists or count,
        deliver=options.deliver or deliver,
    )
