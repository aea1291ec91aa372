"""What the report of every family is made of: a model with its figures, cards, drawings, tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qdeploy.benchmark import wording
from qdeploy.benchmark.charts import Bar, TrainingPoint, dots, training_curve
from qdeploy.benchmark.figures import METRICS, Figure, Obtained
from qdeploy.benchmark.results import BenchmarkReport
from qdeploy.benchmark.suites import OWN
from qdeploy.model import Model

if TYPE_CHECKING:
    from markupsafe import Markup

    from qdeploy.compiler import Artifact

__all__ = [
    "Card",
    "Cell",
    "Chart",
    "CompileSummary",
    "Presentation",
    "ReportSection",
    "Table",
    "bars_of",
    "card",
    "drawn",
    "interval",
    "proof_cards",
    "quality_cards",
    "quality_chart",
    "training_charts",
]


@dataclass(frozen=True)
class CompileSummary:
    """What compilation gave.

    Attributes:
        form: kernel form of the single-sample function.
        verified: inputs on which every implementation gave the same bits.
        flash_bytes: code and constants.
        ram_bytes: scratch.
    """

    form: str
    verified: int
    flash_bytes: int
    ram_bytes: int

    @classmethod
    def of(cls, artifact: "Artifact") -> "CompileSummary":
        """The summary of an artifact."""
        return cls(artifact.form, artifact.verified, artifact.flash_bytes, artifact.ram_bytes)


@dataclass(frozen=True, eq=False)
class ReportSection:
    """One model of the report.

    Attributes:
        model: the trained model.
        title: its heading.
        history: training over time; may be empty for a model that was loaded.
        scores: accuracy or R² on the rows named "train" and "test".
        benchmark: outcome of `bench`.
        compiled: outcome of compilation.
    """

    model: Model
    title: str
    history: Sequence[TrainingPoint]
    scores: Mapping[str, float]
    benchmark: BenchmarkReport
    compiled: CompileSummary


@dataclass(frozen=True)
class Card:
    """A headline figure."""

    label: str
    value: str
    tag: str
    remark: str


@dataclass(frozen=True)
class Chart:
    """A drawing with its words.

    Attributes:
        heading: above it.
        svg: the drawing, as wide as a telephone.
        caption: below it.
        wide: the same for a wide screen, which gives it the whole width; None where drawings stand
            side by side.
    """

    heading: str
    svg: "Markup"
    caption: str
    wide: "Markup | None" = None


@dataclass(frozen=True)
class Cell:
    """One figure of a table.

    Attributes:
        value: the figure.
        interval: its band, below it, or empty.
        remark: a ratio or the like, or empty.
        best: whether no other is better.
    """

    value: str
    interval: str = ""
    remark: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Implementations down, figures across.

    Attributes:
        heading: above it.
        columns: name, and how its figures were obtained.
        rows: name, title, whether it is qdeploy's, and a cell or None for each column.
        caption: below it.
    """

    heading: str
    columns: Sequence[tuple[str, tuple[Obtained, ...]]]
    rows: Sequence[tuple[str, str, bool, Sequence[Cell | None]]]
    caption: str


@dataclass(frozen=True)
class Presentation:
    """How one benchmark is shown.

    Attributes:
        where: how and on what the figures were obtained, in a few words.
        cards: headline figures.
        charts: drawings, side by side where they have no wide one.
        tables: at the full width.
        reading: sentences on how to read figures of this family.
    """

    where: str
    cards: Sequence[Card]
    charts: Sequence[Chart]
    tables: Sequence[Table] = ()
    reading: Sequence[str] = ()


def drawn(heading: str, svg: str, caption: str, wide: str | None = None) -> Chart:
    """A chart of drawings that `qdeploy.benchmark.charts` made."""
    from markupsafe import Markup

    return Chart(heading, Markup(svg), caption, None if wide is None else Markup(wide))


def quality_cards(section: ReportSection) -> list[Card]:
    """Accuracy or R² on the test rows."""
    report = section.benchmark
    return [
        card(label, figure)
        for metric, label in (("accuracy", "test accuracy"), ("r2", "test R²"))
        for figure in report.find(metric, implementation=OWN)
    ]


def proof_cards(section: ReportSection) -> list[Card]:
    """What the certificate says."""
    certificate = section.model.certificate
    if certificate is None:
        return []
    remark = f"to the best network of any width, by {certificate.method}"
    return [Card("gap at most", wording.percent_up(certificate.gap), "proven", remark)]


def training_charts(section: ReportSection) -> list[Chart]:
    """Objective and bound over time, for a model that was just trained."""
    if not section.history:
        return []
    title = f"{section.model.name} ({section.benchmark.target}): objective and bound over time"
    return [
        drawn(
            "Training against its proof",
            training_curve(section.history, title=title),
            "The best network so far and the best proven lower bound; no network of this kind lies "
            "below the bound, so the shaded gap is all that is left to gain.",
        )
    ]


def quality_chart(section: ReportSection, caption: str) -> list[Chart]:
    """How good the implementations are."""
    report = section.benchmark
    quality = [*report.find("accuracy"), *report.find("r2")]
    if not quality:
        return []
    title = f"{section.model.name} ({report.target}): quality on test rows"
    heading = METRICS[quality[0].metric].meaning.capitalize()
    drawing = dots(bars_of(report, quality), quality[0].unit, title=title)
    return [drawn(heading, drawing, caption)]


def card(label: str, figure: Figure, remark: str = "") -> Card:
    """A figure as a card."""
    value = wording.quantity(figure.value, figure.unit)
    return Card(label, value, figure.obtained, remark + interval(figure))


def interval(figure: Figure) -> str:
    """Both ends; empty where there is no interval."""
    if figure.low is None or figure.high is None:
        return ""
    return wording.span(figure.low, figure.high, figure.unit)


def bars_of(report: BenchmarkReport, figures: Sequence[Figure]) -> list[Bar]:
    """A bar for each figure, under the title of its implementation."""
    return [
        Bar(
            report.titles[figure.implementation],
            figure.value,
            figure.low,
            figure.high,
            figure.obtained,
            figure.implementation == OWN,
        )
        for figure in figures
    ]
