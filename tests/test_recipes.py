"""Recipes: read strictly, and the zoo's are sound."""

import pytest

from qdeploy.demo import DEMO_MODELS
from qdeploy.errors import QDeployError
from qdeploy.recipes import Recipe, c_name, load_recipe, zoo


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.filterwarnings("ignore:sklearn.digits. 3 columns are constant")
def test_zoo_recipes_are_valid():
    recipes = {name: load_recipe(folder / "recipe.toml") for name, folder in zoo().items()}
    assert set(DEMO_MODELS) <= set(recipes)
    for recipe in recipes.values():
        train, test = recipe.read()
        assert test is not None
        assert len(train.features) > len(test.features)


def test_defaults(tmp_path):
    recipe = load_recipe(write(tmp_path, 'data = "sklearn:iris"\nneurons = 5\nbeta = 0.25'))
    assert recipe == Recipe(data="sklearn:iris", neurons=5, beta=0.25)
    assert recipe.test_size == 0.25
    assert recipe.task is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "data: "),
        ('data = "x"\nneuron = 3', "neuron: "),
        ('data = "x"\ngap = 2', "gap: must be a number from 0"),
        ('data = "x"\nbeta = "big"', "beta: must be 'auto' or"),
        ('data = "x"\ntask = "rank"', "task: "),
        ("data = ", "not valid TOML"),
    ],
)
def test_faults_are_named(tmp_path, text, complaint):
    with pytest.raises(QDeployError, match=complaint) as caught:
        load_recipe(write(tmp_path, text))
    assert "recipe.toml" in str(caught.value)


def test_missing_recipe(tmp_path):
    with pytest.raises(QDeployError, match="No such file"):
        load_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize(
    ("text", "name"), [("my model-2", "my_model_2"), ("3d", "m_3d"), ("", "model"), ("ok", "ok")]
)
def test_c_names(text, name):
    assert c_name(text) == name
