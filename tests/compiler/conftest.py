import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qdeploy.compiler.candidates import entry_symbol
from qdeploy.compiler.kernel import batch_function, block_function
from qdeploy.compiler.library import EntryFunction, candidates_source
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.processor import native_processor, runs_here
from qdeploy.emulation import LibraryMachine
from qdeploy.model import Classes, Model, Numbers
from qdeploy.native import build_shared
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.targets import load_arm_core
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS


def make_network(
    inputs: int,
    neurons: int,
    outputs: int,
    *,
    seed: int = 0,
    weights: str = "signs",
    readout: str = "dense",
    amplitude: int = 100,
    constant: int = 32,
) -> QuantizedNetwork:
    """A random network: ±1 or int8 weights; a readout that is dense, one-hot or mostly zero.

    Neurons of "one sum" T of ±1 weights are T·(T + 178).
    """
    rng = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        if weights in ("signs", "one sum"):
            return rng.choice(np.array([-1, 1], dtype=np.int8), (neurons, inputs))
        if weights == "extreme":
            return rng.choice(np.array([-128, 127], dtype=np.int8), (neurons, inputs))
        return rng.integers(-128, 128, (neurons, inputs)).astype(np.int8)

    matrix = rng.integers(-amplitude, amplitude + 1, (neurons, outputs)).astype(np.int32)
    if readout == "one-hot":
        matrix *= np.eye(outputs, dtype=np.int32)[rng.integers(0, outputs, neurons)]
    elif readout == "zero":
        matrix[:] = 0
    bias = (constant * rng.choice([-1, 1], (2, neurons))).astype(np.int32)
    left, right = draw(), draw()
    if weights == "one sum":
        right, bias[1] = left, bias[0] + 178
    return QuantizedNetwork(
        [
            QuadraticLayer(left, right, bias[0], bias[1]),
            ReadoutLayer(matrix, rng.integers(-(10**6), 10**6, outputs)),
        ]
    )


def make_model(network: QuantizedNetwork, name: str = "toy") -> Model:
    """A classifier around a network; a regression for two outputs, which no classes give."""
    if network.outputs == 2:
        return Model(name, network, 0.5, Numbers(("y0", "y1"), (0.0, 1.0), (1.0, 2.0)))
    labels = tuple(f"class {k}" for k in range(max(2, network.outputs)))
    return Model(name, network, 0.5, Classes(labels))


@pytest.fixture(scope="session")
def network() -> Callable[..., QuantizedNetwork]:
    return make_network


@pytest.fixture(scope="session")
def model() -> Callable[..., Model]:
    return lambda *args, name="toy", **options: make_model(make_network(*args, **options), name)


def aligned(array: np.ndarray, offset: int = 0) -> np.ndarray:
    """A copy that starts `offset` bytes behind a 64-byte boundary."""
    memory = np.empty(array.nbytes + 128, dtype=np.uint8)
    start = -memory.ctypes.data % 64 + offset
    view = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


class KernelLibrary:
    """Kernels that are linked to a library without an entry file, to be called one by one."""

    def __init__(self, sources: list[Path], folder: Path) -> None:
        path = folder / "kernels.so"
        build_shared(sources, path)
        self._library = ctypes.CDLL(str(path))

    def run(self, symbol, kernel, x, tile, *, batch: bool) -> np.ndarray:
        """Scores of x: all at once by a batch function, or one by one."""
        network = kernel.network
        scores = np.zeros((len(x), network.outputs), dtype=network.score_dtype)
        pieces = [slice(0, len(x))] if batch else [slice(k, k + 1) for k in range(len(x))]
        for number, piece in enumerate(pieces):
            inputs = aligned(x[piece], 1 + number % 7)
            output = aligned(scores[piece], scores.itemsize)
            # Scratch memory holds rubbish on entry: the kernel must not depend on it.
            scratch = [np.full(item.bytes, 0x5A, dtype=np.uint8) for item in kernel.scratch(tile)]
            arrays = [inputs, *(c.values for c in kernel.constants), output, *scratch]
            arguments = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
            if batch:
                arguments.append(ctypes.c_int64(len(inputs)))
            getattr(self._library, symbol)(*arguments)
            scores[piece] = output
        return scores


@pytest.fixture(scope="session")
def kernel_library() -> type[KernelLibrary]:
    return KernelLibrary


@pytest.fixture(scope="session")
def runnable():
    """Skip the test where this machine cannot run code for a processor."""

    def check(processor) -> None:
        if processor.architecture != native_processor().architecture or not runs_here(processor):
            pytest.skip("this machine lacks the instructions")

    return check


_ARM_MEMORY = 2**20


def arm_processor(core):
    return Processor(core.triple, core.cpu, core.features, vector_bits=128)


class ArmKernels:
    """Kernels of many networks in one library for 64-bit ARM, called in the emulator.

    They go by number, each for one sample (tile None) or for batches.
    """

    def __init__(self, core_name, kernels, folder):
        core, toolchain = load_arm_core(core_name), LINUX_TOOLCHAINS["zig"]
        functions, self.entries = {}, []
        for number, (kernel, tile) in enumerate(kernels):
            symbol = f"kernel_{number}"
            functions[symbol] = (
                block_function(kernel, symbol)
                if tile is None
                else batch_function(kernel, symbol, tile)
            )
            self.entries.append(
                EntryFunction(entry_symbol(number), symbol, kernel, tile or 1, tile is not None)
            )
        lower_to_object(functions, arm_processor(core), folder / "kernels.o")
        objects = [folder / "kernels.o"]
        for score in ("int32", "int64"):
            source = folder / f"{score}.c"
            of_score = [e for e in self.entries if e.kernel.network.score_dtype == score]
            source.write_text(candidates_source(f"{score}_t", of_score))
            objects += toolchain.compile(core, [source], folder)
        library = folder / "library.so"
        toolchain.shared(core, objects, library, [entry.symbol for entry in self.entries])
        self._machine = LibraryMachine(library, core)
        self._memory = self._machine.allocate(_ARM_MEMORY)

    def _place(self, x):
        # Inputs end where the scores begin, so that their addresses are odd more often than not.
        scores = self._memory + _ARM_MEMORY // 2
        self._machine.write(scores - x.nbytes, x.tobytes())
        return scores - x.nbytes, scores

    def check(self, number, x):
        """Compare the scores of x, int8 (n, d), with the meaning of the network."""
        entry = self.entries[number]
        subject = entry.kernel.network
        for rows in np.array_split(x, 1 if entry.rows else len(x)):
            start, scores = self._place(rows)
            expected = subject.forward(rows).astype(subject.score_dtype)
            self._machine.write(scores, bytes([0x5A]) * expected.nbytes)
            arguments = (start, len(rows), scores) if entry.rows else (start, scores)
            assert self._machine.call(entry.symbol, *arguments) == 0
            found = np.frombuffer(
                self._machine.read(scores, expected.nbytes), subject.score_dtype
            ).reshape(expected.shape)
            np.testing.assert_array_equal(found, expected, err_msg=f"{number}: {entry}")

    def count(self, number, x):
        """What the function executes for x."""
        entry = self.entries[number]
        start, scores = self._place(x)
        arguments = (start, len(x), scores) if entry.rows else (start, scores)
        return self._machine.count(entry.symbol, *arguments)


@pytest.fixture(scope="session")
def arm_kernels() -> type[ArmKernels]:
    return ArmKernels
