"""Make the models of the zoo anew from their recipes, with their cards.

    python models/update.py            every model
    python models/update.py digits     this one

Writes models/NAME/NAME.onnx and models/NAME/README.md. Figures of the card are those of this run.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from qdeploy.benchmark.wording import certificate_sentences, estimate_sentences, quantity
from qdeploy.cli.figures import byte_count, score_text
from qdeploy.cli.terminal import Terminal
from qdeploy.demo import Outcome, carry_out
from qdeploy.recipes import Recipe, load_recipe, zoo

METRICS = {
    "latency_median": "latency, native, batch 1",
    "latency_python_median": "latency from Python",
    "energy": "energy of one inference",
    "accuracy": "test accuracy",
    "r2": "test R²",
}


def main(names: list[str]) -> None:
    """Train, prove, measure and write the named models, or all of them."""
    known = zoo()
    for name in names or known:
        folder = known[name]
        recipe = load_recipe(folder / "recipe.toml")
        terminal = Terminal(json_output=False, quiet=False)
        with tempfile.TemporaryDirectory() as place, terminal.progress() as progress:
            outcome = carry_out(name, recipe, Path(place), progress=progress)
            notes = folder / "DATA.md"
            card = describe(outcome, recipe, notes.read_text("utf-8") if notes.exists() else "")
            shutil.copyfile(outcome.model, folder / f"{name}.onnx")
        (folder / "README.md").write_text(card, encoding="utf-8")
        print(f"{folder}: done in {outcome.seconds:.0f} s")


def describe(outcome: Outcome, recipe: Recipe, notes: str = "") -> str:
    """The card of a model in Markdown, with notes on its data."""
    name, trained, report = outcome.name, outcome.trained, outcome.benchmark
    certificate, artifact = trained.model.certificate, outcome.artifact
    scores = ", ".join(
        f"{score_text(trained.train.task, value)} on the "
        f"{'training' if rows == 'train' else 'held-out'} rows (measured)"
        for rows, value in trained.scores.items()
    )
    cores = report.machine.get("cores")
    machine = f"{report.machine.get('cpu')}, {cores} cores"
    machine += ", virtual" if report.machine.get("virtualised") else ""
    lines = [
        f"# {name}",
        "",
        f"Trained on `{recipe.data}`: {len(trained.train.features)} rows to train, "
        f"{len(trained.test.features) if trained.test else 0} held out.",
        f"{trained.model.network.layers[0].width} neurons with weights of ±1 on "
        f"{trained.model.network.inputs} inputs, "
        f"{byte_count(outcome.model.stat().st_size)} as ONNX.",
        f"{scores}.",
        "",
        *([notes] if notes else []),
        "## What is proven",
        "",
        *certificate_sentences(certificate),
        *(
            ["That no better network of this many neurons exists is not proven (compact mode)."]
            if trained.result.mode == "compact"
            else []
        ),
        f"Proved again by `qdeploy certify models/{name}/{name}.onnx {recipe.data}`.",
        "",
        "## What it takes",
        "",
        f"Compiled for this machine in the form {artifact.form}: "
        f"{byte_count(artifact.flash_bytes)} of code and weights, "
        f"{byte_count(artifact.ram_bytes)} of working memory (measured).",
        "",
        "| | " + " | ".join(METRICS[metric] for metric in METRICS if report.find(metric)) + " |",
        "|---|" + "---|" * sum(bool(report.find(metric)) for metric in METRICS),
    ]
    for key, title in report.titles.items():
        cells = []
        for metric in METRICS:
            if not report.find(metric):
                continue
            figures = report.find(metric, implementation=key)
            cells.append(
                f"{quantity(figures[0].value, figures[0].unit)} ({figures[0].obtained})"
                if figures
                else ""
            )
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        *(f"{sentence}.\n" for sentence in estimate_sentences(report.results)),
        f"Machine: {machine}.",
        "",
        "## To make it again",
        "",
        "```sh",
        f"python models/update.py {name}",
        "```",
        "",
        f"The training alone, with the options of [recipe.toml](recipe.toml): `{_command(recipe)}`",
    ]
    return "\n".join(lines) + "\n"


def _command(recipe: Recipe) -> str:
    options = recipe.model_dump(exclude_defaults=True, exclude={"data"})
    words = [f"--{key.replace('_', '-')} {value}" for key, value in options.items()]
    return " ".join(["qdeploy train", recipe.data, *words])


if __name__ == "__main__":
    main(sys.argv[1:])
