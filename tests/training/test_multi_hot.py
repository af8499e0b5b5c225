"""Products of multi-hot rows, given as tokens, are those of dense rows; so are the gradients."""

import keras
import numpy as np
import pytest

from pipeline.training.multi_hot import embedding_bag

TOKENS = {
    "some": [[4, 0, 2, -1], [1, -1, -1, -1], [2, 3, -1, -1]],
    "unsorted": [[2, 4, 0, -1], [-1, 1, -1, -1], [3, -1, 2, -1]],
    "an empty example": [[-1, -1], [3, 0], [-1, -1]],
    "no words at all": [[-1, -1], [-1, -1], [-1, -1]],
    "one word in all": [[3, -1], [3, -1], [3, 1]],
}


def rows_of(tokens, num_words):
    rows = np.zeros((len(tokens), num_words), np.float32)
    for row, words in zip(rows, tokens, strict=True):
        row[[word for word in words if word >= 0]] = 1.0
    return rows


def gradient_of(kernel, tokens, upstream):
    """Returns the gradient of sum(upstream * product) for the kernel."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda kernel: (embedding_bag(kernel, tokens) * upstream).sum())(kernel)
    import tensorflow as tf

    @tf.function
    def compiled(kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            product = embedding_bag(kernel, tokens)
        return tape.gradient(product, kernel, output_gradients=upstream)

    return compiled(tf.constant(kernel))


@pytest.mark.parametrize("case", TOKENS)
def test_the_product_and_its_gradient_are_those_of_dense_rows(case):
    tokens = np.array(TOKENS[case], np.int32)
    rng = np.random.default_rng(0)
    kernel, upstream = (rng.normal(size=(n, 7)).astype(np.float32) for n in (5, 3))
    rows = rows_of(tokens, 5)
    product = keras.ops.convert_to_numpy(embedding_bag(kernel, tokens))
    np.testing.assert_allclose(product, rows @ kernel, atol=1e-6)
    found = keras.ops.convert_to_numpy(gradient_of(kernel, tokens, upstream))
    np.testing.assert_allclose(found, rows.T @ upstream, atol=1e-6)


def test_a_columns_result_does_not_depend_on_its_company():
    rng = np.random.default_rng(1)
    tokens = np.stack([rng.permutation(200)[:60] for _ in range(40)]).astype(np.int32)
    kernel, upstream = (rng.normal(size=(n, 96)).astype(np.float32) for n in (200, 40))
    whole = keras.ops.convert_to_numpy(gradient_of(kernel, tokens, upstream))
    alone = gradient_of(kernel[:, :32].copy(), tokens, upstream[:, :32].copy())
    np.testing.assert_allclose(keras.ops.convert_to_numpy(alone), whole[:, :32], atol=1e-5)


def test_the_product_has_the_kernels_precision():
    tokens = np.array(TOKENS["some"], np.int32)
    kernel = keras.ops.cast(np.ones((5, 4), np.float32), "bfloat16")
    assert keras.backend.standardize_dtype(embedding_bag(kernel, tokens).dtype) == "bfloat16"
