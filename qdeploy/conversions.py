"""The same integer network with other neurons: products of two sums, squares, a polynomial of one.

With p, q integer linear forms of the input (weights and bias) and s, t likewise:

    p·q = s² - t²          s = (p + q)/2,  t = (p - q)/2       where p and q agree in parity
    4·p·q = (p + q)² - (p - q)²                                always
    a·t² + b·t + c = t·(a·t + b) + c                           c goes into the readout's bias

A square is a product of equals, so every form is a `QuadraticLayer`. Scores agree for every int8
input, and each new network has its own proof that no sum overflows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.model import Model
from qdeploy.network import Layer, QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = [
    "Converted",
    "NeuronForm",
    "Polynomial",
    "convert",
    "polynomial_layers",
    "polynomial_of",
    "to_pairs",
    "to_squares",
]

NeuronForm = Literal["squares", "pairs"]

IntArray = NDArray[np.int64]
UNLIKE_PARITY = 4
"""p·q is a quarter of a difference of squares where p and q differ in parity."""


@dataclass(frozen=True, eq=False)
class Converted:
    """A network in another form.

    Attributes:
        network: the converted network.
        factor: its scores are this many times those of the given one: 1, or 4 where products whose
            sides differ in parity became squares.
    """

    network: QuantizedNetwork
    factor: int


@dataclass(frozen=True)
class Polynomial:
    """The activation σ(t) = a·t² + b·t + c in integers.

    Attributes:
        square: a.
        linear: b.
        constant: c.
    """

    square: int
    linear: int
    constant: int = 0

    def __call__(self, values: IntArray) -> IntArray:
        """σ of each integer."""
        return self.square * values * values + self.linear * values + self.constant


def convert(model: Model, form: NeuronForm) -> Model:
    """A model with neurons of another form and the same predictions.

    Args:
        model: any model. Its certificate speaks of its own form, so another form has none.
        form: "squares" or "pairs".

    Raises:
        QDeployError: there is no such form, or some number does not fit the converted network.
    """
    if form not in get_args(NeuronForm):
        raise QDeployError(
            f"unknown form of neurons {form!r}; choose one of {', '.join(get_args(NeuronForm))}"
        )
    converted = to_squares(model.network) if form == "squares" else to_pairs(model.network)
    if _same(converted.network, model.network):
        return model
    return replace(
        model,
        network=converted.network,
        scale=model.scale / converted.factor,
        certificate=None,
        provenance={**model.provenance, "form": form},
    )


def to_squares(network: QuantizedNetwork) -> Converted:
    """Every product of two sums as a difference of two squares.

    Weights of ±1 on both sides give ternary squares. A neuron that is a square already stays one.

    Args:
        network: quadratic layers, each followed by its readout.

    Raises:
        QDeployError: a sum of two weights, or a new readout weight, does not fit its integer; or
            a layer before the last needs a factor.
    """
    layers: list[Layer] = []
    factor = 1
    for quadratic, readout, last in _blocks(network):
        sums, signs, quarters = _squares_of(quadratic)
        # Where every output weighs a neuron by a multiple of four, its quarter is an integer.
        if (readout.weights[quarters] % UNLIKE_PARITY).any():
            if not last:
                raise QDeployError(
                    "two sides of a neuron differ in parity before the last layer, where scores "
                    "cannot be multiplied by four; keep the form of pairs"
                )
            factor = UNLIKE_PARITY
        weights = factor * readout.weights.astype(np.int64)
        weights[quarters] //= UNLIKE_PARITY
        doubled = np.repeat(weights, 2, axis=0) * signs[:, None]
        kept = (sums != 0).any(axis=1)
        kept[0] |= not kept.any()
        layers += [
            _layer(sums[kept], sums[kept]),
            ReadoutLayer(doubled[kept], _fitting(factor * readout.bias.astype(object))),
        ]
    return Converted(QuantizedNetwork(layers), factor)


def to_pairs(network: QuantizedNetwork) -> Converted:
    """Squares of opposite readout and disjoint support as products: s² - t² = (s + t)(s - t).

    Squares that fill each other's gaps are paired first, which brings ternary squares back to ±1.
    What finds no partner stays a square; products stay as they are.

    Args:
        network: quadratic layers, each followed by its readout.

    Raises:
        QDeployError: a layer is followed by no readout of its own.
    """
    layers: list[Layer] = []
    for quadratic, readout, _ in _blocks(network):
        left, right = _sides(quadratic)
        partner = _partners(left, right, readout.weights.astype(np.int64))
        kept = np.ones(quadratic.width, dtype=bool)
        for first, second in partner:
            # The readout of the first stays: it is that of s² - t².
            sums, differences = left[first] + left[second], left[first] - left[second]
            left[first], right[first], kept[second] = sums, differences, False
        layers += [
            _layer(left[kept], right[kept]),
            ReadoutLayer(readout.weights[kept], readout.bias),
        ]
    return Converted(QuantizedNetwork(layers), 1)


def polynomial_layers(
    weights: NDArray[np.integer],
    biases: NDArray[np.integer],
    activation: Polynomial,
    readout: ReadoutLayer,
) -> tuple[QuadraticLayer, ReadoutLayer]:
    """Neurons σ(wᵀx + bias) and their readout as products of two sums.

    Args:
        weights: w, integers (m, d).
        biases: integers (m,).
        activation: σ.
        readout: of the values of σ.

    Raises:
        QDeployError: a·w does not fit int8, or a bias its integer.
    """
    left = np.hstack([np.asarray(weights), np.asarray(biases)[:, None]]).astype(np.int64)
    right = activation.square * left
    right[:, -1] += activation.linear
    total = readout.weights.astype(object).sum(axis=0)
    bias = _fitting(activation.constant * total + readout.bias.astype(object))
    return _layer(left, right), ReadoutLayer(readout.weights, bias)


def polynomial_of(layer: QuadraticLayer) -> Polynomial:
    """The a·t² + b·t of which every neuron is one, with t its left side; c is not in the layer.

    Raises:
        QDeployError: the neurons are products that no such polynomial gives.
    """
    left, right = (side.astype(object) for side in _sides(layer))
    largest = np.abs(layer.left.astype(np.int64)).argmax()
    place = np.unravel_index(largest, layer.left.shape)
    square, rest = divmod(right[place], left[place]) if left[place] else (0, 0)
    linear = right[0, -1] - square * left[0, -1]
    wanted = square * left
    wanted[:, -1] += linear
    if rest or not np.array_equal(wanted, right):
        raise QDeployError(
            "the neurons are not one polynomial a·t² + b·t of their left side: their right side is "
            "not a times the left one, with the same a and b for all"
        )
    return Polynomial(int(square), int(linear))


def _blocks(network: QuantizedNetwork) -> Iterator[tuple[QuadraticLayer, ReadoutLayer, bool]]:
    """Each quadratic layer with its readout, and whether they are the last."""
    layers = network.layers
    for place in range(0, len(layers), 2):
        block = layers[place : place + 2]
        if (
            len(block) != 2
            or not isinstance(block[0], QuadraticLayer)
            or not isinstance(block[1], ReadoutLayer)
        ):
            kinds = ", ".join(layer.kind for layer in layers)
            raise QDeployError(
                "another form of neurons is for quadratic layers that are each followed by a "
                f"readout, not for the layers {kinds}"
            )
        yield block[0], block[1], place + 2 == len(layers)


def _sides(layer: QuadraticLayer) -> tuple[IntArray, IntArray]:
    """Both linear forms with the bias as the last column, int64 (m, d + 1) each."""
    left = np.hstack([layer.left, layer.left_bias[:, None]]).astype(np.int64)
    right = np.hstack([layer.right, layer.right_bias[:, None]]).astype(np.int64)
    return left, right


def _layer(left: NDArray[Any], right: NDArray[Any]) -> QuadraticLayer:
    """The layer of two linear forms, biases last; its own checks refuse what does not fit."""
    return QuadraticLayer(left[:, :-1], right[:, :-1], left[:, -1], right[:, -1])


def _squares_of(layer: QuadraticLayer) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
    """Forms (2m, d + 1) and signs (2m,) of two squares a neuron, and which are four times it (m,).

    A neuron with equal or opposite sides is one square and a zero form.
    """
    left, right = _sides(layer)
    sums, differences = left + right, left - right
    quarters = (sums % 2 != 0).any(axis=1)
    for forms in (sums, differences):
        forms[~quarters] //= 2
    forms = np.stack([sums, differences], axis=1).reshape(2 * layer.width, -1)
    return forms, np.tile([1, -1], layer.width), quarters


def _partners(left: IntArray, right: IntArray, readout: IntArray) -> list[tuple[int, int]]:
    """Pairs of squares with opposite readout rows and disjoint supports, each neuron once."""
    squares = np.flatnonzero((left == right).all(axis=1)).tolist()
    support = [(left[j] != 0).tobytes() for j in range(len(left))]
    everything = (left != 0).any(axis=0)
    missing = [(everything & (left[j] == 0)).tobytes() for j in range(len(left))]
    free = dict.fromkeys(squares)
    pairs = []
    waiting: dict[tuple[bytes, bytes], list[int]] = {}
    for j in squares:
        candidates = waiting.get((support[j], readout[j].tobytes()), [])
        if candidates:
            first = candidates.pop(0)
            pairs.append((first, j))
            del free[first], free[j]
        else:
            waiting.setdefault((missing[j], (-readout[j]).tobytes()), []).append(j)
    while free:
        first = next(iter(free))
        del free[first]
        second = next(
            (
                j
                for j in free
                if np.array_equal(readout[j], -readout[first]) and not (left[j] * left[first]).any()
            ),
            None,
        )
        if second is not None:
            pairs.append((first, second))
            del free[second]
    return pairs


def _fitting(values: NDArray[np.object_]) -> NDArray[np.int64]:
    """Python integers as int64, or the sentence that says why not."""
    if any(abs(value) >= 2**63 for value in values.tolist()):
        raise QDeployError(
            "a bias of the converted readout does not fit a 64-bit integer; keep the present form"
        )
    return values.astype(np.int64)


def _same(network: QuantizedNetwork, other: QuantizedNetwork) -> bool:
    """Whether two networks of the same kinds of layers hold the same numbers."""

    def numbers(layer: Layer) -> tuple[NDArray[np.integer], ...]:
        if isinstance(layer, ReadoutLayer):
            return layer.weights, layer.bias
        return layer.left, layer.right, layer.left_bias, layer.right_bias

    return all(
        np.array_equal(ours, theirs)
        for one, two in zip(network.layers, other.layers, strict=True)
        for ours, theirs in zip(numbers(one), numbers(two), strict=True)
    )
