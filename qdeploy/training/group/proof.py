"""Certificate of outputs that share their neurons: one norm bound, the dual values of all outputs.

Nothing here is rounded but the last step, which rounds objectives up and bounds down.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qdeploy.certificate import Certificate, OutputCertificate, SharedProof, dataset_digest
from qdeploy.network import QuantizedNetwork
from qdeploy.training.group.norm import GroupProof, prove_group_norm
from qdeploy.training.group.problem import GroupProblem
from qdeploy.training.losses import FloatArray
from qdeploy.training.problem import CONSTANT
from qdeploy.training.readout import IntegerReadout
from qdeploy.training.residual_rounding import round_centred, round_signed

__all__ = ["GroupDual", "group_certificate", "prove_group_dual"]

ROOT_BITS = 64
"""Binary places of square roots; a unit more keeps them above those of any finer checker."""


@dataclass(frozen=True, eq=False)
class GroupDual:
    """A proven lower bound on the optimum of any width.

    Attributes:
        values: the bound, in exact shares of the outputs.
        residual: r, int32 (n, K), one scale for all outputs.
        proof: of the norm.
    """

    values: tuple[Fraction, ...]
    residual: NDArray[np.int32]
    proof: GroupProof

    @property
    def value(self) -> Fraction:
        """The bound."""
        return sum(self.values, Fraction(0))


def prove_group_dual(
    problem: GroupProblem, residual: FloatArray, generator: np.random.Generator
) -> GroupDual:
    """The bound that residuals prove.

    Each output may take its own multiple of its residual, up to the one that the norm allows all of
    them: smaller multiples only shorten (uᵀG_k v)_k.

    Args:
        problem: the problem.
        residual: -∇L somewhere, float64 (n, K); rounded to integers in the dual domain first.
        generator: of the relaxation's starting point.
    """
    loss = problem.first.loss
    peak = float(np.abs(residual - residual.mean(axis=0)).max(initial=0.0))
    columns = []
    for part, column in zip(problem.outputs, residual.T, strict=True):
        # Losses for classes alone have duals of their targets' signs.
        if "regress" in loss.tasks:
            columns.append(round_centred(column, peak))
        else:
            columns.append(round_signed(column, part.targets, peak))
    integers = np.stack(columns, axis=1)
    matrices = np.stack([problem.first.integer_matrix(column) for column in columns])
    proof = prove_group_norm(matrices, generator)
    step = Fraction(problem.first.step)
    # With N = 0 every step is feasible; the dual is then bounded by its own maximiser.
    reach = Fraction(problem.first.penalty) / (max(proof.norm_bound, 1) * step * step)
    values = tuple(
        max(part.loss.exact_dual(column, part.targets, reach), Fraction(0))
        for part, column in zip(problem.outputs, columns, strict=True)
    )
    return GroupDual(values, integers, proof)


def group_certificate(
    problem: GroupProblem,
    dual: GroupDual,
    network: QuantizedNetwork,
    readout: IntegerReadout,
    beta: float,
) -> Certificate:
    """The claim for a whole network.

    Args:
        problem: the problem, with λ = beta · d.
        dual: the best proven bound.
        network: the deployed network.
        readout: its readout, with its scale.
        beta: penalty as the user states it.
    """
    first = problem.first
    inputs = first.integers[:, :-1].astype(np.int8)
    scores = network.forward(inputs).astype(np.int64)
    unit, step = Fraction(readout.scale), Fraction(first.step)
    price = Fraction(first.penalty) * unit / (step * step)
    shares = _shares_above(readout.weights.tolist())
    return Certificate(
        method="sdp",
        loss=first.loss.name,
        beta=beta,
        penalty=first.penalty,
        input_step=first.step,
        constant=CONSTANT,
        data_digest=dataset_digest(inputs, problem.targets, first.loss.weights),
        outputs=tuple(
            OutputCertificate(
                objective=_round_up(
                    part.loss.exact_value(scores[:, k], unit, part.targets) + price * share
                ),
                bound=-_round_up(-dual.values[k]),
                norm_bound=dual.proof.norm_bound,
                residual=dual.residual[:, k],
                multipliers=None,
            )
            for k, (part, share) in enumerate(zip(problem.outputs, shares, strict=True))
        ),
        shared=SharedProof(dual.proof.left, dual.proof.right),
    )


def _shares_above(rows: list[list[int]]) -> list[Fraction]:
    """Σ_j A_jk²/‖A_j‖ of every output, a little above."""
    shares = [0] * len(rows[0])
    for row in rows:
        square = sum(a * a for a in row)
        if square:
            root = math.isqrt(square << 2 * ROOT_BITS)
            for k, a in enumerate(row):
                shares[k] += ((a * a << 2 * ROOT_BITS) // root + 1) if a else 0
    return [Fraction(share, 1 << ROOT_BITS) for share in shares]


def _round_up(exact: Fraction) -> float:
    nearest = float(exact)
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)
