"""``qdeploy inspect`` and ``qdeploy export``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import RenderableType
from rich.table import Table

from qdeploy.cli.figures import between_bounds, byte_count, percent_gap
from qdeploy.cli.options import Force, Json, ModelFile, ModelOrArtifact, Quiet
from qdeploy.cli.terminal import Terminal, flat, pairs

if TYPE_CHECKING:
    from qdeploy.compiler import Artifact
    from qdeploy.inspection import ModelDescription

__all__ = ["export", "inspect"]

_MOST_LEVELS = 16
"""Layers with more levels are shown by their range; --json has them all."""


def inspect(model: ModelOrArtifact, json_output: Json = False) -> None:
    """Show what a model file holds: layers, weights, cost, certificate, origin.

    Of an artifact folder, what it was compiled for and how large it is, then its model.

    [bold]Example[/bold]:  qdeploy inspect cancer.onnx
    """
    from qdeploy.inference import load_any
    from qdeploy.inspection import describe
    from qdeploy.model import Model

    terminal = Terminal(json_output=json_output, quiet=False)
    subject = load_any(model)
    if isinstance(subject, Model):
        described = describe(subject, model)
        terminal.result(described.to_dict(), pairs(*_facts(described)), "", *_layers(described))
        return
    described = describe(subject.model, subject.model_file)
    manifest = subject.manifest
    compiled = {
        "folder": str(subject.folder),
        "target": subject.target,
        "family": manifest.family,
        "triple": manifest.triple,
        "processor": manifest.processor,
        "form": subject.form,
        "flash_bytes": subject.flash_bytes,
        "ram_bytes": subject.ram_bytes,
        "verified": subject.verified,
        "versions": manifest.versions,
    }
    terminal.result(
        {**described.to_dict(), "artifact": compiled},
        pairs(*_artifact(subject), *_facts(described)),
        "",
        *_layers(described),
    )


def export(
    model: ModelFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")
    ],
    front: Annotated[
        bool,
        typer.Option("--front", metavar="", help="Take raw features, quantised inside the file."),
    ] = False,
    tail: Annotated[
        bool,
        typer.Option("--tail", metavar="", help="Give labels and real scores, not integers alone."),
    ] = False,
    form: Annotated[
        Literal["squares", "pairs"] | None,
        typer.Option(
            help="Neurons as squares of one sum (ternary where they were pairs of ±1) or as "
            "products of two; the scores agree, the certificate is left out."
        ),
    ] = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as ONNX for another runtime, with float ends where wanted.

    [bold]Example[/bold]:  qdeploy export cancer.onnx --front --tail -o complete.onnx
    """
    from qdeploy import onnx
    from qdeploy.conversions import convert
    from qdeploy.files import check_writable

    check_writable(output, overwrite=force)
    loaded = onnx.load(model)
    if form is not None:
        loaded = convert(loaded, form)
    written = onnx.save(loaded, output, front=front, tail=tail, overwrite=force)
    size = written.stat().st_size
    Terminal(json_output=json_output, quiet=quiet).result(
        {"model": str(written), "bytes": size, "front": front, "tail": tail, "form": form},
        f"{written}: {byte_count(size)}",
    )


def _artifact(artifact: "Artifact") -> Iterator[tuple[str, str]]:
    """What was compiled for which target, one fact a line."""
    manifest = artifact.manifest
    yield "artifact", str(artifact.folder)
    yield "target", f"{artifact.target} ({manifest.processor}, {manifest.triple})"
    yield "form", artifact.form
    yield "code and weights", byte_count(artifact.flash_bytes)
    yield "working memory", byte_count(artifact.ram_bytes)
    yield "verified", f"{artifact.verified} samples, equal bits in every implementation"
    yield "made by", ", ".join(f"{tool} {version}" for tool, version in manifest.versions.items())


def _facts(model: "ModelDescription") -> Iterator[tuple[str, str]]:
    """The model as a whole, one fact a line."""
    yield "name", model.name
    outputs = ", ".join(map(str, model.labels))
    yield "task", f"classify: {outputs}" if model.task == "classify" else f"regress: {outputs}"
    taken = f"{model.inputs} int8 values"
    yield "inputs", f"{taken}, of {model.features} features" if model.features else taken
    if model.dropped_features:
        yield "not used", ", ".join(model.dropped_features)
    yield "scores", f"{model.outputs} of {model.score_type}, one unit is {model.scale:.6g}"
    yield "neurons", str(model.neurons)
    if model.file_bytes is not None:
        yield "file", byte_count(model.file_bytes)
    yield "weights", f"{byte_count(model.deployed_bytes)} as deployed"
    for form, count in model.operations.items():
        yield (
            f"as {form.replace('_', ' ')}",
            f"{count.additions} additions, {count.multiply_accumulates} multiply-accumulates",
        )
    proof = model.certificate
    if proof is None:
        yield "certificate", "none: this model came without one"
    else:
        objective, bound = between_bounds(proof.objective, proof.bound)
        yield "certificate", f"objective {objective}, bound {bound} ({proof.samples} rows)"
        yield "gap", f"{percent_gap(proof.gap)} claimed by {proof.method}; prove: qdeploy certify"
        if proof.activation is not None:
            yield "activation", proof.activation
        yield "loss", f"{proof.loss}, beta {proof.beta:.6g}, data {proof.data_digest[:16]}…"
    for key, values in model.provenance.items():
        told = flat(values) if isinstance(values, Mapping) else [("", str(values))]
        yield f"from {key}", ", ".join(f"{name} {value}".strip() for name, value in told)


def _layers(model: "ModelDescription") -> Iterator[RenderableType]:
    """The layers as a table, then how often each weight level occurs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("layer", "kind", "inputs", "width", "weights", "bits", "bytes"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    table.add_column("accumulators", overflow="fold")
    for number, layer in enumerate(model.layers, start=1):
        numbers = (layer.inputs, layer.width, layer.weights, layer.bits)
        table.add_row(
            str(number),
            layer.kind,
            *map(str, numbers),
            str(layer.weight_bytes + layer.bias_bytes),
            ", ".join(f"{stage} {width}" for stage, width in layer.accumulators.items()),
        )
    yield table
    yield ""
    for number, layer in enumerate(model.layers, start=1):
        levels = layer.levels
        if levels is None or len(levels) > _MOST_LEVELS:
            count = "over 256" if levels is None else len(levels)
            yield (f"layer {number}: {count} levels from {layer.smallest} to {layer.largest}")
        else:
            shown = ", ".join(f"{count} of {value:+d}" for value, count in levels.items())
            yield f"layer {number}: {shown}"
