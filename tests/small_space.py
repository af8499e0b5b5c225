"""A small search space: conditional hyperparameters, references within it and one outside."""

from pathlib import Path

from pipeline.search.space import space

TEXT = """\
family: mlp
trials: 8
epochs: 4
patience: 4
fixed: {width: 16, batch_size: 32}
search:
  depth: {low: 1, high: 3}
  regularizer: [none, l2]
  lambda_l2: {low: 1e-6, high: 1e-1, log: true}
  dropout_rate: {low: 0.0, high: 0.7}
references:
  baseline: {}
  wide: {width: 512}
  l2: {regularizer: l2, lambda_l2: 0.01}
"""


def small_space(*changes: tuple[str, str], text: str = TEXT) -> space.SearchSpace:
    """Returns the space, with pieces of its text replaced."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return space.parse(text.encode(), Path("folder/small.yaml"), families=("mlp",))


NO_REFERENCES = (TEXT[TEXT.index("references:") :], "")
