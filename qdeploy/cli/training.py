"""``qdeploy train``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from qdeploy.activation import activation_text
from qdeploy.cli.figures import (
    at_most,
    between_bounds,
    byte_count,
    percent_gap,
    score_text,
)
from qdeploy.cli.interruption import termination_interrupts
from qdeploy.cli.options import (
    Cluster,
    DataSource,
    Force,
    Json,
    LabelColumn,
    LossName,
    MaxBytes,
    MaxOps,
    Quiet,
    ScalingChoice,
    Seed,
    TaskChoice,
    TestData,
    checked,
)
from qdeploy.cli.terminal import Terminal, pairs
from qdeploy.ranges import (
    BETA,
    GAP,
    INPUTS,
    NEURONS,
    READOUT_BITS,
    RIDGE,
    TEST_SIZE,
    TIME_LIMIT,
    auto_or,
)

if TYPE_CHECKING:
    from qdeploy.inspection import Cost
    from qdeploy.recipes import Trained

__all__ = ["train"]


def train(
    data: DataSource,
    label: LabelColumn = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The model to write.")
    ] = Path("model.onnx"),
    test_size: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            parser=checked(TEST_SIZE),
            help="Share of the rows held out for the test; 0 for none.",
        ),
    ] = 0.25,
    test_data: TestData = None,
    seed: Seed = 0,
    task: TaskChoice = None,
    loss: LossName = "squared",
    mode: Annotated[
        Literal["certified", "compact"] | None,
        typer.Option(
            help="certified: any width, and a proof of how close it is to the best; compact: the "
            "best that is found within a budget. Compact when there is one: --neurons, "
            "--max-bytes, --max-ops."
        ),
    ] = None,
    beta: Annotated[
        str,
        typer.Option(
            metavar="auto|VALUE",
            parser=checked(partial(auto_or, BETA)),
            help="Strength of the penalty; auto chooses it by cross-validation "
            "(compact: where the proof says most; it does not touch the network).",
        ),
    ] = "auto",
    neurons: Annotated[
        int | None,
        typer.Option(
            metavar="MAX",
            parser=checked(NEURONS),
            help="At most so many neurons, shared by all outputs.",
        ),
    ] = None,
    inputs: Annotated[
        int | None,
        typer.Option(
            metavar="MAX",
            parser=checked(INPUTS),
            help="At most so many inputs, the most useful ones (compact mode).",
        ),
    ] = None,
    max_bytes: MaxBytes = None,
    max_ops: MaxOps = None,
    ridge: Annotated[
        str | None,
        typer.Option(
            metavar="auto|NUMBER",
            parser=checked(partial(auto_or, RIDGE)),
            help="Ridge of the readout, a share of the size of neuron outputs (compact mode): "
            "0.001 for the closest fit; auto, if not given, for what predicts held-out rows best.",
        ),
    ] = None,
    gap: Annotated[
        float | None,
        typer.Option(
            metavar="TARGET",
            parser=checked(GAP),
            help="Stop once so small a gap is proven; beyond 32 inputs branch and bound works "
            "towards it (certified mode).",
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", parser=checked(TIME_LIMIT), help="Stop training after so long."
        ),
    ] = None,
    scaling: ScalingChoice = "auto",
    outputs: Annotated[
        Literal["separate", "shared"] | None,
        typer.Option(
            help="separate: each class against the rest, by itself; shared: neurons that all "
            "outputs read, at one price (certified mode). Separate when not given."
        ),
    ] = None,
    input_shifts: Annotated[
        Literal["none", "learned"] | None,
        typer.Option(
            help="learned: weigh each input by a power of two where held-out rows gain by it "
            "(certified mode; the compact mode learns scales anyway). None when not given."
        ),
    ] = None,
    readout_bits: Annotated[
        str,
        typer.Option(
            metavar="auto|BITS",
            parser=checked(partial(auto_or, READOUT_BITS)),
            help="Width of the integer readout weights, 2 to 16; auto for the narrowest of 4, 6, "
            "8 and 16 that costs at most 0.1 % of the objective.",
        ),
    ] = "8",
    activation: Annotated[
        str,
        typer.Option(
            metavar="bilinear|square|A,B,C",
            parser=checked(activation_text),
            help="Neurons: products of two sums, or A t*t + B t + C of one sum t (certified mode).",
        ),
    ] = "bilinear",
    weights: Annotated[
        Literal["binary", "ternary", "2-bit", "3-bit", "4-bit"],
        typer.Option(
            help="Weights of the neurons: +1 and -1, those and 0, or the odd numbers of so many "
            "bits (all but the first in certified mode)."
        ),
    ] = "binary",
    penalty: Annotated[
        Literal["count", "size"],
        typer.Option(
            help="What a neuron's |alpha| is multiplied with: count, the largest weight squared, "
            "or size, the lengths of its two weight vectors."
        ),
    ] = "count",
    sample_weight: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column of row weights; a row of weight 2 counts as two."
        ),
    ] = None,
    class_weight: Annotated[
        str | None,
        typer.Option(
            metavar="balanced|FILE",
            help='balanced gives every class the same weight; a JSON file says, {"yes": 2}.',
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep finished steps here; the same command goes on after a kill (certified "
            "mode). Removed once the model is written.",
        ),
    ] = None,
    cluster: Cluster = None,
    force: Force = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network and prove how close it is to the best there is.

    Prints the scores, the objective with its proven lower bound, and what would do better.

    Within --neurons, --max-bytes or --max-ops it searches for the best network instead, for small
    devices; held-out rows choose neurons and inputs of so many bytes or operations.

    [bold]Example[/bold]:  qdeploy train sklearn:breast_cancer -o cancer.onnx
    """
    from qdeploy.data import guess_task
    from qdeploy.files import check_writable
    from qdeploy.inspection import cost
    from qdeploy.recipes import Recipe, c_name, read_class_weight, train_recipe

    terminal = Terminal(json_output=json_output, quiet=quiet)
    check_writable(output, overwrite=force)
    recipe = Recipe.model_validate(
        {
            "data": data,
            "label": label,
            "test_data": test_data,
            "test_size": test_size,
            "seed": seed,
            "task": task,
            "loss": loss,
            "mode": mode,
            "beta": beta,
            "neurons": neurons,
            "inputs": inputs,
            "max_bytes": max_bytes,
            "max_ops": max_ops,
            "ridge": ridge,
            "gap": gap,
            "time_limit": time_limit,
            "scaling": scaling,
            "outputs": outputs,
            "input_shifts": input_shifts,
            "readout_bits": readout_bits,
            "activation": activation,
            "weights": weights,
            "penalty": penalty,
            "sample_weight": sample_weight,
            "class_weight": None if class_weight is None else read_class_weight(class_weight),
        }
    )
    with terminal.progress() as progress, termination_interrupts():
        trained = train_recipe(
            recipe,
            name=c_name(output.stem),
            checkpoint=checkpoint,
            cluster=cluster,
            progress=progress,
        )
    trained.result.save(output, overwrite=force)

    reason = "as asked" if task else guess_task(trained.train.target)[1]
    certificate = trained.result.certificate
    counted = cost(trained.model.network)
    within = trained.result.within_size
    values = {
        "model": str(output),
        "task": trained.train.task,
        "task_reason": reason,
        "mode": trained.result.mode,
        "loss": certificate.loss,
        "beta": certificate.beta,
        "objective": certificate.objective,
        "bound": certificate.bound,
        "gap": certificate.gap,
        "method": certificate.method,
        "within_size": None
        if within is None
        else {"loss": within.loss, "bound": within.bound, "gap": within.gap},
        "activation": None
        if certificate.activation is None
        else certificate.activation.formula(certificate.input_step),
        "neurons": trained.model.network.layers[0].width,
        "inputs": trained.model.network.inputs,
        "train_score": trained.result.train_score,
        "test_score": trained.test_score,
        "bytes": output.stat().st_size,
        "deployed_bytes": counted.bytes,
        "operations": counted.operations,
        "seconds": trained.result.seconds,
        "readout_widths": [
            {"bits": width.bits, "increase": width.increase, "chosen": width.chosen}
            for width in trained.result.readout_widths
        ],
        "advice": trained.result.advice,
    }
    terminal.result(values, _summary(trained, counted, reason, output))


def _summary(trained: "Trained", counted: "Cost", reason: str, output: Path) -> Table:
    """The result of training as a table of two columns."""
    result, certificate = trained.result, trained.result.certificate
    objective, bound = between_bounds(certificate.objective, certificate.bound)
    task = trained.train.task
    kind = "accuracy" if task == "classify" else "score"
    held_out = f", {len(trained.test.features)} to test" if trained.test is not None else ""
    rows = [
        ("task", f"{task} ({reason})"),
        ("data", f"{trained.train.source}: {len(trained.train.features)} rows to train{held_out}"),
    ]
    rows += [(f"{part} {kind}", score_text(task, score)) for part, score in trained.scores.items()]
    rows += [
        ("objective", f"{objective} ({certificate.loss} loss, beta {certificate.beta:.4g})"),
        ("proven bound", f"{bound}: no network of this kind, of any width, is below"),
        ("gap", f"{percent_gap(certificate.gap)}, proven by {certificate.method}"),
    ]
    if certificate.activation is not None:
        rows += [("activation", certificate.activation.formula(certificate.input_step))]
    network = trained.model.network
    width = str(network.layers[0].width)
    if (within := result.within_size) is not None:
        loss, least = between_bounds(within.loss, within.bound)
        proof = f"{loss}, proven bound {least}: no network with no larger sum of |alpha| is below"
        rows += [("loss alone", f"{proof} (gap {percent_gap(within.gap)})")]
    if result.mode == "compact":
        rows += [("not proven", "that no better network of this many neurons exists")]
        width += f", shared by {network.outputs} outputs" if network.outputs > 1 else ""
        width += f", on {network.inputs} inputs"
    rows += [
        ("neurons", width),
        (
            "cost",
            f"{byte_count(counted.bytes)} of weights and biases, {counted.operations} "
            f"operations as {counted.form.replace('_', ' ')}",
        ),
        ("model", f"{output}, {byte_count(output.stat().st_size)}"),
        ("time", f"{at_most(result.seconds)} s"),
    ]
    if result.readout_widths:
        costs = [f"{percent_gap(w.increase)} at {w.bits}" for w in result.readout_widths]
        bits = next(width.bits for width in result.readout_widths if width.chosen)
        rows += [("readout", f"{bits} bits; the objective rises by {', '.join(costs)} bits")]
    rows += [("to do better", sentence) for sentence in result.advice]
    return pairs(*rows)
