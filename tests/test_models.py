"""The models of the zoo: the files in the repository load, and their proofs hold on their data."""

import pytest

from qdeploy import onnx
from qdeploy.checker import certify
from qdeploy.recipes import load_recipe, zoo


@pytest.mark.filterwarnings("ignore::qdeploy.data.DataWarning")
@pytest.mark.parametrize("name", zoo())
def test_the_committed_certificate_holds(name):
    folder = zoo()[name]
    model = onnx.load(folder / f"{name}.onnx")
    train, test = load_recipe(folder / "recipe.toml").read()
    check = certify(model, train)
    assert check.holds, check.reason
    card = (folder / "README.md").read_text("utf-8")
    assert f"{model.network.layers[0].width}" in card
    assert model.score(test.features, test.target) >= 0.95
