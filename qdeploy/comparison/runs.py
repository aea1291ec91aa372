"""The runs of a comparison: what they are, one of them carried out, and how it is kept.

A run is kept under a digest of everything that decides it, so that a second call with the same
options finds it, and one with other options cannot mistake it for its own.
"""

import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import qdeploy
from qdeploy.certificate import dataset_digest
from qdeploy.comparison.baselines import BASELINES, Setting
from qdeploy.data import Dataset, split
from qdeploy.data.quantizer import INPUT_STEP, Scaling
from qdeploy.files import write_text
from qdeploy.model import Model
from qdeploy.network import ReadoutLayer
from qdeploy.training.losses import FloatArray
from qdeploy.training.threads import single_threaded

__all__ = ["Plan", "Result", "Run", "carry_out", "load", "planned", "save", "training_loss"]


@dataclass(frozen=True)
class Plan:
    """Options of a comparison.

    Attributes:
        neurons: widths m.
        seeds: number of splits; seed s splits the rows and is the seed of every method.
        methods: names of methods.
        seconds: a width-bound method trains so long.
        proof_seconds: a proving method without a width trains so long.
        test_size: share of the rows held out.
        scaling: of the quantised inputs.
    """

    neurons: tuple[int, ...]
    seeds: int
    methods: tuple[str, ...]
    seconds: float
    proof_seconds: float
    test_size: float
    scaling: Scaling


@dataclass(frozen=True)
class Run:
    """One method, once.

    Attributes:
        method: its name.
        neurons: m, None where it has no width.
        seed: of split and method.
    """

    method: str
    neurons: int | None
    seed: int


@dataclass(frozen=True)
class Result:
    """What one run gave.

    Attributes:
        data: source of the data.
        method: name of the method.
        neurons: m that was asked for, or None.
        seed: of split and method.
        train_rows: number of training rows.
        test_rows: number of held-out rows.
        train_accuracy: share of training rows classified rightly, by the integer network.
        test_accuracy: the same of the held-out rows.
        bytes: of the numbers as deployed.
        seconds: wall time of training.
        width: neurons of the network, or None for a float reference.
        loss: ½ Σ (f - y)² over training rows and outputs, by the integer network, or None.
        size: Σ|α| of the network in the units of the penalty, or None.
        digest: of the quantised training inputs and targets that the network saw, or None.
        penalty: λ of its certificate, or None without one.
        bound: proven at that λ for every network on these inputs, or None.
    """

    data: str
    method: str
    neurons: int | None
    seed: int
    train_rows: int
    test_rows: int
    train_accuracy: float
    test_accuracy: float
    bytes: int
    seconds: float
    width: int | None = None
    loss: float | None = None
    size: float | None = None
    digest: str | None = None
    penalty: float | None = None
    bound: float | None = None


def planned(plan: Plan) -> Iterator[Run]:
    """All runs on one data set, split by split."""
    for seed in range(plan.seeds):
        for method in plan.methods:
            widths = plan.neurons if BASELINES[method].width_bound else (None,)
            for neurons in widths:
                yield Run(method, neurons, seed)


def carry_out(dataset: Dataset, plan: Plan, run: Run) -> Result:
    """Train on one split and look at the result.

    Args:
        dataset: all rows; their labels are classes.
        plan: the options.
        run: method, width and seed.

    Raises:
        QDeployError: the rows cannot be split or trained on.
    """
    train, test = split(dataset, plan.test_size, run.seed)
    setting = Setting(train, run.neurons, plan.seconds, plan.proof_seconds, run.seed, plan.scaling)
    began = time.monotonic()
    # Several runs share the cores; threads within one would only wait for each other.
    with single_threaded(), warnings.catch_warnings():
        # A reference that stops at its number of steps says so in the page's words.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        fitted = BASELINES[run.method].fit(setting)
        seconds = time.monotonic() - began
        train_accuracy, test_accuracy = (
            float(np.mean(fitted.predict(part.features) == part.target)) for part in (train, test)
        )
    model = fitted.model
    certificate = None if model is None else model.certificate
    targets = setting.encoded[1]
    return Result(
        data=dataset.source,
        method=run.method,
        neurons=run.neurons,
        seed=run.seed,
        train_rows=len(train.features),
        test_rows=len(test.features),
        train_accuracy=train_accuracy,
        test_accuracy=test_accuracy,
        bytes=fitted.bytes,
        seconds=seconds,
        width=None if model is None else model.network.layers[0].width,
        loss=None if model is None else training_loss(model, train, targets),
        size=None if model is None else _size(model),
        digest=None if model is None else dataset_digest(model.quantize(train.features), targets),
        penalty=None if certificate is None else certificate.penalty,
        bound=None if certificate is None else certificate.bound,
    )


def training_loss(model: Model, train: Dataset, targets: FloatArray) -> float:
    """½ Σ (f - y)² of the integer network over rows and outputs.

    Args:
        model: the integer model.
        train: n training rows.
        targets: float64 (n, K).
    """
    scores = model.scores(train.features).astype(np.float64) * model.scale
    return float(0.5 * ((scores - targets) ** 2).sum())


def _size(model: Model) -> float:
    """Σ|α| of the deployed readout, for inputs x̂."""
    readout = model.network.layers[-1]
    assert isinstance(readout, ReadoutLayer), "a network that was trained here ends in a readout"
    return float(np.abs(readout.weights.astype(np.int64)).sum() * model.scale / INPUT_STEP**2)


def load(folder: Path, dataset: Dataset, plan: Plan, run: Run) -> Result | None:
    """A run that was kept, or None; a file that is not whole counts as none."""
    try:
        known = json.loads(_place(folder, dataset, plan, run).read_text(encoding="utf-8"))
        return Result(**known)
    except (OSError, ValueError, TypeError):
        return None


def save(folder: Path, dataset: Dataset, plan: Plan, run: Run, result: Result) -> None:
    """Keep a run."""
    text = json.dumps(asdict(result), indent=1) + "\n"
    write_text(_place(folder, dataset, plan, run), text, overwrite=True)


def _place(folder: Path, dataset: Dataset, plan: Plan, run: Run) -> Path:
    baseline = BASELINES[run.method]
    # Float references know no time, so another time leaves them as they are.
    seconds = plan.seconds if baseline.width_bound else None
    proof_seconds = plan.proof_seconds if run.method == "certified" else None
    decides = (
        qdeploy.__version__,
        _digest(dataset),
        *(run.method, run.neurons, run.seed),
        *(seconds, proof_seconds, plan.test_size, plan.scaling),
    )
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]
    width = "" if run.neurons is None else f"-{run.neurons}"
    return folder / "runs" / f"{run.method}{width}-seed{run.seed}-{digest}.json"


def _digest(dataset: Dataset) -> str:
    digest = hashlib.sha256(f"{dataset.source} {dataset.features.shape}".encode())
    digest.update(np.ascontiguousarray(dataset.features).tobytes())
    digest.update("\n".join(map(str, dataset.target.tolist())).encode())
    return digest.hexdigest()
