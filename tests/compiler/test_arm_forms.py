"""The arithmetic forms on 64-bit ARM: bits of the network in the emulator, and instructions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import INSTRUCTION_SETS
from qdeploy.compiler.verify import trial_inputs

CORES = {"neon": "cortex-a53", "neon-dotprod": "cortex-a76", "neon-i8mm": "neoverse-v1"}
ARITHMETIC = ("matrix", "pair-sums", "collapsed")

CASES = [
    # Fewer inputs than a group, a vector, and just as many; then all kinds of remainders.
    *((d, 1 + 5 * d % 23, 1 + d % 4, {}) for d in (*range(1, 10), 15, 16, 17, 20, 31, 33)),
    (36, 16, 10, {}),
    (48, 37, 1, {}),
    (64, 8, 3, {"readout": "one-hot"}),
    (12, 9, 3, {"readout": "zero"}),
    (40, 12, 2, {"amplitude": 2**31 - 1}),
    (30, 70, 10, {"readout": "one-hot", "constant": 33}),
    # Sums of int16 lanes reach 255 products of ±1 weights.
    (510, 3, 1, {"amplitude": 3}),
    (527, 5, 2, {"amplitude": 3}),
    (29, 18, 3, {"weights": "int8", "amplitude": 2**12}),
    (80, 5, 2, {"weights": "extreme", "amplitude": 2**12}),
    (33, 6, 1, {"weights": "extreme", "amplitude": 2**12}),
    # Outputs in lanes: scores of 32 and 64 bits, rests of a vector, fewer samples at a time.
    (32, 15, 4, {"amplitude": 2}),
    (31, 13, 7, {"amplitude": 2}),
    (35, 9, 2, {"amplitude": 2**31 - 1}),
    (36, 16, 9, {"amplitude": 2**15}),
    (20, 18, 25, {}),
    (20, 18, 27, {}),
    (20, 5, 99, {"amplitude": 2}),
]


def instruction_set(name):
    return next(entry for entry in INSTRUCTION_SETS if entry.name == name)


def built(name, network):
    """Kernels of every case and form, for one sample and in some tile of batches."""
    isa = instruction_set(name)
    kernels = []
    for number, (inputs, neurons, outputs, options) in enumerate(CASES):
        subject = network(inputs, neurons, outputs, seed=number, **options)
        for turn, form_name in enumerate(ARITHMETIC):
            form = FORMS[form_name]
            vectors = form.block_vectors[(number + turn) % len(form.block_vectors)]
            kernel = form.kernel(subject, isa, vectors)
            if isinstance(kernel, str):
                continue
            # Half of the uses on each set, and neighbouring sets, which share code, take turns.
            if (number + turn + list(CORES).index(name)) % 2:
                kernels.append((kernel, None))
            else:
                kernels.append((kernel, form.tiles[number % len(form.tiles)]))
    return kernels


@pytest.fixture(scope="module", params=CORES)
def kernels(request, network, arm_kernels, tmp_path_factory):
    name = request.param
    return arm_kernels(CORES[name], built(name, network), tmp_path_factory.mktemp("arm"))


def test_kernels_are_exact_at_the_limits_of_inputs(kernels):
    for number, entry in enumerate(kernels.entries):
        trials = trial_inputs(entry.kernel.network)
        kernels.check(number, trials[np.r_[0 : min(len(trials), 12), -5:0]])


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_kernels_are_exact_for_any_inputs(kernels, data):
    number = data.draw(st.integers(0, len(kernels.entries) - 1))
    width = kernels.entries[number].kernel.network.inputs
    values = st.one_of(st.sampled_from([-128, 127]), st.integers(-128, 127))
    row = st.lists(values, min_size=width, max_size=width) if width < 64 else None
    if row is None:
        seed = data.draw(st.integers(0, 2**32 - 1))
        x = np.random.default_rng(seed).integers(-128, 128, (3, width)).astype(np.int8)
    else:
        x = np.array(data.draw(st.lists(row, min_size=1, max_size=7)), dtype=np.int8)
    kernels.check(number, x)


@pytest.fixture
def count(network, arm_kernels, tmp_path):
    """Instructions of the matrix form by class, for one sample or for two tiles."""

    def counted(name, shape, tile=None):
        kernel = FORMS["matrix"].kernel(network(*shape), instruction_set(name))
        library = arm_kernels(CORES[name], [(kernel, tile)], tmp_path)
        return library.count(0, np.ones((2 * tile if tile else 1, shape[0]), dtype=np.int8))

    return counted


def test_dot_products_take_their_inputs_by_element(count):
    """2·64·32/16 instructions, and no broadcast of inputs or copy to memory in front of them."""
    found = count("neon-dotprod", (64, 32, 1))
    assert found.classes["vector_dot"] == 2 * 64 * 32 // 16
    assert found.classes.get("vector_permute", 0) < 64
    assert found.instructions < 2.6 * found.classes["vector_dot"]


def test_matrix_products_take_samples_in_pairs(count):
    """2·64·32 weights and 8 samples at 32 products an instruction; no dot product beside them."""
    found = count("neon-i8mm", (64, 32, 1), tile=4)
    assert found.classes["vector_matrix"] == 8 * 2 * 64 * 32 // 32
    assert "vector_dot" not in found.classes


def test_without_dot_products_bytes_are_multiplied_eight_at_a_time(count):
    """2·64·32/8 instructions, and one addition to int32 for each four neurons and side."""
    found = count("neon", (64, 32, 1))
    assert found.classes["vector_multiply_add_long"] >= 2 * 64 * 32 // 8 - 2 * 32 // 4
    assert found.classes["vector_accumulate"] == 2 * 32 // 4
    assert found.instructions < 0.3 * 2 * 64 * 32


def outputs_in_lanes(kernel):
    return "readout_start" not in [constant.name for constant in kernel.constants]


@pytest.mark.parametrize(
    ("neurons", "outputs", "options", "expected"),
    [
        (16, 10, {}, True),
        (16, 10, {"amplitude": 2}, True),
        # Nothing to lay out; more than registers hold; vectors of neurons that are mostly skipped.
        (16, 1, {}, False),
        (16, 49, {}, False),
        (80, 10, {"readout": "one-hot"}, False),
        # Rows of five outputs fill eight lanes.
        (64, 5, {"amplitude": 2}, False),
    ],
)
def test_outputs_lie_in_lanes_where_that_counts_less(neurons, outputs, options, expected, network):
    subject = network(32, neurons, outputs, **options)
    for form in ("matrix", "pair-sums", "lookup-tables"):
        kernel = FORMS[form].kernel(subject, instruction_set("neon"))
        assert outputs_in_lanes(kernel) == expected
    for name in ("avx2", "scalar"):
        kernel = FORMS["matrix"].kernel(subject, instruction_set(name))
        assert not outputs_in_lanes(kernel)


def test_neurons_beyond_32_bits_stay_in_lanes(network):
    """There is no product of int64 lanes."""
    subject = network(80, 16, 10, weights="extreme", amplitude=3)
    kernel = FORMS["matrix"].kernel(subject, instruction_set("neon"))
    assert kernel.accumulators["product"] == "int64"
    assert not outputs_in_lanes(kernel)


def test_readouts_multiply_and_add_two_products_an_instruction(count):
    """Of 16 neurons and 10 outputs, and of 32 neurons and one, without widening weights."""
    found = count("neon-dotprod", (36, 16, 10))
    assert found.classes["vector_multiply_add_long"] == 16 * 10 // 2
    assert found.instructions < 300
    found = count("neon-dotprod", (64, 32, 1))
    assert found.classes["vector_multiply_add_long"] == 32 // 2
    assert found.classes.get("vector_shift", 0) == 0


def test_few_inputs_are_broadcast_from_memory(network):
    """Fewer inputs than one group: no vector of them can be loaded."""
    isa = instruction_set("neon-dotprod")
    assert [item.name for item in FORMS["matrix"].kernel(network(3, 4, 1), isa).scratch(1)] == [
        "inputs",
        "neurons",
    ]
    assert [item.name for item in FORMS["matrix"].kernel(network(4, 4, 1), isa).scratch(1)] == [
        "neurons"
    ]
