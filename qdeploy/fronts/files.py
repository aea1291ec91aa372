"""A front as files: a table, the same with all figures as JSON, two drawings, and its models."""

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

from qdeploy import onnx
from qdeploy.benchmark.charts import Spot, scatter
from qdeploy.benchmark.timing import Estimate
from qdeploy.comparison.charts import standing_alone
from qdeploy.files import write_text
from qdeploy.fronts.points import Front, not_dominated

__all__ = ["front_table", "write_front"]


def front_table(front: Front) -> list[dict[str, Any]]:
    """One row a point, by the headings of the table."""
    return [
        {
            "model": point.label,
            "neurons": point.neurons,
            "inputs": point.inputs,
            "bytes": point.bytes,
            "operations": point.operations,
            front.metric: point.quality.value,
            "low": point.quality.low,
            "high": point.quality.high,
            "train_score": point.train_score,
            "train_loss": point.loss,
            "on_front": on_front,
            "file": file if on_front else None,
        }
        for point, file, on_front in zip(
            front.points, _files(front), not_dominated(front.points), strict=True
        )
    ]


def write_front(front: Front, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Write table, JSON, drawings and the models that no other point makes pointless.

    Args:
        front: the front.
        folder: made when missing.
        overwrite: whether its files may be replaced.

    Returns:
        The files.

    Raises:
        QDeployError: a file exists and `overwrite` is False, or cannot be written.
    """
    rows = front_table(front)
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    whole = {
        "data": front.data,
        "metric": front.metric,
        "note": front.note,
        "complete": front.complete,
        "points": rows,
    }
    texts = {
        "front.csv": table.getvalue(),
        "front.json": json.dumps(whole, indent=2, ensure_ascii=False) + "\n",
        "front-bytes.svg": _chart(front, "bytes", "bytes of weights and biases as deployed"),
        "front-operations.svg": _chart(front, "operations", "operations of one inference"),
    }
    written = [write_text(folder / name, text, overwrite=overwrite) for name, text in texts.items()]
    for point, row in zip(front.points, rows, strict=True):
        if row["file"] is not None and point.model is not None:
            written.append(onnx.save(point.model, folder / row["file"], overwrite=overwrite))
    return written


def _files(front: Front) -> list[str | None]:
    """Names by width; a search that leaves neurons silent ends at a width that is there already."""
    met: Counter[int | None] = Counter()
    names: list[str | None] = []
    for point in front.points:
        met[point.neurons] += 1
        number = "" if met[point.neurons] == 1 else f"-{met[point.neurons]}"
        names.append(None if point.model is None else f"{point.neurons}-neurons{number}.onnx")
    return names


def _chart(front: Front, cost: str, label: str) -> str:
    """Quality against one cost; large points are those that no other makes pointless."""
    kept = not_dominated(front.points)
    spots = []
    for point, on_front in zip(front.points, kept, strict=True):
        size = float(getattr(point, cost))
        series = "linear" if point.model is None else "dominated"
        own = on_front and point.model is not None
        spots.append(Spot(point.label, Estimate(size, size, size), point.quality, series, own))
    name, unit = ("accuracy", "fraction") if front.metric == "accuracy" else ("R²", "1")
    title = f"{front.data}: {name} on held-out rows against {cost}"
    units = ("B" if cost == "bytes" else "instructions", unit)
    drawing = scatter(spots, units, (label, f"{name} on held-out rows"), title=title, wide=True)
    return standing_alone(drawing)
