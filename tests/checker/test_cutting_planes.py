from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.checker import certify
from qdeploy.checker.cutting_planes import covers_everything
from qdeploy.cut_proof import CutProof
from qdeploy.onnx.metadata import decode, encode


def refuted(case, tree, *words, norm=None):
    certificate = case.model.certificate
    norm = tree.norm_bound if norm is None else norm
    output = replace(certificate.outputs[0], tree=tree, norm_bound=norm)
    outputs = (output, *certificate.outputs[1:])
    model = replace(case.model, certificate=replace(certificate, outputs=outputs))
    result = certify(model, case.dataset)
    assert not result.holds
    for word in words:
        assert word in result.reason


@pytest.fixture(params=["cutting-planes", "branch-and-bound"])
def case(request, certified):
    kind = "two" if request.param == "cutting-planes" else "three"
    loss = "squared" if request.param == "cutting-planes" else "squared-hinge"
    return certified(kind, loss, request.param)


def changed(tree, field, place, by):
    values = getattr(tree, field).copy()
    values.flat[place] += by
    return replace(tree, **{field: values})


def test_a_smaller_diagonal_is_caught(case):
    tree = case.model.certificate.outputs[0].tree
    lower = replace(tree, diagonals=tree.diagonals - int(tree.diagonals.max() // 100))
    refuted(case, lower, "not proven to dominate")


def test_more_weight_is_caught(case):
    """Weights lower the bound and raise the matrices: without the second the first is a forgery."""
    tree = case.model.certificate.outputs[0].tree
    refuted(case, changed(tree, "weights", 0, int(tree.diagonals.max())), "not proven to dominate")


def test_an_even_or_repeated_cut_is_caught(case):
    tree = case.model.certificate.outputs[0].tree
    for place, value in ((2, 0), (1, 1), (1, -1)):
        cuts = tree.cuts.copy()
        cuts[0, place] = value
        refuted(case, replace(tree, cuts=cuts), "odd number of distinct entries")


def test_tables_that_do_not_fit_are_caught(case):
    tree = case.model.certificate.outputs[0].tree
    refuted(case, replace(tree, weights=tree.weights[:, :-1]), "fit together")
    refuted(case, replace(tree, fixed=tree.fixed[:, :-1]), "fit together")
    refuted(case, replace(tree, weights=-1 - tree.weights), "range")
    refuted(case, replace(tree, weights=tree.weights * 1.0), "integers", norm=tree.norm_bound)
    far = np.full_like(tree.cuts, 3 * tree.fixed.shape[1])
    refuted(case, replace(tree, cuts=far), "range")


def test_weights_that_could_overflow_are_caught(case):
    tree = case.model.certificate.outputs[0].tree
    huge = np.full_like(tree.weights, 2**61)
    refuted(case, replace(tree, weights=huge), "too large")


def test_a_missing_or_repeated_leaf_is_caught(certified):
    case = certified("three", "squared-hinge", "branch-and-bound")
    tree = case.model.certificate.outputs[0].tree
    for leaves in ([0, 1], [0, 1, 2, 2], [0, 1, 1]):
        part = CutProof(tree.cuts, tree.weights[leaves], tree.fixed[leaves], tree.diagonals[leaves])
        refuted(case, part, "leave signs out or overlap")


@given(
    leaves=st.lists(
        st.lists(st.sampled_from([-1, 0, 1]), min_size=3, max_size=3), min_size=1, max_size=8
    )
)
@settings(max_examples=300)
def test_covering_by_definition(leaves):
    fixed = np.array(leaves, dtype=np.int8)
    counts = [
        sum(all(f in (0, s) for f, s in zip(leaf, signs, strict=True)) for leaf in leaves)
        for signs in product([-1, 1], repeat=3)
    ]
    assert covers_everything(fixed) == all(count == 1 for count in counts)


def test_the_file_holds_the_tree(case):
    texts = encode(case.model)
    back = decode(texts).complete(case.model.network).certificate.outputs[0].tree
    tree = case.model.certificate.outputs[0].tree
    for field in ("cuts", "weights", "fixed", "diagonals"):
        assert np.array_equal(getattr(back, field), getattr(tree, field))


def test_certificates_without_a_tree_are_written_as_before(certified):
    assert "tree" not in encode(certified("two", "squared", "sdp").model)["qdeploy.certificate"]
