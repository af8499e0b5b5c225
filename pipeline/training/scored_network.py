"""Scores examples with a network, in inference mode and as many at a time as fit; ours and users'.

A network says how many that are, and which logits [B, K, C] it makes of the examples' indices [B].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import keras
import numpy as np

from pipeline.training import backend
from pipeline.training.losses import LogProbabilities, Scores


class ScoredNetwork:
    """What scores a network's examples; its subclasses call :meth:`score_by` once.

    Attributes:
        scored: Examples per call of the scoring function.
    """

    scored: int

    def score_by(self, indices: Any, logits: Any, labels: Any, *, fused: bool = False) -> None:
        """Makes what scores: from indices [B] by their logits [B, K, C] and labels [B]."""
        scores = Scores(dtype="float32")(logits, labels)
        self._scorer = backend.inference(keras.Model(indices, scores), fused)
        self._indices, self._logits = indices, logits

    def score(self, indices: np.ndarray) -> np.ndarray:
        """Returns the columns of ``losses.SCORES``, float32 [n, K, 4]."""
        return self._in_parts(self._scorer, indices)

    def log_probabilities(self, indices: np.ndarray) -> np.ndarray:
        """Returns log p of every class, float32 [n, K, num_classes], nats."""
        return self._in_parts(self._log_scorer, indices)

    @cached_property
    def _log_scorer(self) -> Callable[[np.ndarray], np.ndarray]:
        """What gives log p of every class; compiled for the few cohorts that are asked for it."""
        logs = LogProbabilities(dtype="float32")(self._logits)
        return backend.inference(keras.Model(self._indices, logs))

    def _in_parts(
        self, scorer: Callable[[np.ndarray], np.ndarray], indices: np.ndarray
    ) -> np.ndarray:
        parts = np.split(indices, range(self.scored, len(indices), self.scored))
        return np.concatenate([scorer(part) for part in parts])
