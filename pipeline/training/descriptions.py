"""Describes a configuration in words: ``depth 2, l2(0.0001), dropout 0.3``; no Keras here."""

from __future__ import annotations

from pipeline.records import TrialConfig
from pipeline.training.models import taken_by
from pipeline.training.techniques import hyperparameters


def describe(config: TrialConfig, keys: set[str]) -> str:
    """Returns these hyperparameters of a configuration in words, leaving out what is off.

    What its family does not take is left out, too: it says nothing about the network.
    """
    every, counting = hyperparameters(), taken_by(config.family)
    keys = {key for key in keys if key in counting or key not in every}
    wanted = {every[key].phrased_by or key for key in keys if key in every}
    phrases = [config.family] if "family" in keys else []
    phrases += [entry.describe(config) for name, entry in every.items() if name in wanted]
    return ", ".join(phrase for phrase in phrases if phrase)
