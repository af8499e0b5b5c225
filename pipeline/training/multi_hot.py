"""Multiplies multi-hot rows, given as token lists, by a kernel without ever forming them.

Of a batch of Reuters, 512 x 10,000, less than a hundredth are ones: the product is a sum of rows of
the kernel for each example, its gradient a sum of rows of the upstream gradient for each word.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def embedding_bag(kernel: Any, tokens: Any) -> Any:
    """Returns the sum of the kernel's rows at each example's tokens: multi-hot rows @ kernel.

    With TensorFlow as a product of matrices in compressed sparse rows, whose kernels have as many
    threads as there are cores; the gradient is that of the transposed one. (By segment sums over
    the tokens sorted by word, as it was, both took 2.3 times as long; docs/experiments.md.)

    Args:
        kernel: Float [num_words, width].
        tokens: int32 [num_examples, max_tokens], distinct per row; negative entries are padding.

    Returns:
        Float [num_examples, width].
    """
    if keras.backend.backend() != "tensorflow":
        return _dense_bag(kernel, tokens)
    import tensorflow as tf

    places = tf.where(tokens >= 0)
    words = tf.cast(tf.gather_nd(tokens, places), tf.int64)
    rows = tf.raw_ops.SparseTensorToCSRSparseMatrix(
        indices=tf.stack([places[:, 0], words], axis=1),
        values=tf.ones_like(words, dtype=tf.float32),
        dense_shape=tf.cast([tf.shape(tokens)[0], tf.shape(kernel)[0]], tf.int64),
    )

    @tf.custom_gradient
    def bag(kernel: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            # `transpose_a` of the product has a buffer per thread and takes three times as long.
            columns = tf.raw_ops.SparseMatrixTranspose(input=rows, type=tf.float32)
            return _product(columns, upstream)

        return _product(rows, kernel), gradient

    return bag(tf.convert_to_tensor(kernel))


def _product(rows: Any, dense: Any) -> Any:
    """Returns the product of TensorFlow's sparse rows, float32, with a matrix in its precision."""
    import tensorflow as tf

    product = tf.raw_ops.SparseMatrixMatMul(a=rows, b=tf.cast(dense, tf.float32))
    return tf.cast(product, dense.dtype)


def _dense_bag(kernel: Any, tokens: Any) -> Any:
    """The same through the multi-hot rows of this batch, for backends without sparse kernels."""
    num_examples, num_words = ops.shape(tokens)[0], kernel.shape[0]
    rows = ops.broadcast_to(ops.expand_dims(ops.arange(num_examples), 1), ops.shape(tokens))
    # Padding counts into an extra column, which is cut off.
    columns = ops.where(tokens < 0, num_words, tokens)
    places = ops.reshape(ops.stack([rows, columns], axis=-1), (-1, 2))
    ones = ops.ones((ops.shape(places)[0],), dtype=kernel.dtype)
    hot = ops.scatter(places, ones, (num_examples, num_words + 1))
    return ops.matmul(hot[:, :num_words], kernel)
