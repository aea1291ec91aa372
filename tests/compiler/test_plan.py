"""The plan follows the counted cost."""

import pytest

from qdeploy.compiler.isa import INSTRUCTION_SETS
from qdeploy.compiler.plan import make_plan
from qdeploy.errors import QDeployError
from qdeploy.network import QuantizedNetwork

ISA = {entry.name: entry for entry in INSTRUCTION_SETS}


def test_many_neurons_for_few_outputs_collapse(network):
    """61 inputs, 400 one-against-rest neurons: 10·62·63/2 products against 2·61·400."""
    plan = make_plan(network(61, 400, 10, readout="one-hot"), ISA["avx2"]).plan
    assert plan.single.form == plan.batch.form == "collapsed"


def test_few_shared_neurons_keep_their_matrices(network):
    plan = make_plan(network(64, 32, 10), ISA["avx512-vnni"]).plan
    assert plan.batch.form == "matrix"


def test_one_form_for_both_uses_shares_its_constants(network):
    planned = make_plan(network(30, 40, 1), ISA["avx2"])
    assert planned.plan.single.form == planned.plan.batch.form
    assert planned.single is planned.batch


def test_a_plan_states_what_it_rests_on(network):
    plan = make_plan(network(30, 40, 1), ISA["avx2"], forms=("matrix",)).plan
    assert plan.instruction_set == "avx2"
    assert plan.single.tile == 1
    assert plan.batch.tile > 1
    assert plan.single.accumulators == {
        "dot": "int16, int32",
        "product": "int32",
        "score": "int64",
    }
    assert plan.single.operations["multiply"] > 0
    assert plan.batch.cycles < plan.single.cycles
    assert plan.single.weight_bytes >= 2 * 30 * 40
    assert 0 < plan.single.scratch_bytes < plan.batch.scratch_bytes


def test_plans_are_equal_for_equal_networks(network):
    first, second = (make_plan(network(9, 7, 2), ISA["sse2"]).plan for _ in range(2))
    assert first == second


def test_forms_that_cannot_compute_the_network_are_named(network):
    plan = make_plan(network(8, 9, 1, weights="int8"), ISA["avx2"]).plan
    assert set(plan.rejected) == {"lookup-tables", "pair-sums"}
    with pytest.raises(QDeployError, match="pair-sums: it needs weights that agree"):
        make_plan(network(8, 9, 1, weights="int8"), ISA["avx2"], forms=("pair-sums",))


def test_unknown_forms_are_refused(network):
    with pytest.raises(QDeployError, match="unknown kernel form 'magic'; choose one of collapsed"):
        make_plan(network(2, 2, 1), ISA["avx2"], forms=("magic",))


def test_other_layers_are_refused(network):
    readout_only = QuantizedNetwork(network(3, 4, 2).layers[1:])
    with pytest.raises(QDeployError, match="this network has: readout"):
        make_plan(readout_only, ISA["avx2"])
