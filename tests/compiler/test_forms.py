"""Every form on every instruction set gives the bits of the network, whatever its shape."""

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import INSTRUCTION_SETS, best_instruction_set
from qdeploy.compiler.kernel import batch_function, block_function
from qdeploy.compiler.lowering import Processor, lower_to_object
from qdeploy.compiler.verify import trial_inputs

LINUX = "x86_64-unknown-linux-gnu"
PROCESSORS = {
    "avx512-vnni": Processor(LINUX, "x86-64-v4", ("+avx512vnni",)),
    "avx512": Processor(LINUX, "x86-64-v4"),
    "avx-vnni": Processor(LINUX, "x86-64-v3", ("+avxvnni",)),
    "avx2": Processor(LINUX, "x86-64-v3"),
    "ssse3": Processor(LINUX, "x86-64-v2"),
    "sse2": Processor(LINUX, "x86-64"),
    "vector128": Processor(LINUX, "x86-64"),
    "scalar": Processor(LINUX, "x86-64"),
}
CASES = {
    "one of each": (1, 1, 1, {}),
    "no linear terms": (2, 3, 1, {"constant": 0}),
    "breast cancer": (30, 40, 1, {}),
    "one-hot": (33, 70, 10, {"readout": "one-hot"}),
    "shared neurons": (17, 37, 11, {}),
    "even size": (63, 20, 2, {"constant": 0}),
    "zero readout": (5, 9, 3, {"readout": "zero"}),
    "odd constant": (12, 8, 2, {"constant": 33, "readout": "one-hot"}),
    "large readout weights": (40, 12, 2, {"amplitude": 2**31 - 1}),
    "int8 weights": (29, 18, 3, {"weights": "int8"}),
    "largest int8 weights": (80, 5, 2, {"weights": "extreme", "amplitude": 2**20}),
}


def instruction_set(name):
    return next(entry for entry in INSTRUCTION_SETS if entry.name == name)


def samples(network):
    """Odd numbers of trial inputs, the extreme ones first."""
    x = trial_inputs(network)
    return x[np.r_[0 : min(len(x), 60), -41:0]]


@pytest.mark.parametrize("name", PROCESSORS)
def test_forms_are_exact_on_every_instruction_set(
    name, network, kernel_library, runnable, tmp_path
):
    processor, isa = PROCESSORS[name], instruction_set(name)
    runnable(processor)
    assert isa.features <= processor.features
    functions, built = {}, {}
    # Half of the cases on each set, so that neighbouring sets, which share code, see all of them.
    turn = list(PROCESSORS).index(name) % 2
    for number, (inputs, neurons, outputs, options) in enumerate(CASES.values()):
        if number % 2 != turn:
            continue
        subject = network(inputs, neurons, outputs, seed=number, **options)
        for form in FORMS.names():
            kernel = FORMS[form].kernel(subject, isa)
            if isinstance(kernel, str):
                continue
            symbol = f"{form.replace('-', '_')}_{number}"
            tile = FORMS[form].tiles[-1] if number % 4 < 2 else 2
            functions[f"{symbol}_one"] = block_function(kernel, f"{symbol}_one")
            functions[f"{symbol}_many"] = batch_function(kernel, f"{symbol}_many", tile)
            built[symbol] = (kernel, tile)
    path = tmp_path / "kernels.o"
    lower_to_object(functions, processor, path)
    library = kernel_library([path], tmp_path)
    for symbol, (kernel, tile) in built.items():
        x = samples(kernel.network)
        expected = kernel.network.forward(x)
        single = library.run(f"{symbol}_one", kernel, x, 1, batch=False)
        np.testing.assert_array_equal(single, expected, err_msg=symbol)
        many = library.run(f"{symbol}_many", kernel, x, tile, batch=True)
        np.testing.assert_array_equal(many, expected, err_msg=symbol)
    # Byte look-ups are of 64-bit ARM alone, and tested in its emulator.
    for form in set(FORMS.names()) - {"lookup-tables"}:
        assert sum(symbol.startswith(form.replace("-", "_")) for symbol in built) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_random_networks_are_exact(seed, network, kernel_library, runnable, tmp_path):
    rng = np.random.default_rng(1000 + seed)
    name = list(PROCESSORS)[seed % len(PROCESSORS)]
    processor, isa = PROCESSORS[name], instruction_set(name)
    runnable(processor)
    for trial in range(4):
        weights = str(rng.choice(["signs", "signs", "int8"]))
        # Int8 weights leave fewer of the 64 bits to the readout.
        widest = 31 if weights == "signs" else 16
        subject = network(
            int(rng.integers(1, 81)),
            int(rng.integers(1, 71)),
            int(rng.integers(1, 12)),
            seed=100 * seed + trial,
            weights=weights,
            readout=str(rng.choice(["dense", "one-hot"])),
            amplitude=int(2 ** rng.integers(1, widest)),
            constant=int(rng.integers(0, 200)),
        )
        x = samples(subject)
        expected = subject.forward(x)
        for form in FORMS.values():
            kernel = form.kernel(subject, isa)
            if isinstance(kernel, str):
                continue
            tile = int(rng.choice(form.tiles))
            folder = tmp_path / f"{trial}-{form.name}"
            folder.mkdir()
            functions = {
                "one": block_function(kernel, "one"),
                "many": batch_function(kernel, "many", tile),
            }
            lower_to_object(functions, processor, folder / "k.o")
            library = kernel_library([folder / "k.o"], folder)
            for symbol, block, batch in (("one", 1, False), ("many", tile, True)):
                found = library.run(symbol, kernel, x, block, batch=batch)
                np.testing.assert_array_equal(found, expected, err_msg=form.name)


def test_weights_that_a_form_cannot_take_are_refused_with_a_reason(network):
    isa = instruction_set("avx2")
    general = network(8, 4, 1, weights="int8")
    assert "agree in magnitude" in FORMS["pair-sums"].kernel(general, isa)
    wide = network(500, 4, 1)
    assert "32-bit accumulator" in FORMS["pair-sums"].kernel(wide, isa)


def test_large_weights_leave_the_saturating_instruction(network):
    """Σ of two 255·|w| must fit int16, or the int16 dot product is taken instead."""
    isa = instruction_set("avx2")
    assert FORMS["matrix"].kernel(network(8, 4, 1), isa).accumulators["dot"] == "int16, int32"
    large = network(8, 4, 1, weights="int8")
    assert FORMS["matrix"].kernel(large, isa).accumulators["dot"] == "int32"


def test_kernels_compile_for_generic_arm(network, tmp_path):
    processor = Processor("aarch64-unknown-linux-gnu", "generic")
    isa = best_instruction_set(processor.architecture, processor.features)
    assert isa.name == "neon"
    subject = network(30, 40, 2)
    functions = {
        name: batch_function(FORMS[name].kernel(subject, isa), name, 2) for name in FORMS.names()
    }
    lower_to_object(functions, processor, tmp_path / "k.o")
    with (tmp_path / "k.o").open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_machine"] == "EM_AARCH64"
        undefined = {
            symbol.name
            for symbol in elf.get_section_by_name(".symtab").iter_symbols()
            if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name
        }
    assert undefined <= {"memset", "memcpy"}


@pytest.mark.parametrize(
    ("architecture", "features", "name"),
    [
        ("x86_64", {"sse2", "ssse3", "avx2", "avx512bw", "avx512vnni"}, "avx512-vnni"),
        ("x86_64", {"sse2", "ssse3", "avx2", "avx512bw"}, "avx512"),
        ("x86_64", {"sse2", "ssse3", "avx2", "avxvnni"}, "avx-vnni"),
        ("x86_64", {"sse2", "ssse3", "avx2"}, "avx2"),
        ("x86_64", {"sse2", "ssse3"}, "ssse3"),
        ("x86_64", {"sse2"}, "sse2"),
        ("aarch64", {"neon", "dotprod", "i8mm"}, "neon-i8mm"),
        ("aarch64", {"neon", "dotprod"}, "neon-dotprod"),
        ("aarch64", {"neon"}, "neon"),
        ("thumbv6m", set(), "scalar"),
    ],
)
def test_the_best_instruction_set_is_taken(architecture, features, name):
    assert best_instruction_set(architecture, frozenset(features)).name == name
