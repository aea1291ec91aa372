"""What a certificate proves of the loss alone: against all networks whose readout is no larger.

For every t ≥ 0 and every network with Σ|α| ≤ τ,  L ≥ D(t·r) - t·step²·N·τ  (docs/certificate.md),
whatever λ the certificate was made for. With τ that of the network itself, no λ is needed.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate, OutputCertificate
from qdeploy.network import QuantizedNetwork, ReadoutLayer
from qdeploy.training.losses import FloatArray, Loss

__all__ = ["WithinSize", "loss_bound", "within_size"]

THIRDS = 100
"""Steps of the search for a maximum, each of which leaves two thirds of the interval."""


@dataclass(frozen=True)
class WithinSize:
    """Loss of a network and the least loss of any with no larger readout, summed over the outputs.

    Attributes:
        loss: of the deployed network, rounded up.
        bound: proven of every network, of any width, whose Σ|α| is for every output no larger than
            this one's; rounded down.
    """

    loss: float
    bound: float

    @property
    def gap(self) -> float:
        """(loss - bound) / loss, rounded up; 0 for a loss of 0."""
        if self.loss <= 0:
            return 0.0
        return math.nextafter(float(1 - Fraction(self.bound) / Fraction(self.loss)), math.inf)


def within_size(
    certificate: Certificate,
    network: QuantizedNetwork,
    scale: float,
    inputs: NDArray[np.int8],
    targets: FloatArray,
    loss: Loss,
) -> WithinSize:
    """What the dual points of a certificate say of the loss of its network.

    Args:
        certificate: of products of two ±1 sums.
        network: the deployed network.
        scale: real value of one unit of a score.
        inputs: the quantised training rows, (n, d - 1).
        targets: (n, K).
        loss: with the weights of the rows.
    """
    readout = network.layers[-1]
    assert isinstance(readout, ReadoutLayer)
    scores = network.forward(inputs).astype(np.int64)
    unit, area = Fraction(scale), Fraction(certificate.input_step) ** 2
    total = bound = Fraction(0)
    for k, proof in enumerate(certificate.outputs):
        column = targets[:, k]
        size = unit * int(np.abs(readout.weights[:, k].astype(np.int64)).sum()) / area
        total += loss.exact_value(scores[:, k], unit, column)
        bound += loss_bound(proof, column, loss, area * size)
    # One step outward covers the rounding to nearest.
    return WithinSize(
        loss=math.nextafter(float(total), math.inf),
        bound=max(math.nextafter(float(bound), -math.inf), 0.0),
    )


def loss_bound(
    proof: OutputCertificate, targets: FloatArray, loss: Loss, size: Fraction
) -> Fraction:
    """Proven lower bound on the loss of every network with step²·Σ|α| ≤ size, exact.

    Args:
        proof: of one output: r and N.
        targets: (n,).
        loss: with the weights of the rows.
        size: at least zero.
    """
    price = proof.norm_bound * size
    direction = proof.residual.astype(np.float64)
    end = loss.best_step(direction, targets)
    if not math.isfinite(end):
        return Fraction(0)

    def value(step: float) -> float:
        return loss.dual_value(step * direction, targets) - step * float(price)

    # Only the place of the maximum of this concave function is found in floating point.
    low, high = 0.0, float(end)
    for _ in range(THIRDS):
        third = (high - low) / 3
        if value(low + third) < value(high - third):
            low += third
        else:
            high -= third
    step = Fraction(high)
    exact = loss.exact_dual(proof.residual, targets, step) - step * price
    return max(exact, Fraction(0))
