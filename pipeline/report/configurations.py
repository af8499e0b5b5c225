"""Describes configurations in words: what a trial uses, and what sets it apart from the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.records import StudyRecord, TrialConfig, TrialRecord

_PENALTY = {"regularizer", "lambda_l1", "lambda_l2"}


def describe(config: TrialConfig, keys: set[str]) -> str:
    """Returns these hyperparameters of a configuration in words, leaving out what is off."""
    values = config.as_dict()
    phrases = []
    for key, value in values.items():
        if key == "regularizer" and keys & _PENALTY:
            phrases.append(_penalty(values))
        elif key in keys and key not in _PENALTY:
            phrases.append(_phrase(key, value))
    return ", ".join(phrase for phrase in phrases if phrase)


def identifying_keys(study: StudyRecord, config: TrialConfig) -> set[str]:
    """Returns what describes a model: the basics, what the study varies, what is not default."""
    usual = TrialConfig().as_dict()
    unusual = {key for key, value in config.as_dict().items() if value != usual[key]}
    return {"family", "depth", "width"} | varying_keys(study) | unusual


def varying_keys(study: StudyRecord) -> set[str]:
    """Returns the hyperparameters in which the study's trials differ."""
    seen: dict[str, set[Any]] = {}
    for trial in study.trials:
        for key, value in trial.config.as_dict().items():
            seen.setdefault(key, set()).add(value)
    return {key for key, values in seen.items() if len(values) > 1}


def trial_label(trial: TrialRecord, keys: set[str]) -> str:
    """Returns the name of a reference configuration, else what sets the trial apart."""
    return trial.name or describe(trial.config, keys) or "plain"


def _penalty(values: Mapping[str, Any]) -> str:
    name = values["regularizer"]
    if name == "none":
        return ""
    factors = [values[key] for key in ("lambda_l1", "lambda_l2") if values[key] is not None]
    return f"{name}({', '.join(f'{factor:.3g}' for factor in factors)})"


def _phrase(key: str, value: Any) -> str:
    """A hyperparameter in words; nothing for one that is off."""
    if value is None or value is False or (key == "dropout_rate" and value == 0):
        return ""
    if key == "family":
        return str(value)
    words = "dropout" if key == "dropout_rate" else key.replace("_", " ")
    if value is True:
        return words
    return f"{words} {value:.3g}" if isinstance(value, float) else f"{words} {value}"
