"""The outcome of one benchmark run, as it is stored and read back."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qdeploy.benchmark.comparison import Comparison
from qdeploy.benchmark.figures import Figure
from qdeploy.errors import QDeployError
from qdeploy.files import write_text

__all__ = ["BenchmarkReport"]


class BenchmarkReport(BaseModel):
    """Figures with where, when and with what they were obtained.

    Attributes:
        family: of the target; files that do not say so are of this machine.
        model: name of the model.
        target: name of the target.
        started: ISO 8601, UTC.
        finished: ISO 8601, UTC.
        results: the figures.
        comparisons: ratios of figures to qdeploy's own.
        titles: a few words for each implementation.
        skipped: implementations that did not take part, and why.
        missing: figures that are not there, and why.
        machine: description of the machine, by keyword.
        versions: of qdeploy, Python and the libraries that were timed.
        notes: what applies to all figures.
        warnings: what may have disturbed figures from a clock or a meter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str = "cpu"
    model: str
    target: str
    started: str
    finished: str
    results: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...]
    titles: Mapping[str, str]
    skipped: Mapping[str, str]
    missing: Mapping[str, str] = {}
    machine: Mapping[str, str | int | float | bool | None]
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def find(
        self, metric: str, *, implementation: str | None = None, batch: int | None = None
    ) -> tuple[Figure, ...]:
        """Figures of one metric, in order; of one implementation or batch size where given."""
        return tuple(
            figure
            for figure in self.results
            if figure.metric == metric
            and implementation in (None, figure.implementation)
            and batch in (None, figure.batch)
        )

    def compare(
        self, metric: str = "latency_median", batch: int | None = 1
    ) -> tuple[Comparison, ...]:
        """Ratios of one metric at one batch size: how many times more the others take."""
        return tuple(c for c in self.comparisons if (c.metric, c.batch) == (metric, batch))

    def to_json(self) -> str:
        """One JSON object; `load` reads it back."""
        return self.model_dump_json(indent=2)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the JSON in one step.

        Raises:
            QDeployError: the file exists and `overwrite` is False.
        """
        return write_text(Path(path), self.to_json() + "\n", overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "BenchmarkReport":
        """Read what `save` wrote.

        Raises:
            QDeployError: the file cannot be read or is not a benchmark report.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise QDeployError(
                f"{path} cannot be read ({error.strerror}); give the file that bench wrote"
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise QDeployError(
                f"{path} is not a benchmark report ({place}: {first['msg']}); "
                "give the file that bench wrote"
            ) from error
