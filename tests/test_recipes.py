"""Recipes: read strictly, and the zoo's are sound."""

from pathlib import Path

import numpy as np
import pytest

from qdeploy.cli.app import run
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
        if not recipe.data.startswith("sklearn:") and not Path(recipe.data).exists():
            continue  # a file that the user makes
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


def test_weights_of_rows_and_classes_from_the_command_line_are_proven_again(tmp_path, capsys):
    generator = np.random.default_rng(0)
    lines = ["a,b,w,y"]
    for _ in range(80):
        a, b = generator.standard_normal(2)
        lines.append(f"{a:.4f},{b:.4f},{generator.integers(0, 4)},{'in' if a * b > 0 else 'out'}")
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    (tmp_path / "classes.json").write_text('{"in": 2.5}')
    table, model = str(tmp_path / "rows.csv"), str(tmp_path / "m.onnx")
    words = ["train", table, "--label", "y", "-o", model, "--beta", "1", "--loss", "logistic"]
    words += ["--sample-weight", "w", "--quiet"]
    assert run([*words, "--class-weight", str(tmp_path / "classes.json")]) == 0
    assert run(["certify", model, table, "--quiet"]) == 0
    assert run([*words, "--class-weight", "balanced", "--force"]) == 0
    assert run(["certify", model, table, "--quiet"]) == 0
    Path(table).write_text("\n".join(lines).replace(",3,in", ",2,in"))
    assert run(["certify", model, table, "--quiet"]) == 1
    assert "does not hold" in capsys.readouterr().err
    (tmp_path / "classes.json").write_text('{"in": "much"}')
    assert run([*words, "--class-weight", str(tmp_path / "classes.json"), "--force"]) == 1
    assert "an object of numbers" in capsys.readouterr().err
