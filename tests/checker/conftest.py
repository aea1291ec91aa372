"""Small certified models, made by brute force, and the truth about their claims by definition."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import get_args

import cvxpy
import numpy as np
import pytest

from qdeploy.certificate import Certificate, OutputCertificate, dataset_digest
from qdeploy.cut_proof import CutProof, TreeMethod
from qdeploy.data.dataset import Dataset
from qdeploy.data.quantizer import INPUT_STEP
from qdeploy.model import Classes, Model, Numbers
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer

KAPPA = 32
SCALE = 2.0**-24


@dataclass(frozen=True, eq=False)
class Certified:
    """A model with a true certificate, its data, and the optimum of each output by brute force."""

    model: Model
    dataset: Dataset
    targets: np.ndarray
    optima: tuple[float, ...]


def sign_vectors(size):
    """All of {±1}^size, int64 (2^size, size)."""
    return np.array(list(itertools.product((1, -1), repeat=size)), dtype=np.int64)


def _pairs(size):
    signs = sign_vectors(size)
    signs = signs[signs[:, 0] == 1]
    return [(signs[i], signs[j]) for i in range(len(signs)) for j in range(i, len(signs))]


def exact_norm(gram):
    """max |uᵀGv| by trying everything, in Python integers."""
    signs = sign_vectors(len(gram)).astype(object)
    return int(abs(signs @ gram.astype(object) @ signs.T).max())


def _lasso(atoms, y, loss, penalty, weights):
    """Optimum, α, b and the residual -∇L of the convex problem over all the atoms."""
    alpha, intercept = cvxpy.Variable(atoms.shape[1]), cvxpy.Variable()
    values = cvxpy.Variable(len(y))
    margins = cvxpy.multiply(y, values)
    fit = {
        "squared": (values - y) ** 2 / 2,
        "squared-hinge": cvxpy.pos(1 - margins) ** 2 / 2,
        "hinge": cvxpy.pos(1 - margins),
        "logistic": cvxpy.logistic(-margins),
    }[loss]
    # The dual variable of this constraint is the residual, for every loss.
    definition = values == atoms @ alpha + intercept
    problem = cvxpy.Problem(
        cvxpy.Minimize(weights @ fit + penalty * cvxpy.norm1(alpha)), [definition]
    )
    problem.solve(solver=cvxpy.CLARABEL, tol_gap_rel=1e-10, tol_gap_abs=1e-10, tol_feas=1e-10)
    residual = definition.dual_value
    if residual @ y < 0:
        residual = -residual
    return problem.value, alpha.value, float(intercept.value), residual


def _integer_residual(residual, y, loss):
    """int32 multiple of the residual with sum zero (and the signs of y)."""
    r = np.rint(residual / np.abs(residual).max() * 30000).astype(np.int64)
    for _ in range(abs(int(r.sum()))):
        excess = np.sign(r.sum())
        movable = np.flatnonzero((y * (r - excess) >= 0) | (loss == "squared"))
        r[movable[np.abs(r[movable]).argmax()]] -= excess
    assert r.sum() == 0
    return r.astype(np.int32)


def exact_figures(model, inputs, targets, k, norm, weights=None):
    """Objective and dual value of one output, as fractions, straight from the definitions."""
    certificate = model.certificate
    step, scale = Fraction(certificate.input_step), Fraction(model.scale)
    penalty = Fraction(certificate.penalty)
    quadratic, readout = model.network.layers
    objective = penalty * sum(abs(int(a)) * scale / step**2 for a in readout.weights[:, k])
    rays = []
    for x, y, r, w in zip(
        inputs.tolist(),
        targets[:, k].tolist(),
        certificate.outputs[k].residual.tolist(),
        [1] * len(inputs) if weights is None else weights.tolist(),
        strict=True,
    ):
        score = int(readout.bias[k])
        for j in range(quadratic.width):
            left = sum(a * int(b) for a, b in zip(x, quadratic.left[j], strict=True))
            right = sum(a * int(b) for a, b in zip(x, quadratic.right[j], strict=True))
            score += (
                int(readout.weights[j, k])
                * (left + int(quadratic.left_bias[j]))
                * (right + int(quadratic.right_bias[j]))
            )
        value, y, w = scale * score, Fraction(y), Fraction(w)
        rays.append((w, y, r))
        objective += w * _loss(certificate.loss, value, y)
    limit = penalty / (norm * step**2) if norm else None
    return objective, max(_dual(certificate.loss, rays, limit), Fraction(0))


def _loss(name, value, y):
    if name == "squared":
        return (value - y) ** 2 / 2
    if name == "logistic":
        return _softplus(-y * value)
    short = max(1 - y * value, Fraction(0))
    return short if name == "hinge" else short**2 / 2


def _dual(loss, rays, limit):
    """Largest dual value on the ray through the residual, t up to the limit."""
    if loss.startswith("squared"):
        linear = (
            sum(y * r for _, y, r in rays) if loss == "squared" else sum(abs(r) for *_, r in rays)
        )
        square = sum(r * r / w for w, _, r in rays)
        if linear <= 0 or not square:
            return Fraction(0)
        t = linear / square if limit is None else min(linear / square, limit)
        return t * linear - t * t * square / 2
    end = min((w / abs(r) for w, _, r in rays if r), default=Fraction(0))
    end = end if limit is None else min(end, limit)
    if loss == "hinge":
        return end * sum(abs(r) for *_, r in rays)

    def slope(t):
        shares = ((abs(r), float(t * abs(r) / w)) for w, _, r in rays if r)
        return sum(size * (math.log1p(-min(s, 1 - 1e-16)) - math.log(s)) for size, s in shares)

    low, high = Fraction(0), end
    if end and slope(end) < 0:
        for _ in range(70):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return sum(w * _entropy(high * abs(r) / w) for w, _, r in rays)


def _softplus(x):
    with localcontext(prec=60):
        value = Decimal(x.numerator) / Decimal(x.denominator)
        return Fraction((1 + value.exp()).ln())


def _entropy(share):
    with localcontext(prec=60):
        parts = [Decimal(p.numerator) / Decimal(p.denominator) for p in (share, 1 - share)]
        return Fraction(sum(-part * part.ln() for part in parts if part > 0))


def _outward(value, direction):
    rounded = float(value)
    outside = Fraction(rounded) >= value if direction > 0 else Fraction(rounded) <= value
    return rounded if outside else math.nextafter(rounded, direction)


def _multipliers(gram):
    """z with Diag(z) ± G positive semidefinite by a margin, near the best multiple of 1."""
    largest = np.abs(np.linalg.eigvalsh(gram.astype(float))).max()
    return np.full(len(gram), math.ceil(largest * (1 + 1e-9)) + 1, dtype=np.int64)


def _tree(gram, method):
    """Leaves and a few cuts by hand: every diagonal is the largest eigenvalue and a little."""
    size, rng = len(gram), np.random.default_rng(3)
    members = [[1, -2, 2 * size, 0, 0], [2, 3, size + 2, -1, size + 1], [-2, 0, 0, 0, 0]]
    cuts = np.array(members, dtype=np.int16)
    fixed = np.zeros((1, size), dtype=np.int8)
    if method == "branch-and-bound":
        fixed = np.array([[1, 0], [-1, 1], [-1, -1]], dtype=np.int8)
        fixed = np.hstack([fixed, np.zeros((3, size - 2), dtype=np.int8)])
    weights = rng.integers(0, 1 + np.abs(gram).max() // 8, (len(fixed), len(cuts)))
    diagonals = np.zeros(fixed.shape, dtype=np.int64)
    for leaf, (signs, y) in enumerate(zip(fixed, weights, strict=True)):
        sides = np.zeros((2, len(cuts), size), dtype=np.int64)
        for row, cut in enumerate(members):
            for entry, sign in ((abs(m) - 1, np.sign(m)) for m in cut if m):
                sides[:, row, entry % size] += (sign, sign if entry < size else -sign)
        pair = [s * gram + b.T @ (y[:, None] * b) for s, b in zip((1, -1), sides, strict=True)]
        used = [signs >= 0, signs <= 0]
        top = max(
            np.linalg.eigvalsh(m[np.ix_(rows, rows)].astype(float)).max()
            for m, rows in zip(pair, used, strict=True)
            if rows.any()
        )
        diagonals[leaf] = math.ceil(top + 1e-9 * abs(top)) + 1
    return CutProof(cuts, weights, fixed, diagonals)


def _build(inputs, target, head, loss, method, fraction, weights=None):
    lifted = np.hstack([inputs, np.full((len(inputs), 1), KAPPA)]).astype(np.int64)
    size = lifted.shape[1]
    pairs = _pairs(size)
    atoms = np.stack([(lifted @ u) * (lifted @ v) for u, v in pairs], axis=1) * INPUT_STEP**2
    if isinstance(head, Numbers):
        targets = (target.reshape(len(inputs), -1) - np.array(head.mean)) / np.array(head.deviation)
    elif len(head.labels) == 2:
        targets = np.where(target == head.labels[1], 1.0, -1.0)[:, None]
    else:
        targets = np.where(target[:, None] == np.array(head.labels), 1.0, -1.0)
    centred = targets - targets.mean(axis=0)
    beta = fraction * np.abs(atoms.T @ centred).max() / size
    penalty = beta * size
    every = np.ones(len(inputs)) if weights is None else weights
    solved = [_lasso(atoms, y, loss, penalty, every) for y in targets.T]

    amplitudes = np.stack([alpha * INPUT_STEP**2 / SCALE for _, alpha, _, _ in solved], axis=1)
    used = np.flatnonzero(np.abs(np.rint(amplitudes)).max(axis=1) > 0)
    if not used.size:
        used = np.array([0])
    u = np.array([pairs[j][0] for j in used])
    v = np.array([pairs[j][1] for j in used])
    network = QuantizedNetwork(
        [
            QuadraticLayer(u[:, :-1], v[:, :-1], KAPPA * u[:, -1], KAPPA * v[:, -1]),
            ReadoutLayer(
                np.rint(amplitudes[used]).astype(np.int64),
                np.rint([b / SCALE for _, _, b, _ in solved]).astype(np.int64),
            ),
        ]
    )
    proofs = []
    for y, (_, _, _, residual) in zip(targets.T, solved, strict=True):
        r = _integer_residual(residual, y, loss)
        gram = lifted.T @ (r.astype(np.int64)[:, None] * lifted)
        z = _multipliers(gram) if method == "sdp" else None
        tree = _tree(gram, method) if method in get_args(TreeMethod) else None
        norm = exact_norm(gram) if z is None else int(z.sum())
        norm = norm if tree is None else tree.norm_bound
        proofs.append(OutputCertificate(0.0, 0.0, norm, r, z, tree))
    inputs = inputs.astype(np.int8)

    def model_with(outputs):
        return Model(
            name="small",
            network=network,
            scale=SCALE,
            head=head,
            certificate=Certificate(
                method=method,
                loss=loss,
                beta=beta,
                penalty=penalty,
                input_step=INPUT_STEP,
                constant=KAPPA,
                data_digest=dataset_digest(inputs, targets, weights),
                outputs=tuple(outputs),
            ),
        )

    draft = model_with(proofs)
    exact = [
        exact_figures(draft, inputs, targets, k, p.norm_bound, weights)
        for k, p in enumerate(proofs)
    ]
    model = model_with(
        OutputCertificate(
            _outward(objective, math.inf),
            _outward(bound, -math.inf),
            p.norm_bound,
            p.residual,
            p.multipliers,
            p.tree,
        )
        for p, (objective, bound) in zip(proofs, exact, strict=True)
    )
    dataset = Dataset(
        features=inputs.astype(np.float64),
        target=target,
        feature_names=tuple(f"x{i}" for i in range(inputs.shape[1])),
        target_names=("y",) if target.ndim == 1 else tuple(f"y{k}" for k in range(target.shape[1])),
        task="regress" if isinstance(head, Numbers) else "classify",
        source="arrays",
        weights=weights,
    )
    return Certified(model, dataset, targets, tuple(optimum for optimum, *_ in solved))


@pytest.fixture(scope="session")
def certify_rows() -> Callable[..., Certified]:
    """Certifies int8-valued inputs: (inputs, target, head, loss, method, share of largest λ)."""
    return _build


@pytest.fixture(scope="session")
def certified() -> Callable[[str, str, str], Certified]:
    """Makes (and keeps) the model of one kind of target, loss and method."""
    made: dict[tuple[str, str, str], Certified] = {}

    def make(kind, loss, method):
        if (kind, loss, method) not in made:
            rng = np.random.default_rng(5)
            size = {"two": 5, "three": 3, "numbers": 4, "weighted": 4}[kind]
            inputs = np.clip(np.rint(rng.normal(size=(24, size)) * 40), -128, 127)
            wave = inputs[:, 0] * inputs[:, 1] + 30 * inputs[:, 2]
            if kind in ("two", "weighted"):
                target = np.where(wave > 0, "yes", "no")
                head = Classes(("no", "yes"))
            elif kind == "three":
                target = np.digitize(wave, np.quantile(wave, [0.3, 0.7]))
                head = Classes((0, 1, 2))
            else:
                target = np.stack([wave / 900 + 7, rng.normal(size=24)], axis=1)
                head = Numbers(("a", "b"), tuple(target.mean(axis=0)), tuple(target.std(axis=0)))
            made[kind, loss, method] = _build(
                inputs, target, head, loss, method, 0.05,
                rng.gamma(2.0, size=24) if kind == "weighted" else None,
            )  # fmt: skip
        return made[kind, loss, method]

    return make


@pytest.fixture(scope="session")
def claims_are_true() -> Callable[[Model, Certified], bool]:
    """Whether every figure of a model's certificate is true of its data, by definition.

    Sums, signs and norms are tried out; the data are taken to be the right ones.
    """

    def truth(model, case):
        inputs = case.dataset.features.astype(np.int64)
        lifted = np.hstack([inputs, np.full((len(inputs), 1), KAPPA)])
        for k, proof in enumerate(model.certificate.outputs):
            r = proof.residual.astype(np.int64)
            gram = lifted.T @ (r[:, None] * lifted)
            norm = exact_norm(gram)
            if r.sum() != 0 or norm > proof.norm_bound:
                return False
            if model.certificate.loss != "squared" and (case.targets[:, k] * r < 0).any():
                return False
            weights = case.dataset.weights
            objective, bound = exact_figures(model, inputs, case.targets, k, norm, weights)
            if proof.objective < objective or proof.bound > bound:
                return False
        return True

    return truth
