"""Training the points of a front: one compact network a width, on the split of a recipe."""

import time
from dataclasses import MISSING, fields
from math import inf

from qdeploy.benchmark.quality import quality
from qdeploy.data import Dataset, InputQuantizer
from qdeploy.errors import QDeployError
from qdeploy.fronts.linear import linear_point
from qdeploy.fronts.points import Front, FrontPoint
from qdeploy.inspection import cost
from qdeploy.progress import Progress, ProgressEvent, silent
from qdeploy.recipes import Recipe, Trained, train_recipe
from qdeploy.training.budgets import widths_within
from qdeploy.training.cluster import on_cluster
from qdeploy.training.interruptions import noted_interruptions
from qdeploy.training.options import Options
from qdeploy.training.trainer import encode

__all__ = ["trace"]


def trace(
    recipe: Recipe, *, name: str, cluster: str | None = None, progress: Progress = silent
) -> Front:
    """Train networks of 1, 2, 4, … neurons within the budgets of a recipe.

    The held-out rows are only looked at, never trained on or chosen by. An interruption (Ctrl-C)
    ends it with the points so far, if there is one.

    Args:
        recipe: data and options; its time limit is shared by all widths.
        name: of the models, with their width behind it; a valid C name.
        cluster: address of the Dask scheduler whose workers train, or None for this machine.
        progress: told of the stages.

    Raises:
        QDeployError: the data or the options are unusable, no rows are held out, or no scheduler
            answers.
    """
    began = time.monotonic()
    rows, held_out = recipe.read()
    if held_out is None:
        raise QDeployError(
            "a front needs rows that are not trained on; give a --test-size above 0 or --test-data"
        )
    widths = _widths(recipe, rows)
    points: list[FrontPoint] = []
    with on_cluster(cluster), noted_interruptions() as interrupted:
        try:
            for place, neurons in enumerate(widths):
                progress(ProgressEvent(f"{neurons} neurons", place, len(widths)))
                left = (recipe.time_limit or inf) - (time.monotonic() - began)
                share = None if left == inf else max(left / (len(widths) - place), 1e-3)
                changes = {"neurons": neurons, "max_bytes": None, "max_ops": None}
                one = recipe.model_copy(update={**changes, "time_limit": share})
                trained = train_recipe(one, name=f"{name}_{neurons}", progress=progress)
                points.append(_point(trained, held_out))
                if interrupted():
                    break
        except KeyboardInterrupt:
            if not points:
                raise
    done = len(points) == len(widths)
    points.append(linear_point(rows, held_out))
    metric, _, note = quality(held_out.target, held_out)
    return Front(rows.source, metric, _about(note), tuple(points), done)


def _widths(recipe: Recipe, rows: Dataset) -> list[int]:
    # What a recipe leaves open has the default of training, where training has one.
    asked = {
        field.name: value
        for field in fields(Options)
        if field.name in Recipe.model_fields
        and ((value := getattr(recipe, field.name)) is not None or field.default is MISSING)
    }
    options = Options(**{**asked, "task": rows.task, "relaxation": "low-rank", "jobs": -1})
    quantizer = InputQuantizer.fit(rows.features, rows.feature_names, weights=rows.weights)
    return widths_within(options, quantizer.kept.size, encode(rows)[1].shape[1])


def _point(trained: Trained, held_out: Dataset) -> FrontPoint:
    model, within = trained.model, trained.result.within_size
    weights, rows = trained.train.weights, len(trained.train.features)
    counted = cost(model.network)
    width = model.network.layers[0].width
    total = rows if weights is None else float(weights.sum())
    return FrontPoint(
        label=f"{width} neuron{'' if width == 1 else 's'}",
        neurons=width,
        inputs=model.network.inputs,
        bytes=counted.bytes,
        operations=counted.operations,
        quality=quality(model.predict(held_out.features), held_out)[1],
        train_score=trained.result.train_score,
        loss=None if within is None else within.loss / total,
        model=model,
    )


def _about(note: str) -> str:
    """What a note of `quality` says of every model, without how many rows one got right."""
    return note.partition(" of ")[2] or note
