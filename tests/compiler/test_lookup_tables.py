"""Byte table look-ups give the bits of the network: 64-bit ARM code in the emulator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.compiler.candidates import entry_symbol
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import INSTRUCTION_SETS
from qdeploy.compiler.kernel import batch_function, block_function
from qdeploy.compiler.library import EntryFunction, candidates_source
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.verify import trial_inputs
from qdeploy.emulation import LibraryMachine
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.targets import load_arm_core
from qdeploy.toolchains.linux import LINUX_TOOLCHAINS

FORM = FORMS["lookup-tables"]
CORE = "cortex-a53"

SHAPES = [
    (int(d), 1 + 7 * int(d) % 40, 1 + int(d) % 5) for d in (*range(1, 17), 20, 27, 31, 32)
] + [
    (33, 16, 1),
    (36, 17, 10),
    (61, 40, 1),
    (64, 3, 2),
    (70, 33, 3),
    (97, 16, 1),
    (128, 5, 1),
]
WIDE = {
    # int16 holds dot products of 255 inputs and a small bias, subset sums of 256.
    "largest narrow": (255, 3, 1, {"constant": 127}),
    "least wide": (255, 3, 1, {"constant": 128}),
    "one section": (256, 18, 1, {}),
    "two sections": (257, 17, 2, {}),
    "three sections": (600, 3, 1, {}),
    "wide by its bias": (9, 20, 2, {"constant": 2**20, "amplitude": 3}),
    "wide by its bias, several chunks": (66, 20, 1, {"constant": 40000, "amplitude": 3}),
    "outputs in lanes": (20, 18, 7, {"amplitude": 2}),
    "outputs in lanes, wide": (300, 18, 9, {"amplitude": 9}),
    "indices that share bytes": (39, 1650, 1, {"amplitude": 9}),
    "indices that share bytes, wide": (283, 225, 1, {}),
}


def neon():
    return next(entry for entry in INSTRUCTION_SETS if entry.name == "neon")


class Kernels:
    """The kernels of many networks in one library, in the emulator."""

    def __init__(self, subjects, folder):
        core, toolchain = load_arm_core(CORE), LINUX_TOOLCHAINS["zig"]
        functions, entries = {}, []
        for number, (subject, vectors) in enumerate(subjects):
            kernel = FORM.kernel(subject, neon(), vectors)
            symbol = f"kernel_{number}"
            rows = number % 3 == 2
            functions[symbol] = (
                batch_function(kernel, symbol, 2) if rows else block_function(kernel, symbol)
            )
            entries.append(EntryFunction(entry_symbol(number), symbol, kernel, 1 + rows, rows))
        lower_to_object(
            functions,
            Processor(core.triple, core.cpu, core.features, vector_bits=128),
            folder / "kernels.o",
        )
        objects = [folder / "kernels.o"]
        for score in ("int32", "int64"):
            source = folder / f"{score}.c"
            of_score = [entry for entry in entries if entry.kernel.network.score_dtype == score]
            source.write_text(candidates_source(f"{score}_t", of_score))
            objects += toolchain.compile(core, [source], folder)
        self.entries = entries
        self.library = folder / "library.so"
        toolchain.shared(core, objects, self.library, [entry.symbol for entry in entries])
        self._machine = LibraryMachine(self.library, core)
        self._memory = self._machine.allocate(2**20)

    def check(self, number, x):
        """Compare the scores of x, int8 (n, d), with the meaning of the network."""
        entry = self.entries[number]
        subject = entry.kernel.network
        for rows in np.array_split(x, 1 if entry.rows else len(x)):
            # Inputs end where the scores begin: odd addresses, and nothing behind them is theirs.
            scores = self._memory + 2**19
            start = scores - rows.nbytes
            self._machine.write(start, rows.tobytes())
            count = (len(rows),) if entry.rows else ()
            assert self._machine.call(entry.symbol, start, *count, scores) == 0
            expected = subject.forward(rows).astype(subject.score_dtype)
            found = np.frombuffer(
                self._machine.read(scores, expected.nbytes), subject.score_dtype
            ).reshape(expected.shape)
            np.testing.assert_array_equal(found, expected, err_msg=f"{number}: {entry}")


@pytest.fixture(scope="module")
def kernels(network, tmp_path_factory):
    subjects = [(network(*shape, seed=shape[0]), 1 + shape[1] % 2) for shape in SHAPES]
    return Kernels(subjects, tmp_path_factory.mktemp("lookup"))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_kernels_are_exact_for_any_inputs(kernels, data):
    number = data.draw(st.integers(0, len(SHAPES) - 1))
    width = SHAPES[number][0]
    values = st.one_of(st.sampled_from([-128, 127]), st.integers(-128, 127))
    rows = data.draw(
        st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=3)
    )
    kernels.check(number, np.array(rows, dtype=np.int8))


def test_kernels_are_exact_for_inputs_at_the_limits(kernels):
    for number, entry in enumerate(kernels.entries):
        x = trial_inputs(entry.kernel.network)
        kernels.check(number, x[np.r_[0 : min(len(x), 7), -10:0]])


def test_every_way_to_the_dot_products_is_exact(network, tmp_path):
    subjects = [
        (network(d, m, k, seed=number, **options), 1)
        for number, (d, m, k, options) in enumerate(WIDE.values())
    ]
    built = Kernels(subjects, tmp_path)
    ways = [entry.kernel.accumulators["dot"] for entry in built.entries]
    assert ways == ["int16", *["int32"] * 6, *["int16", "int32"] * 2]
    for number, entry in enumerate(built.entries):
        x = trial_inputs(entry.kernel.network)
        built.check(number, x[np.r_[0:4, -8:0]])


def test_places_behind_the_last_neuron_keep_to_its_proof(tmp_path):
    """With u = ±v in halves a neuron is at most (128·d/2)² and fits int32, a repeated one as well.

    Were those places 16 sums of all inputs, (128·d)² would not.
    """
    inputs = 512
    signs = np.ones((1, inputs), dtype=np.int8)
    opposite = np.where(np.arange(inputs) % 2, 1, -1).astype(np.int8)[None]
    none = np.zeros(1, dtype=np.int32)
    subject = QuantizedNetwork(
        [
            QuadraticLayer(signs, opposite, none, none),
            ReadoutLayer(np.ones((1, 1), dtype=np.int32), np.zeros(1, dtype=np.int64)),
        ]
    )
    kernel = FORM.kernel(subject, neon())
    assert kernel.accumulators["product"] == "int32"
    weights = next(item.values for item in kernel.constants if item.name == "weights")
    lanes = weights.reshape(-1, 16)
    assert (lanes == lanes[:, :1]).all()
    Kernels([(subject, 1)], tmp_path).check(0, trial_inputs(subject)[np.r_[0:7, -8:0]])


def test_look_ups_become_the_instructions_that_were_meant(network, tmp_path):
    """Both look-ups of four weights in 16 neurons are one instruction each, added in bytes."""
    from capstone import CS_ARCH_ARM64, CS_MODE_ARM, Cs
    from elftools.elf.elffile import ELFFile

    # For cores that run in order LLVM unrolls the loops.
    core = load_arm_core("cortex-a72")
    path = tmp_path / "kernel.o"
    function = block_function(FORM.kernel(network(33, 320, 1), neon()), "kernel")
    lower_to_object({"kernel": function}, Processor(core.triple, core.cpu, core.features), path)
    with path.open("rb") as file:
        elf = ELFFile(file)
        (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name("kernel")
        code = elf.get_section(symbol["st_shndx"]).data()
    found = list(Cs(CS_ARCH_ARM64, CS_MODE_ARM).disasm_lite(code[: symbol["st_size"]], 0))
    names = [name for *_, name, _ in found]
    # 32 inputs are 8 groups in a loop over sides; the last input is one in a loop over both.
    assert names.count("tbl") == 2 * 8 + 2 * 2 * 1
    assert sum(name == "add" and ".16b" in text for *_, name, text in found) == 2 * 7
    # The sums of bytes are widened and added to a half of 8 neurons in one instruction each.
    for name in ("smlal", "smlal2", "umlal", "umlal2"):
        assert sum(n == name and ".8h" in text for *_, n, text in found) == 1 + 2


def test_what_it_cannot_take_is_refused_with_a_reason(network):
    signs = network(8, 4, 1)
    for entry in INSTRUCTION_SETS:
        if entry.table_lookup is None:
            assert FORM.kernel(signs, entry) == f"{entry.name} has no byte table look-up"
    assert FORM.kernel(network(8, 4, 1, weights="int8"), neon()) == "it needs weights of ±1"
    far = network(8, 1, 1, constant=2**31 - 1, amplitude=1)
    assert FORM.kernel(far, neon()) == "its dot products may not fit 32 bits"
