"""The models of the zoo: the files in the repository load, and their proofs hold on their data."""

from pathlib import Path

import pytest

from qdeploy import onnx
from qdeploy.benchmark.wording import certificate_sentences
from qdeploy.checker import certify
from qdeploy.cli.figures import score_text
from qdeploy.recipes import load_recipe, zoo

LEAST = {"ionosphere": 0.85, "sonar": 0.78}
"""Held-out accuracy of models of harder data."""


def shown(name):
    """A model of the zoo and its card."""
    folder = zoo()[name]
    return onnx.load(folder / f"{name}.onnx"), (folder / "README.md").read_text("utf-8")


@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
@pytest.mark.parametrize("name", zoo())
def test_the_committed_certificate_holds(name):
    recipe = load_recipe(zoo()[name] / "recipe.toml")
    if not recipe.data.startswith("sklearn:") and not Path(recipe.data).exists():
        pytest.skip(f"{recipe.data} is not here; models/{name}/DATA.md says how to make it")
    model, card = shown(name)
    train, test = recipe.read()
    check = certify(model, train)
    assert check.holds, check.reason
    assert f"{model.network.layers[0].width}" in card
    score = model.score(test.features, test.target)
    assert score >= LEAST.get(name, 0.95)
    assert f"{score_text(train.task, score)} on the held-out rows" in card


@pytest.mark.parametrize("name", zoo())
def test_the_card_states_the_certificate_of_the_file(name):
    model, card = shown(name)
    certificate = model.certificate
    assert f"{model.network.layers[0].width} neurons" in card
    for sentence in certificate_sentences(certificate):
        assert sentence in card
    for output in certificate.outputs:
        assert output.bound <= output.objective
        if output.tree is not None:
            assert output.tree.norm_bound == output.norm_bound
            assert output.tree.diagonals.shape == output.tree.fixed.shape
