"""A technique that no table has: each unit's incoming weights have at least a certain norm."""

from pipeline.training.hyperparameters import Hyperparameter
from pipeline.training.technique_forms import KernelConstraint
from pipeline.training.techniques import Technique


def enlarged(kernels, limits, axes):
    """Returns the kernels with norms of at least these limits; 0 is exactly off."""
    import keras
    from keras import ops

    norms = ops.sqrt(ops.sum(ops.square(kernels), axis=axes, keepdims=True))
    scale = ops.maximum(norms, limits) / (keras.config.epsilon() + norms)
    return kernels * ops.where(limits == 0.0, ops.ones_like(scale), scale)


def keras_own(least, axes):
    """Returns Keras's constraint."""
    import keras

    return keras.constraints.MinMaxNorm(least, max_value=1e9, rate=1.0, axis=axes)


MIN_NORM = Technique(
    KernelConstraint(enlarged, keras_own),
    (Hyperparameter("min_norm", float, 0.0, least=0, off=0, per_trial=True),),
    example={"min_norm": 1.5},
)
