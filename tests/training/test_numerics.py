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
