"""Prepares Keras's backend, and with ``multi_hot`` alone knows it: devices, threads, precision.

Everything else below ``training`` uses Keras's public API alone. TensorFlow is the backend that is
shipped; ``KERAS_BACKEND=jax`` works, too.
"""

import logging
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.errors import DeviceError
from pipeline.library_messages import are_shown
from pipeline.native_stderr import native_chatter_off
from pipeline.training import gpus

TIMINGS = 5


def prepare(device: str, precision: str, num_threads: int | None) -> str:
    """Sets the process up for training; call it before anything is built.

    Args:
        device: ``auto`` (the GPU where there is one), ``cpu`` or ``gpu``.
        precision: ``float32`` or ``mixed_bfloat16``.
        num_threads: Threads that share one operation on the CPU; None for one per core.

    Returns:
        The device's name, for the record.

    Raises:
        DeviceError: ``gpu`` was asked for and there is none.
    """
    preload()
    import keras

    keras.config.set_dtype_policy(precision)
    choose = _jax_device if keras.backend.backend() == "jax" else _tensorflow_device
    with native_chatter_off():
        return choose(device, num_threads)


def preload() -> None:
    """Imports Keras, which takes seconds; another thread may do so ahead of :func:`prepare`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if are_shown() else "3")
    # Keras's own deterministic mode would refuse some GPU kernels; seeds are ours, ops are stable.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with native_chatter_off():
        import keras  # noqa: F401


def retracing_untold() -> None:
    """Keeps TensorFlow from telling that each network is traced anew: each one is another."""
    if not are_shown():
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _no_gpu(device: str, backend: str) -> DeviceError:
    return DeviceError(
        f"--device {device}: {backend} sees no GPU on this machine; use --device auto or cpu, or "
        "install the extra 'gpu' (pip install 'least-overfit[gpu]') and check the driver with "
        "nvidia-smi"
    )


def _tensorflow_device(device: str, num_threads: int | None) -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise _no_gpu(device, "TensorFlow")
    try:
        if num_threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(num_threads)
            # One thread alone would hand out the operations and work on them in turn.
            tf.config.threading.set_inter_op_parallelism_threads(max(num_threads, 2))
        if device == "cpu":
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        # TensorFlow started in this process before us: its settings stay as they are.
        pass
    if device == "cpu" or not gpus:
        return "cpu"
    details = tf.config.experimental.get_device_details(gpus[0])
    return f"gpu: {details.get('device_name', gpus[0].name)}"


def _jax_device(device: str, num_threads: int | None) -> str:
    import jax

    gpus = [d for d in jax.devices() if d.platform in ("gpu", "cuda", "rocm")]
    if device == "gpu" and not gpus:
        raise _no_gpu(device, "JAX")
    if device == "cpu" or not gpus:
        jax.config.update("jax_default_device", jax.devices("cpu")[0])
        return "cpu"
    return f"gpu: {gpus[0].device_kind}"


def on_gpu() -> bool:
    """Whether this process trains on a GPU; call it after :func:`prepare`."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        chosen = jax.config.jax_default_device or jax.devices()[0]
        return str(chosen.platform) != "cpu"
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))


def free_bytes() -> float | None:
    """Returns the free memory of the GPU that this process trains on.

    None on a CPU, and where neither the backend nor the driver's ``nvidia-smi`` knows.
    """
    if not on_gpu():
        return None
    import keras

    if keras.backend.backend() == "jax":
        import jax

        device = jax.config.jax_default_device or jax.devices()[0]
        held = device.memory_stats() or {}
        known = {"bytes_limit", "bytes_in_use"} <= held.keys()
        return float(held["bytes_limit"] - held["bytes_in_use"]) if known else None
    # TensorFlow says what it holds, not what there is.
    return gpus.free_bytes()


def seconds_per_call(
    function: Callable[..., Any], shapes: Sequence[tuple[int, ...]], dtype: str
) -> float:
    """Returns how long one compiled call of a function takes, its gradients included.

    Args:
        function: Of tensors of these shapes.
        shapes: One per argument.
        dtype: The arguments' type.

    Returns:
        Seconds: the median of :data:`TIMINGS` calls behind one that compiles.
    """
    import keras
    from keras import ops

    arguments = [ops.zeros(shape, dtype=dtype) for shape in shapes]

    def total(tensor: Any) -> Any:
        return ops.sum(ops.cast(tensor, "float32"))

    def loss(arguments: Any) -> Any:
        return total(ops.square(function(*arguments)))

    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(lambda arguments: [total(g) for g in jax.grad(loss)(arguments)])
    else:
        import tensorflow as tf

        @tf.function
        def compiled(arguments: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                value = loss(arguments)
            return [total(gradient) for gradient in tape.gradient(value, arguments)]

    taken = []
    for _ in range(1 + TIMINGS):
        start = time.perf_counter()
        # It is over when its results are here.
        for value in compiled(arguments):
            ops.convert_to_numpy(value)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def may_fuse() -> bool:
    """Whether XLA makes training steps of dense networks shorter here than TensorFlow's kernels.

    Measured on CPUs in float32 alone (docs/experiments.md, 2026-11-27). JAX compiles by XLA anyway.
    """
    import keras

    tensorflow = keras.backend.backend() == "tensorflow"
    return tensorflow and keras.config.dtype_policy().name == "float32" and not on_gpu()


def inference(model: Any, fused: bool = False) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a compiled function that calls the model in inference mode.

    ``predict`` builds an input pipeline at every call, which costs more than a small network.

    Args:
        model: The model.
        fused: Whether TensorFlow has XLA compile it, anew for each number of examples.
    """
    import keras

    if keras.backend.backend() == "jax":
        import jax

        def call(trainable: Any, other: Any, inputs: Any) -> Any:
            return model.stateless_call(trainable, other, inputs, training=False)[0]

        compiled = jax.jit(call)
        return lambda inputs: np.asarray(
            compiled(
                [variable.value for variable in model.trainable_variables],
                [variable.value for variable in model.non_trainable_variables],
                inputs,
            )
        )
    import tensorflow as tf

    # XLA needs whole shapes: one that is traced for any number of examples would not compile.
    options = {"jit_compile": True} if fused else {"reduce_retracing": True}
    function = tf.function(lambda inputs: model(inputs, training=False), **options)
    return lambda inputs: np.asarray(function(tf.constant(inputs)))


def batches(indices: np.ndarray, labels: np.ndarray, batch_size: int) -> dict[str, Any]:
    """Returns these examples in this order as arguments of ``fit``.

    Keras's own pipeline for arrays tunes itself and reads ahead: for indices of a small network
    that takes longer than training, and seconds when it is left before its end.

    Args:
        indices: Integers [num_batches * batch_size].
        labels: Integers of the same shape.
        batch_size: Examples of a batch.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return {"x": indices, "y": labels, "batch_size": batch_size}
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = 1
    rows = tuple(values.reshape(-1, batch_size) for values in (indices, labels))
    return {"x": tf.data.Dataset.from_tensor_slices(rows).with_options(options)}


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function compiled into as few passes over memory as possible.

    Variables that it assigns are updated in place. JAX compiles whole steps anyway.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled: Callable[..., Any] = tf.function(function, jit_compile=True, autograph=False)
    return compiled


def add_bias(outputs: Any, bias: Any) -> Any:
    """Returns outputs [..., units] + bias [units].

    TensorFlow makes one operation of a convolution, a bias in this form and the ReLU behind it.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return outputs + bias
    import tensorflow as tf

    return tf.nn.bias_add(outputs, tf.cast(bias, outputs.dtype))
