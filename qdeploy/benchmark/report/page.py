"""Sections to one HTML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdeploy.benchmark import wording
from qdeploy.benchmark.figures import METRICS
from qdeploy.benchmark.report.parts import ReportSection, interval
from qdeploy.benchmark.suites import SUITES
from qdeploy.files import check_writable, write_text
from qdeploy.model import Classes

__all__ = ["write_report"]


def write_report(
    path: str | Path,
    sections: Sequence[ReportSection],
    *,
    title: str = "qdeploy report",
    overwrite: bool = False,
) -> Path:
    """Write the report.

    Args:
        path: the HTML file.
        sections: at least one model.
        title: heading of the page.
        overwrite: whether the file may exist.

    Returns:
        The path.

    Raises:
        QDeployError: the file exists and `overwrite` is False, or it cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    path = Path(path)
    check_writable(path, overwrite=overwrite)
    environment = Environment(
        loader=PackageLoader("qdeploy.benchmark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = interval
    views = [_view(section) for section in sections]
    # Sections of one family read alike: what they have in common is said once.
    reading = dict.fromkeys(line for view in views for line in view["shown"].reading)
    page = environment.get_template("page.html").render(
        title=title,
        sections=views,
        first=sections[0].benchmark,
        places=list(dict.fromkeys(view["shown"].where for view in views)),
        reading=list(reading),
        metrics=METRICS,
        quantity=wording.quantity,
    )
    return write_text(path, page, overwrite=overwrite)


def _view(section: ReportSection) -> dict[str, Any]:
    model, report = section.model, section.benchmark
    head = model.head
    kind = f"{len(head.labels)} classes" if isinstance(head, Classes) else "regression"
    network = model.network
    width = max(layer.width for layer in network.layers[:-1]) if len(network.layers) > 1 else 0
    return {
        "section": section,
        "name": model.name,
        "facts": f"{network.inputs} int8 inputs, {width} neurons, {kind}",
        "proof": wording.certificate_sentences(model.certificate),
        "shown": SUITES[report.family].present(section),
        "report": report,
        "scores": {
            rows: wording.quantity(value, "fraction" if isinstance(head, Classes) else "1")
            for rows, value in section.scores.items()
        },
    }
