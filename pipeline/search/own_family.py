"""Prepares the search of a user's own model: its search space, and what a few tries of it say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.datasets import DatasetSummary
from pipeline.errors import InputError
from pipeline.search.cost import typical_configs
from pipeline.search.space.space import SearchSpace
from pipeline.training.own import registry
from pipeline.training.own.registry import OwnFamily
from pipeline.training.own.try_out import PROBED, try_out


def beside(own: OwnFamily) -> Path:
    """Returns the search space that lies beside the user's model file.

    Raises:
        InputError: There is none.
    """
    path = Path(own.path).with_suffix(".yaml")
    if not path.is_file():
        raise InputError(
            f"--family {own.option}: give its search space, --search-space FILE; without the "
            f"option it is {path}, which is not there"
        )
    return path


def tried_out(
    cohort_size: int | None, chosen: SearchSpace, dataset: DatasetSummary
) -> tuple[OwnFamily, tuple[str, ...]]:
    """Returns the user's family as its models turned out in a few tries, and what to say of it.

    Args:
        cohort_size: As the user asked for it.
        chosen: The space, of the user's own family.
        dataset: What its models take.

    Raises:
        InputError: The file cannot be run or has no such function; or trials were to train
            together.
    """
    if cohort_size not in (None, 1):
        raise InputError(
            f"--cohort-size {cohort_size}: a model of your own is trained one by one; leave the "
            "option out"
        )
    references = [entry.config for entry in chosen.references]
    configs = [*references, *typical_configs(chosen, PROBED)][:PROBED]
    own = registry.known(chosen.family)
    assert own is not None
    found = try_out(own, configs, dataset.input_shape, dataset.num_classes)
    own = replace(own, size=found.size)
    registry.register(own)
    if found.notes:
        return own, found.notes
    given = {*chosen.parameters, *chosen.fixed}
    unread = sorted(name for name, _ in own.kinds if name in given - found.read_names)
    if not unread:
        return own, ()
    return own, (
        f"{own.name} did not read {', '.join(unread)} for {len(configs)} configurations: what a "
        "trial has of it changes nothing then",
    )
