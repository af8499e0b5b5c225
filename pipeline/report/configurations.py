"""Describes configurations in words: what a trial uses, and what sets it apart from the others."""

from __future__ import annotations

from pipeline.records import StudyRecord, TrialConfig, TrialRecord
from pipeline.training.descriptions import describe
from pipeline.training.techniques import hyperparameters


def identifying_keys(config: TrialConfig) -> set[str]:
    """Returns what describes a model: the basics, and what is not the default."""
    usual = TrialConfig()
    unusual = {key for key, value in config.as_dict().items() if value != getattr(usual, key)}
    return {"family", "depth", "width"} | unusual


def varying_keys(study: StudyRecord) -> set[str]:
    """Returns the hyperparameters in which the study's trials differ."""
    configs = [trial.config for trial in study.trials]
    names = ("family", *hyperparameters())
    return {name for name in names if len({getattr(config, name) for config in configs}) > 1}


def in_words(name: str) -> str:
    """Returns the name of a hyperparameter as words: ``dropout rate``."""
    return name.replace("_", " ")


def technique_words(name: str) -> str:
    """Returns the name of a technique as words: ``l1 + l2``, ``max norm``."""
    return in_words(name.replace("l1_l2", "l1 + l2"))


def trial_label(trial: TrialRecord, keys: set[str]) -> str:
    """Returns the name of a reference configuration, else what sets the trial apart."""
    return trial.name or describe(trial.config, keys) or "plain"
