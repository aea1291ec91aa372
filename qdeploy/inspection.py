"""What a model is made of and what one inference costs, as plain data.

Counts follow from the network's definition alone; what a compiled artifact really needs stands in
its manifest and is measured by the benchmark.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate, ProofMethod
from qdeploy.data.dataset import Label, Task
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.network import Accumulator, Layer, QuadraticLayer, QuantizedNetwork, ReadoutLayer

__all__ = [
    "CertificateSummary",
    "Cost",
    "LayerDescription",
    "ModelDescription",
    "Operations",
    "cost",
    "describe",
]

MOST_LEVELS = 256
"""Layers with more distinct weights than this are described by their range alone."""

Form = Literal["pair_sums", "matrix", "collapsed"]


@dataclass(frozen=True)
class LayerDescription:
    """One layer of the network.

    Attributes:
        kind: "quadratic" or "readout".
        inputs: values it takes.
        width: values it gives: neurons or outputs.
        weights: number of weights.
        levels: how often each weight value occurs, by value; None beyond 256 distinct values.
        smallest: least weight.
        largest: greatest weight.
        bits: bits of one weight as deployed.
        weight_bytes: bytes of all weights as deployed.
        bias_bytes: bytes of all biases as deployed.
        accumulators: proven integer type of each stage.
    """

    kind: str
    inputs: int
    width: int
    weights: int
    levels: Mapping[int, int] | None
    smallest: int
    largest: int
    bits: int
    weight_bytes: int
    bias_bytes: int
    accumulators: Mapping[str, Accumulator]


@dataclass(frozen=True)
class Operations:
    """Arithmetic of one inference.

    Attributes:
        additions: additions and subtractions without a multiplication.
        multiply_accumulates: multiplications, each with the addition that follows it.
    """

    additions: int
    multiply_accumulates: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.additions + self.multiply_accumulates


@dataclass(frozen=True)
class Cost:
    """What a network costs on any device; what budgets limit.

    Attributes:
        bytes: of weights and biases as deployed.
        operations: additions and multiply-accumulates of one inference in its cheapest form.
        form: that form.
    """

    bytes: int
    operations: int
    form: Form


@dataclass(frozen=True)
class CertificateSummary:
    """The figures of a certificate, without the arrays that prove them.

    Attributes:
        method: how the norm bounds were proven.
        loss: name of the loss.
        objective: objective of the deployed network.
        bound: lower bound on the objective of any network of this kind, of any width.
        gap: (objective - bound) / objective.
        beta: penalty as the user states it.
        penalty: λ.
        samples: training rows.
        data_digest: SHA-256 of the quantised training data.
        activation: of neurons of one sum, as deployed; None for products of two sums.
    """

    method: ProofMethod
    loss: str
    objective: float
    bound: float
    gap: float
    beta: float
    penalty: float
    samples: int
    data_digest: str
    activation: str | None


@dataclass(frozen=True)
class ModelDescription:
    """All that `describe` finds.

    Attributes:
        name: the model's name.
        task: whether the scores choose a class or stand for numbers.
        labels: class labels, or names of the numbers.
        features: raw features that the quantiser takes, None without one.
        dropped_features: names of those that the network does not see.
        inputs: int8 inputs.
        outputs: scores.
        neurons: width of the quadratic layers together.
        score_type: integer type of the scores.
        scale: real value of one unit of a score.
        layers: in the order of computation.
        operations: of one inference, for each form that can compute this network: "pair_sums"
            (weights of ±1 only), "matrix", "collapsed" (one quadratic layer and a readout).
        deployed_bytes: weights and biases as deployed: one bit a weight of ±1, else the narrowest
            standard integer; no code, no scratch.
        file_bytes: size of the model file, None when it is not known.
        certificate: its figures, None without one.
        provenance: where the model came from.
    """

    name: str
    task: Task
    labels: tuple[Label, ...]
    features: int | None
    dropped_features: tuple[str, ...]
    inputs: int
    outputs: int
    neurons: int
    score_type: Accumulator
    scale: float
    layers: tuple[LayerDescription, ...]
    operations: Mapping[Form, Operations]
    deployed_bytes: int
    file_bytes: int | None
    certificate: CertificateSummary | None
    provenance: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The same as dictionaries, tuples, numbers and texts, for JSON."""
        return asdict(self)


def describe(model: Model, path: str | Path | None = None) -> ModelDescription:
    """Describe a model.

    Args:
        model: the model.
        path: the file it was loaded from, for its size.

    Raises:
        QDeployError: the file cannot be looked at.
    """
    network, head, quantizer = model.network, model.head, model.quantizer
    layers = tuple(
        _describe_layer(layer, widths)
        for layer, widths in zip(network.layers, network.accumulators, strict=True)
    )
    return ModelDescription(
        name=model.name,
        task="classify" if isinstance(head, Classes) else "regress",
        labels=head.labels if isinstance(head, Classes) else head.names,
        features=None if quantizer is None else len(quantizer.feature_names),
        dropped_features=() if quantizer is None else quantizer.dropped,
        inputs=network.inputs,
        outputs=network.outputs,
        neurons=sum(layer.width for layer in layers if layer.kind == QuadraticLayer.kind),
        score_type=network.score_dtype,
        scale=model.scale,
        layers=layers,
        operations=_operations(network),
        deployed_bytes=sum(layer.weight_bytes + layer.bias_bytes for layer in layers),
        file_bytes=None if path is None else _file_bytes(Path(path)),
        certificate=None if model.certificate is None else _summary(model.certificate),
        provenance=dict(model.provenance),
    )


def cost(network: QuantizedNetwork) -> Cost:
    """Bytes and operations of a network by its definition alone."""
    layers = [
        _describe_layer(layer, widths)
        for layer, widths in zip(network.layers, network.accumulators, strict=True)
    ]
    counts = _operations(network)
    form = min(counts, key=lambda name: counts[name].total)
    size = sum(layer.weight_bytes + layer.bias_bytes for layer in layers)
    return Cost(size, counts[form].total, form)


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise QDeployError(f"{path} cannot be read: {error.strerror or error}") from error


def _describe_layer(layer: Layer, accumulators: Mapping[str, Accumulator]) -> LayerDescription:
    if isinstance(layer, QuadraticLayer):
        weights: NDArray[np.integer] = np.concatenate([layer.left, layer.right])
        bits = 1 if _has_only_signs(layer) else 8
        bias_bytes = layer.left_bias.nbytes + layer.right_bias.nbytes
    else:
        weights, bits = layer.weights, layer.weight_bits
        bias_bytes = layer.bias.size * np.dtype(accumulators["sum"]).itemsize
    values, counts = np.unique(weights, return_counts=True)
    few = values.size <= MOST_LEVELS
    return LayerDescription(
        kind=layer.kind,
        inputs=layer.inputs,
        width=layer.width,
        weights=weights.size,
        levels=dict(zip(values.tolist(), counts.tolist(), strict=True)) if few else None,
        smallest=int(values[0]),
        largest=int(values[-1]),
        bits=bits,
        weight_bytes=-(-weights.size * bits // 8),
        bias_bytes=bias_bytes,
        accumulators=dict(accumulators),
    )


def _has_only_signs(layer: QuadraticLayer) -> bool:
    return bool((np.abs(layer.left.astype(np.int64)) == 1).all()) and bool(
        (np.abs(layer.right.astype(np.int64)) == 1).all()
    )


def _terms(layer: QuadraticLayer) -> int:
    """Inputs of a neuron, the constant one included where a bias stands for it."""
    return layer.inputs + bool(layer.left_bias.any() or layer.right_bias.any())


def _operations(network: QuantizedNetwork) -> dict[Form, Operations]:
    """Counts of each form; a bias counts as one more input of its neuron."""
    quadratics = [layer for layer in network.layers if isinstance(layer, QuadraticLayer)]
    readouts = [layer for layer in network.layers if isinstance(layer, ReadoutLayer)]
    sums = sum(layer.width * _terms(layer) for layer in quadratics)
    rest = sum(layer.width for layer in quadratics) + sum(layer.weights.size for layer in readouts)
    operations: dict[Form, Operations] = {"matrix": Operations(0, 2 * sums + rest)}
    if quadratics and all(_has_only_signs(layer) for layer in quadratics):
        operations["pair_sums"] = Operations(sums, rest)
    if len(network.layers) == 2 and quadratics == [network.layers[0]] and readouts:
        terms = _terms(quadratics[0])
        distinct = np.unique(readouts[0].weights, axis=1).shape[1]
        operations["collapsed"] = Operations(0, distinct * terms * (terms + 1) // 2)
    return operations


def _summary(certificate: Certificate) -> CertificateSummary:
    return CertificateSummary(
        method=certificate.method,
        loss=certificate.loss,
        objective=certificate.objective,
        bound=certificate.bound,
        gap=certificate.gap,
        beta=certificate.beta,
        penalty=certificate.penalty,
        samples=certificate.outputs[0].residual.size,
        data_digest=certificate.data_digest,
        activation=None
        if certificate.activation is None
        else certificate.activation.formula(certificate.input_step),
    )
