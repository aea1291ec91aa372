"""Operation counts of kernels, against counts by hand."""

import pytest

from qdeploy.compiler.cost import count_operations
from qdeploy.compiler.forms import FORMS
from qdeploy.compiler.isa import INSTRUCTION_SETS
from qdeploy.compiler.kernel import block_function


def cost_of(form, subject, isa_name, samples=1):
    isa = next(entry for entry in INSTRUCTION_SETS if entry.name == isa_name)
    kernel = FORMS[form].kernel(subject, isa)
    names = frozenset(constant.name for constant in kernel.constants)
    return count_operations(block_function(kernel, "f", samples), isa, names)


def test_collapsed_multiplications_by_hand(network):
    """30 inputs and the constant are one vector of 32: 16 shifts, a product and a dot product."""
    cost = cost_of("collapsed", network(30, 40, 1), "avx512")
    assert cost.multiply == 2 * 16
    # Two vectors for each product, one of coefficients, three pieces of the inputs and the bias.
    assert cost.loads == 16 * 3 + 3 + 1
    assert cost.bytes_read == 16 * 64 + 8


def test_matrix_multiplications_by_hand(network):
    """64 neurons are 4 vectors of 16 lanes, 32 inputs are 8 steps of four, two sides each.

    Then a product a vector, and in the readout one multiplication of 16 int64 (two vectors) each.
    """
    cost = cost_of("matrix", network(32, 64, 1), "avx512-vnni")
    assert cost.multiply == 4 * 8 * 2 + 4 + 4 * 2


def test_pair_sums_need_half_the_dot_products(network):
    """As above with 16 steps of two inputs that serve both sides."""
    cost = cost_of("pair-sums", network(32, 64, 1), "avx512-vnni")
    assert cost.multiply == 4 * 16 + 4 + 4 * 2


@pytest.mark.parametrize("form", ["collapsed", "matrix", "pair-sums"])
def test_blocks_of_samples_share_the_weights(network, form):
    subject = network(30, 40, 2)
    one = cost_of(form, subject, "avx2", 1)
    two = cost_of(form, subject, "avx2", 2)
    assert two.multiply == 2 * one.multiply
    assert two.bytes_read < 2 * one.bytes_read
    assert one.cycles < two.cycles < 2 * one.cycles


def test_a_one_against_rest_readout_reads_few_vectors(network):
    dense = cost_of("matrix", network(20, 160, 10), "avx2")
    sparse = cost_of("matrix", network(20, 160, 10, readout="one-hot"), "avx2")
    assert sparse.multiply < dense.multiply
