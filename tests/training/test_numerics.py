"""Awkward data and interruptions: a certificate that holds, or one sentence."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from qdeploy.checker import certify
from qdeploy.data import DataWarning, dataset_from_arrays
from qdeploy.errors import QDeployError
from qdeploy.onnx import load
from qdeploy.training.columns import ColumnGeneration
from qdeploy.training.losses import losses
from qdeploy.training.problem import TrainingProblem, lift
from qdeploy.training.relaxations import relaxations
from qdeploy.training.trainer import train

FAMILIES = {
    "ternary": {"weights": "ternary", "penalty": "size"},
    "2 bits": {"weights": "2-bit"},
    "4 bits": {"weights": "4-bit", "penalty": "size"},
    "square": {"activation": "square"},
    "one sum": {"activation": "0.09,0.5,0.47"},
    "linear": {"activation": "0,1,0"},
    "shared": {"outputs": "shared"},
    "shifts": {"input_shifts": "learned"},
    "readout": {"readout_bits": "auto"},
    "compact": {"neurons": 2, "time_limit": 0.3},
}
every_family = pytest.mark.parametrize("options", FAMILIES.values(), ids=FAMILIES)
every_loss = pytest.mark.parametrize("loss", losses.names())


def awkward(name):
    generator = np.random.default_rng(4)
    x = generator.standard_normal((60, 5))
    y = (x[:, 0] * x[:, 1] + 0.3 * generator.standard_normal(60) > 0).astype(int)
    if name == "duplicated columns":
        x = np.hstack([x, x])
    elif name == "duplicated rows":
        x, y = np.repeat(x, 4, axis=0), np.repeat(y, 4)
    elif name == "collinear":
        x = np.hstack([x, x @ generator.standard_normal((5, 4))])
    elif name == "constant columns":
        x = np.hstack([x, np.full((60, 2), 7.25)])
    elif name == "ill-conditioned":
        x = np.hstack([x, x[:, :1] + 1e-7 * generator.standard_normal((60, 1))])
    elif name == "scales from 1e-30 to 1e30":
        x = x * 10.0 ** np.array([-30, -15, 0, 15, 30])
    elif name == "four rows":
        x, y = x[:4], np.array([0, 1, 0, 1])
    elif name == "fewer rows than columns":
        x, y = np.hstack([x, generator.standard_normal((60, 15))])[:12], y[:12]
    elif name == "separable":
        y = (x[:, 0] > 0).astype(int)
        x[:, 0] += 5 * np.where(y, 1, -1)
    elif name == "one row of a class":
        y = np.zeros(60, dtype=int)
        y[3] = 1
    elif name == "contradictory":
        x, y = np.vstack([x, x]), np.repeat([0, 1], 60)
    elif name == "outliers":
        x[0] = 1e12
    return x, y


AWKWARD = [
    "duplicated columns", "duplicated rows", "collinear", "constant columns", "ill-conditioned",
    "scales from 1e-30 to 1e30", "four rows", "fewer rows than columns", "separable",
    "one row of a class", "contradictory", "outliers",
]  # fmt: skip


@every_loss
@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
def test_awkward_data_are_certified(name, loss):
    x, y = awkward(name)
    result = train(x, y, loss=loss, beta=0.5)
    # Rounding the readout costs the hinge, with its kinks, more than the smooth losses.
    assert result.certificate.gap < (0.03 if loss == "hinge" else 0.02)
    check = certify(result.model, dataset_from_arrays(x, y))
    assert check.holds, check.reason


def classes(name):
    """The data with a third class, for outputs that share their neurons."""
    x, y = awkward(name)
    y[: len(y) // 3] *= 2
    return x, y


@every_family
@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("duplicated columns", "squared-hinge"),
        ("constant columns", "squared"),
        ("scales from 1e-30 to 1e30", "logistic"),
        ("four rows", "squared"),
        ("fewer rows than columns", "logistic"),
        ("separable", "hinge"),
        ("contradictory", "squared-hinge"),
        ("outliers", "squared"),
    ],
)
@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
def test_awkward_data_are_certified_in_every_family(options, name, loss):
    if "outputs" in options:
        if loss != "squared":
            pytest.skip("one smooth loss, on a few kinds of data: shared outputs take longer")
        x, y = classes(name)
    else:
        x, y = awkward(name)
    result = train(x, y, task="classify", loss=loss, beta=0.5, jobs=1, **options)
    check = certify(result.model, dataset_from_arrays(x, y))
    assert check.holds, check.reason
    assert 0 <= check.gap <= 1


@every_family
def test_zero_networks_are_said_and_proven_in_every_family(options):
    if "neurons" in options:
        pytest.skip("the penalty of the compact mode prices the proof, not the network")
    x, y = classes("plain") if "outputs" in options else awkward("plain")
    result = train(x, y, beta=1e4, jobs=1, **options)
    assert not result.network.layers[1].weights.any()
    assert result.certificate.gap < 1e-4
    assert any("zero network is optimal" in sentence for sentence in result.advice)
    assert certify(result.model, dataset_from_arrays(x, y)).holds


@pytest.mark.parametrize(("loss", "beta"), [("logistic", 1e-30), ("hinge", 1e300)])
def test_penalties_beyond_all_use_are_certified(loss, beta):
    """Of separable data losses vanish, and what claims are rounded by is more than they are."""
    x, y = awkward("separable")
    result = train(x[:20], y[:20], loss=loss, beta=beta, jobs=1, activation="square")
    check = certify(result.model, dataset_from_arrays(x[:20], y[:20]))
    assert check.holds, check.reason


def test_what_is_too_few_or_one_class_is_refused():
    x, y = awkward("plain")
    for rows in (1, 2, 3):
        with pytest.raises(QDeployError, match="too few; at least 4"):
            train(x[:rows], y[:rows])
    with pytest.raises(QDeployError, match="at least two classes"):
        train(x, np.zeros(60, dtype=int), task="classify")
    with pytest.raises(QDeployError, match="nothing to learn"):
        train(x, np.full(60, 3.5), task="regress")


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e200, 1e-200])
def test_numbers_of_any_size_are_learned_or_refused(factor):
    x, _ = awkward("plain")
    y = factor * x[:, 0] * x[:, 1]
    if not 1e-150 < factor < 1e150:
        with pytest.raises(QDeployError, match=r"another unit|single precision"):
            train(x, y)
        return
    result = train(x, y, beta=0.1, jobs=1)
    assert result.train_score > 0.9
    assert certify(result.model, dataset_from_arrays(x, y)).holds


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_with_its_place(value):
    x, y = awkward("plain")
    x[2, 1] = value
    with pytest.raises(QDeployError, match=r"row 3"):
        train(x, y, beta=1.0)
    with pytest.raises(QDeployError, match=r"row 5"):
        train(awkward("plain")[0], np.where(np.arange(60) == 4, value, 1.0 * y), task="regress")


def test_constant_columns_are_said():
    with pytest.warns(DataWarning, match="2 columns are constant"):
        train(*awkward("constant columns"), beta=1.0)


@pytest.mark.parametrize("factor", [1e300, 1e-300])
def test_what_single_precision_cannot_hold_is_refused_in_a_sentence(factor):
    x, y = awkward("plain")
    with pytest.raises(QDeployError, match=r"single precision|constant"):
        train(factor * x, y, beta=1.0)


@every_loss
def test_the_zero_network_at_a_large_penalty_is_said_and_proven(loss):
    x, y = awkward("plain")
    result = train(x, y, loss=loss, beta=1e4)
    assert not result.network.layers[1].weights.any()
    assert result.certificate.gap < 1e-4
    assert any("zero network is optimal" in sentence for sentence in result.advice)
    assert certify(result.model, dataset_from_arrays(x, y)).holds


@every_loss
def test_a_tiny_penalty_interpolates(loss):
    x, y = awkward("fewer rows than columns")
    result = train(x, y, loss=loss, beta=1e-6, readout_bits=16, time_limit=5.0)
    assert result.train_score == 1.0
    assert certify(result.model, dataset_from_arrays(x, y)).holds


@every_loss
def test_warm_starts_are_never_worse_than_cold_ones(loss):
    generator = np.random.default_rng(1)
    inputs = np.clip(np.rint(30 * generator.standard_normal((80, 7))), -128, 127).astype(np.int8)
    wave = inputs[:, 0].astype(float) * inputs[:, 1] + 300 * generator.standard_normal(80)
    targets = np.where(wave > 0, 1.0, -1.0)
    warm = None
    for penalty in (60.0, 20.0, 5.0):
        problem = TrainingProblem(lift(inputs), targets, penalty, losses[loss])
        if warm is None:
            warm = ColumnGeneration(problem, np.random.default_rng(0))
        warm.set_problem(problem)
        warm.run(200)
        cold = ColumnGeneration(problem, np.random.default_rng(0))
        cold.run(200)
        assert warm.solution.objective <= cold.solution.objective * (1 + 1e-4)


class Interruption:
    """Progress that interrupts at its k-th call."""

    def __init__(self, at):
        self.at, self.calls = at, 0

    def __call__(self, event):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt


def test_an_interruption_at_any_stage_leaves_a_certified_model_or_nothing():
    x, y = awkward("collinear")
    dataset = dataset_from_arrays(x, y)
    whole = Interruption(0)
    best = train(dataset, beta=0.2, progress=whole).certificate.objective
    kept = 0
    for at in range(1, whole.calls + 1):
        try:
            result = train(dataset, beta=0.2, progress=Interruption(at))
        except KeyboardInterrupt:
            continue
        kept += 1
        assert result.certificate.objective >= best * (1 - 1e-3)
        assert certify(result.model, dataset).holds
    assert kept >= whole.calls / 2


@every_family
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 1.0])
def test_an_interruption_leaves_a_certified_model_or_nothing_in_every_family(options, part):
    x, y = awkward("plain")
    if "outputs" in options:
        y += 2 * (x[:, 2] > 0.8)
    dataset = dataset_from_arrays(x, y, task="classify")
    whole = Interruption(0)
    train(dataset, beta=0.5, jobs=1, progress=whole, **options)
    try:
        at = Interruption(max(round(part * whole.calls), 1))
        result = train(dataset, beta=0.5, jobs=1, progress=at, **options)
    except KeyboardInterrupt:
        return
    check = certify(result.model, dataset)
    assert check.holds, check.reason


def test_an_interruption_ends_all_outputs(monkeypatch):
    x, y = awkward("plain")
    labels = y + 2 * (x[:, 2] > 0)
    seconds = []
    relax = relaxations["low-rank"].solve

    def interrupted(*arguments, time_limit, **options):
        seconds.append(time_limit)
        if len(seconds) == 2:
            raise KeyboardInterrupt
        return relax(*arguments, time_limit=time_limit, **options)

    monkeypatch.setattr(relaxations["low-rank"], "solve", interrupted)
    result = train(x, labels, beta=0.5, jobs=1)
    assert seconds == [None, None, 0.0, 0.0]
    assert certify(result.model, dataset_from_arrays(x, labels)).holds


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_a_signal_to_the_command_leaves_a_loadable_model_or_nothing(tmp_path, number, seconds):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((300, 45))
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(int)
    rows, path = tmp_path / "rows.npz", tmp_path / "m.onnx"
    np.savez(rows, X=x, y=y)
    words = ["train", str(rows), "-o", str(path), "--beta", "0.3", "--json", "--test-size", "0"]
    program = (
        "import sys; from qdeploy.cli.app import run; import qdeploy.training.trainer;"
        "print('ready', file=sys.stderr, flush=True); sys.exit(run(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline() == "ready\n"
    time.sleep(seconds)
    process.send_signal(number)
    process.communicate(timeout=120)
    if path.exists():
        assert process.returncode == 0
        assert certify(load(path), dataset_from_arrays(x, y)).holds
    else:
        # Before the command has begun, SIGTERM ends the process at once.
        assert process.returncode in (130, -signal.SIGTERM)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"rows.npz", "m.onnx"}
