"""Describes a network as a list of layers, without Keras; this is what families return.

``training.network`` turns the description into a stacked model, ``training.export`` into an
ordinary one, and :func:`multiply_adds` and :func:`num_parameters` count what it costs. To add a
kind of layer: a dataclass here, and an entry in ``network.BUILDERS`` and ``export.KERAS_LAYERS``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from pipeline.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Flatten:
    """All axes but the batch's become one."""

    def output_shape(self, shape: Shape) -> Shape:
        """Returns the shape after the layer, without the batch axis."""
        return (prod(shape),)

    def parameters(self, shape: Shape) -> int:
        """Returns the number of trainable parameters for inputs of this shape."""
        return 0

    def multiply_adds(self, shape: Shape) -> int:
        """Returns the multiply-adds of one example's forward pass."""
        return 0


@dataclass(frozen=True)
class Dense:
    """Units with a bias; ``regularized`` ones carry the config's penalty and constraint."""

    units: int
    activation: str = "relu"
    regularized: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        """Returns ``(units,)``."""
        return (self.units,)

    def parameters(self, shape: Shape) -> int:
        """Returns kernel and bias entries."""
        return (shape[-1] + 1) * self.units

    def multiply_adds(self, shape: Shape) -> int:
        """Returns the size of the kernel."""
        return shape[-1] * self.units


@dataclass(frozen=True)
class Conv:
    """A 3x3 convolution without padding; ``regularized`` ones carry penalty and constraint."""

    filters: int
    activation: str = "relu"
    regularized: bool = False
    kernel: int = 3

    def output_shape(self, shape: Shape) -> Shape:
        """Returns ``(height - 2, width - 2, filters)``.

        Raises:
            InputError: The image is smaller than the kernel.
        """
        height, width = shape[0] - self.kernel + 1, shape[1] - self.kernel + 1
        if min(height, width) < 1:
            raise InputError(
                f"a {self.kernel}x{self.kernel} convolution does not fit on {shape[0]}x{shape[1]} "
                "feature maps: use a smaller depth, or pooling: false"
            )
        return (height, width, self.filters)

    def parameters(self, shape: Shape) -> int:
        """Returns kernel and bias entries."""
        return (self.kernel**2 * shape[-1] + 1) * self.filters

    def multiply_adds(self, shape: Shape) -> int:
        """Returns kernel entries times output positions."""
        height, width, _ = self.output_shape(shape)
        return height * width * self.kernel**2 * shape[-1] * self.filters


@dataclass(frozen=True)
class MaxPool:
    """2x2 max-pooling."""

    def output_shape(self, shape: Shape) -> Shape:
        """Returns half the height and width, rounded down.

        Raises:
            InputError: There is nothing left to pool.
        """
        if min(shape[0], shape[1]) < 2:
            raise InputError(
                f"2x2 pooling does not fit on {shape[0]}x{shape[1]} feature maps: use a smaller "
                "depth, or pooling: false"
            )
        return (shape[0] // 2, shape[1] // 2, shape[2])

    def parameters(self, shape: Shape) -> int:
        """Returns 0."""
        return 0

    def multiply_adds(self, shape: Shape) -> int:
        """Returns 0: comparisons are not counted."""
        return 0


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization over the last axis (Keras's defaults: momentum 0.99, epsilon 1e-3)."""

    def output_shape(self, shape: Shape) -> Shape:
        """Returns the shape unchanged."""
        return shape

    def parameters(self, shape: Shape) -> int:
        """Returns scale and offset entries."""
        return 2 * shape[-1]

    def multiply_adds(self, shape: Shape) -> int:
        """Returns one per activation."""
        return prod(shape)


@dataclass(frozen=True)
class OutputTechnique:
    """What a technique does to the outputs of the layer before, such as dropout.

    Attributes:
        technique: Its name in ``training.techniques.TECHNIQUES``.
    """

    technique: str

    def output_shape(self, shape: Shape) -> Shape:
        """Returns the shape unchanged."""
        return shape

    def parameters(self, shape: Shape) -> int:
        """Returns 0."""
        return 0

    def multiply_adds(self, shape: Shape) -> int:
        """Returns one per activation."""
        return prod(shape)


@dataclass(frozen=True)
class Opaque:
    """All hidden layers of a model that a user's function makes: about how large they are.

    Attributes:
        num_parameters: Trainable parameters.
        num_multiply_adds: Of one example's forward pass.
    """

    num_parameters: int = 0
    num_multiply_adds: int = 0

    def output_shape(self, shape: Shape) -> Shape:
        """Returns the shape of one value: what is in the model is not known here."""
        return (1,)

    def parameters(self, shape: Shape) -> int:
        """Returns the number of trainable parameters."""
        return self.num_parameters

    def multiply_adds(self, shape: Shape) -> int:
        """Returns the multiply-adds of one example's forward pass."""
        return self.num_multiply_adds


Layer = Flatten | Dense | Conv | MaxPool | BatchNorm | OutputTechnique | Opaque


def walk(layers: tuple[Layer, ...], input_shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Yields each layer with the shape of its input."""
    shape = input_shape
    for layer in layers:
        yield layer, shape
        shape = layer.output_shape(shape)


def num_parameters(layers: tuple[Layer, ...], input_shape: Shape) -> int:
    """Returns the number of trainable parameters."""
    return sum(layer.parameters(shape) for layer, shape in walk(layers, input_shape))


def multiply_adds(layers: tuple[Layer, ...], input_shape: Shape) -> int:
    """Returns the multiply-adds of one example's forward pass (training costs about three)."""
    return sum(layer.multiply_adds(shape) for layer, shape in walk(layers, input_shape))
