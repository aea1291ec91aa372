"""A recipe: how one model is trained from named data. Shared by the command line and the zoo.

A recipe is the table of options of ``qdeploy train``; ``models/*/recipe.toml`` keep them in files.
"""

import json
import re
import tomllib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from qdeploy.activation import activation_text
from qdeploy.data import Dataset
from qdeploy.data.dataset import Task
from qdeploy.data.quantizer import Scaling
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.ranges import (
    BETA,
    BYTES,
    GAP,
    INPUTS,
    NEURONS,
    OPERATIONS,
    READOUT_BITS,
    RIDGE,
    SEED,
    TEST_SIZE,
    TIME_LIMIT,
    auto_or,
)

if TYPE_CHECKING:
    from qdeploy.training.trainer import TrainingResult

__all__ = [
    "Recipe",
    "Trained",
    "c_name",
    "load_recipe",
    "read_class_weight",
    "read_for",
    "split_for",
    "train_recipe",
    "zoo",
]


class Recipe(BaseModel):
    """Data and options of one training run; the fields are the options of ``qdeploy train``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    label: str | None = None
    test_data: str | None = None
    test_size: Annotated[float, BeforeValidator(TEST_SIZE)] = 0.25
    seed: Annotated[int, BeforeValidator(SEED)] = 0
    task: Task | None = None
    loss: str = "squared"
    mode: Literal["certified", "compact"] | None = None
    beta: Annotated[float | Literal["auto"], BeforeValidator(partial(auto_or, BETA))] = "auto"
    neurons: Annotated[int, BeforeValidator(NEURONS)] | None = None
    inputs: Annotated[int, BeforeValidator(INPUTS)] | None = None
    max_bytes: Annotated[int, BeforeValidator(BYTES)] | None = None
    max_ops: Annotated[int, BeforeValidator(OPERATIONS)] | None = None
    gap: Annotated[float, BeforeValidator(GAP)] | None = None
    time_limit: Annotated[float, BeforeValidator(TIME_LIMIT)] | None = None
    scaling: Scaling | Literal["auto"] = "auto"
    readout_bits: Annotated[
        int | Literal["auto"], BeforeValidator(partial(auto_or, READOUT_BITS))
    ] = 8
    activation: Annotated[str, BeforeValidator(activation_text)] = "bilinear"
    weights: str = "binary"
    penalty: str = "count"
    sample_weight: str | None = None
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    outputs: Literal["separate", "shared"] | None = None
    input_shifts: Literal["none", "learned"] | None = None
    ridge: Annotated[float | Literal["auto"], BeforeValidator(partial(auto_or, RIDGE))] | None = (
        None
    )

    def read(self) -> tuple[Dataset, Dataset | None]:
        """Training rows, and the rows held out for the test, if any.

        Raises:
            QDeployError: the data cannot be read or are unusable.
        """
        from qdeploy.data import read_dataset, split

        whole = read_dataset(
            self.data, label=self.label, task=self.task, sample_weight=self.sample_weight
        )
        if self.test_data is not None:
            return whole, read_dataset(self.test_data, label=self.label, like=whole)
        return split(whole, self.test_size, self.seed) if self.test_size else (whole, None)


@dataclass(frozen=True, eq=False)
class Trained:
    """A recipe carried out.

    Attributes:
        result: what training gave; its model knows the recipe as provenance.
        train: the training rows.
        test: the held-out rows, or None.
        test_score: accuracy or R² on the held-out rows, or None.
    """

    result: "TrainingResult"
    train: Dataset
    test: Dataset | None
    test_score: float | None

    @property
    def model(self) -> Model:
        """The trained model."""
        return self.result.model

    @property
    def scores(self) -> dict[str, float]:
        """Accuracy or R² on the rows named "train" and, if any were held out, "test"."""
        scores = {"train": self.result.train_score}
        return scores if self.test_score is None else {**scores, "test": self.test_score}


def train_recipe(
    recipe: Recipe,
    *,
    name: str,
    checkpoint: Path | None = None,
    cluster: str | None = None,
    progress: Progress = silent,
) -> Trained:
    """Read, split, train and score.

    Args:
        recipe: data and options.
        name: name of the model, a valid C name.
        checkpoint: folder of what is kept of finished steps, see `train`.
        cluster: address of the Dask scheduler whose workers train, or None for this machine.
        progress: told about the stages.

    Raises:
        QDeployError: the data or the options are unusable, or no scheduler answers.
    """
    progress(ProgressEvent("reading the data", 0))
    from qdeploy.training.cluster import on_cluster
    from qdeploy.training.trainer import train

    rows, held_out = recipe.read()
    with on_cluster(cluster):
        result = train(
            rows,
            loss=recipe.loss,
            mode=recipe.mode,
            beta=recipe.beta,
            neurons=recipe.neurons,
            inputs=recipe.inputs,
            max_bytes=recipe.max_bytes,
            max_ops=recipe.max_ops,
            gap=recipe.gap,
            time_limit=recipe.time_limit,
            seed=recipe.seed,
            scaling=recipe.scaling,
            readout_bits=recipe.readout_bits,
            class_weight=recipe.class_weight,
            activation=recipe.activation,
            weights=recipe.weights,
            penalty=recipe.penalty,
            outputs=recipe.outputs or "separate",
            input_shifts=recipe.input_shifts or "none",
            ridge=recipe.ridge or "auto",
            name=name,
            checkpoint=checkpoint,
            progress=progress,
        )
    origin = {**recipe.model_dump(exclude_none=True), "data": rows.source, "task": rows.task}
    if held_out is not None and recipe.test_data is not None:
        origin.update(test_data=held_out.source, test_size=0.0)
    known = {**result.model.provenance, "recipe": origin}
    result = replace(result, model=replace(result.model, provenance=known))
    return Trained(
        result=result,
        train=rows,
        test=held_out,
        test_score=None
        if held_out is None
        else result.model.score(held_out.features, held_out.target),
    )


def read_for(model: Model, source: str, *, label: str | None = None) -> Dataset:
    """Data read as they were for the training of a model, held-out rows included.

    Args:
        model: a trained model; its provenance tells label and task.
        source: the data.
        label: the label column, where it is no longer the one of the training.

    Raises:
        QDeployError: the data cannot be read, or lack a feature of the model.
    """
    from qdeploy.data import read_dataset

    known = model.provenance.get("recipe", {})
    return read_dataset(
        source,
        label=label or known.get("label"),
        task="classify" if isinstance(model.head, Classes) else "regress",
        columns=model.quantizer.feature_names if model.quantizer else None,
        sample_weight=known.get("sample_weight"),
    )


def split_for(
    model: Model, source: str, *, label: str | None = None, test_data: str | None = None
) -> tuple[Dataset, Dataset]:
    """Training rows and test rows of a model: its own split, or separate test data.

    Args:
        model: a trained model; its provenance tells the split.
        source: the data it was trained from.
        label: as for `read_for`.
        test_data: data to test on, for a model that was not trained on a split.

    Raises:
        QDeployError: the data cannot be read, or there is nothing to test on.
    """
    from qdeploy.data import read_dataset, split

    whole = read_for(model, source, label=label)
    known = model.provenance.get("recipe", {})
    train, held_out = whole, None
    if known.get("test_size"):
        train, held_out = split(whole, known["test_size"], known["seed"])
    if test_data is not None:
        held_out = read_dataset(test_data, label=label or known.get("label"), like=whole)
    if held_out is None:
        raise QDeployError(
            f"model {model.name!r} was trained on all rows of its data; "
            "name others for the accuracy with --test-data"
        )
    return train, held_out


def c_name(text: str) -> str:
    """`text` as a C name: other characters become underscores."""
    name = re.sub(r"[^0-9A-Za-z_]", "_", text) or "model"
    return f"m_{name}" if name[0].isdigit() else name


def read_class_weight(text: str) -> str | dict[str, float]:
    """Weights of classes from a JSON file, an object of numbers; "balanced" as it is.

    Raises:
        QDeployError: the file is missing or holds something else.
    """
    if text == "balanced":
        return text
    try:
        weights = json.loads(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise QDeployError(
            f"class weights {text}: {error.strerror or error}; give 'balanced' or a JSON file"
        ) from None
    except ValueError as error:
        raise QDeployError(f"class weights {text}: not valid JSON ({error})") from None
    numbers = isinstance(weights, dict) and all(
        isinstance(weight, int | float) and not isinstance(weight, bool)
        for weight in weights.values()
    )
    if not numbers:
        raise QDeployError(
            f'class weights {text}: an object of numbers is needed, such as {{"yes": 2.0}}'
        )
    return {str(label): float(weight) for label, weight in weights.items()}


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        QDeployError: the file is missing, is no TOML, or an option is unknown or out of range.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QDeployError(f"recipe {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise QDeployError(f"recipe {path} is not valid TOML: {error}") from None
    return _recipe(values, f"recipe {path}")


def zoo() -> dict[str, Path]:
    """Folder of every model of the zoo that has a recipe, by name."""
    package = Path(__file__).parent
    folder = next((f for f in (package / "_models", package.parent / "models") if f.is_dir()), None)
    if folder is None:
        return {}
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/recipe.toml"))}


def _recipe(values: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = first["loc"][0] if first["loc"] else ""
        reason = first["msg"].removeprefix("Value error, ")
        raise QDeployError(f"{where}: {option}: {reason}") from None
