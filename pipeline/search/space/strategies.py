"""Names what may suggest trials and what may stop them early; light, for ``--help`` reads it.

``search.samplers`` makes them for Optuna; ``search.space.sequences`` has the points of those that
learn nothing.
"""

SAMPLERS = ("tpe", "random", "grid", "qmc")
"""The first is the default, and the only one that learns from the trials before."""
PRUNERS = ("percentile", "none")
"""The first is the default."""
DEFAULTS = {"sampler": SAMPLERS[0], "pruner": PRUNERS[0]}
