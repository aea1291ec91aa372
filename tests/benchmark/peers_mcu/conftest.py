import ctypes
import dataclasses
import importlib.util

import numpy as np
import pytest

from qdeploy.benchmark.peers import Context
from qdeploy.data.dataset import Dataset
from qdeploy.data.quantizer import InputQuantizer
from qdeploy.firmware import link_plain
from qdeploy.model import Classes, Model
from qdeploy.native import build_shared
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.targets import load_core, load_target
from qdeploy.toolchains import TOOLCHAINS

NAMES = tuple(f"x{i}" for i in range(7))


def make_context(task: str) -> Context:
    """90 rows to learn and 30 to be judged by; the model under test has random weights.

    One feature is constant and the units differ by thousands, as in real tables.
    """
    generator = np.random.default_rng(0)
    features = generator.normal(size=(120, len(NAMES))) * np.geomspace(1e-2, 1e3, len(NAMES))
    features[:, 3] = 5.0
    hidden = (
        (features - features.mean(axis=0))
        @ generator.normal(size=(len(NAMES), 3))
        / features.std(axis=0).clip(1e-9).max()
    )
    if task == "two classes":
        target = np.array(["no", "yes"])[(hidden[:, 0] > 0).astype(int)]
    elif task == "three classes":
        target = np.array([10, 20, 30])[hidden.argmax(axis=1)]
    else:
        target = hidden if task == "several numbers" else hidden[:, 0] * 40 + 100
    kind = "regress" if "number" in task else "classify"
    train, test = (
        Dataset(features[rows], target[rows], NAMES, ("label",), kind, "made up")
        for rows in (slice(0, 90), slice(90, None))
    )
    quantizer = InputQuantizer.fit(train.features, NAMES)
    outputs = 3 if task == "three classes" else 1
    neurons, width = 5, quantizer.kept.size
    left, right = generator.choice([-1, 1], (2, neurons, width)).astype(np.int8)
    bias = generator.integers(-32, 33, (2, neurons)).astype(np.int32)
    weights = generator.integers(-90, 91, (neurons, outputs)).astype(np.int32)
    network = QuantizedNetwork(
        [
            QuadraticLayer(left, right, *bias),
            ReadoutLayer(weights, generator.integers(-999, 1000, outputs)),
        ]
    )
    head = Classes((10, 20, 30) if outputs == 3 else ("no", "yes"))
    model = Model("tiny", network, 1e-4, head, quantizer)
    return Context(model, None, None, test.features, train, test)


@pytest.fixture(scope="session")
def contexts():
    tasks = ("two classes", "three classes", "one number", "several numbers")
    return {task: make_context(task) for task in tasks}


def run_on_host(subject, folder, x):
    """Raw outputs of a subject whose C is compiled for this machine, warnings being errors."""
    sources = subject.write(folder)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-ffreestanding", f"-I{folder}"]
    build_shared([*sources, *subject.objects], folder / "subject.so", flags)
    function = getattr(ctypes.CDLL(str(folder / "subject.so")), subject.entry)
    x = np.ascontiguousarray(x)
    assert x.dtype == subject.input_dtype
    assert x.shape[1] == subject.inputs
    outputs = np.zeros((len(x), subject.outputs), dtype=subject.output_dtype)
    for row, output in zip(x, outputs, strict=True):
        function(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(output.ctypes.data))
    return outputs


def run_emulated(subject, folder, x, core_name, compiler):
    """Raw outputs of a subject that runs in the emulator of a core."""
    if not importlib.util.find_spec("unicorn"):
        pytest.skip("unicorn is not installed")
    from qdeploy.emulation import Machine

    core, target, toolchain = load_core(core_name), load_target(core_name), TOOLCHAINS[compiler]
    if (obstacle := toolchain.obstacle(core)) is not None:
        pytest.skip(obstacle)
    sources = subject.write(folder)
    built = toolchain.compile(core, sources, folder, include=[folder], flags=["-Werror"])
    objects = [*built, *subject.objects]
    elf = folder / "subject.elf"
    link_plain(core, target.flash, target.ram, objects, elf, toolchain, [subject.entry])
    machine = Machine(elf, core, target.flash, target.ram)
    size = subject.outputs * subject.output_dtype.itemsize
    source, result = machine.allocate(x[0].nbytes), machine.allocate(size)
    outputs = np.zeros((len(x), subject.outputs), dtype=subject.output_dtype)
    for row, output in zip(x, outputs, strict=True):
        machine.write(source, row.tobytes())
        machine.call(subject.entry, source, result)
        output[:] = np.frombuffer(machine.read(result, size), subject.output_dtype)
    return outputs


@pytest.fixture
def host(tmp_path):
    return lambda subject, x: run_on_host(subject, tmp_path, x)


@pytest.fixture
def emulated(tmp_path):
    return lambda subject, x, core, compiler="zig": run_emulated(
        subject, tmp_path / f"{core}-{compiler}", x, core, compiler
    )


@pytest.fixture(scope="session")
def without_training(contexts):
    return dataclasses.replace(contexts["two classes"], train=None)
