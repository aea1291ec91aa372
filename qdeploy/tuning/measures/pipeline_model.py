"""No board: the emulator's exact counts, and the pipeline model of the core."""

from collections.abc import Sequence

from qdeploy.benchmark.timing import Estimate
from qdeploy.compiler.plan import Candidate
from qdeploy.tuning.measures import MEASURES, Measure, Subject, Weighing

__all__ = ["PipelineModelMeasure"]


class _ModelWeighing(Weighing):
    def __init__(self, subject: Subject, found: Sequence[Candidate]) -> None:
        assert subject.setting.evaluate is not None, "only such targets suit"
        self.where = f"pipeline model of {subject.setting.processor.cpu}"
        weighed = {
            id(candidate): choice.cycles for choice, candidate in subject.setting.evaluate(found)
        }
        # Candidates far behind are not counted; they cannot win.
        worst = max(weighed.values())
        self._cycles = [weighed.get(id(candidate), worst) for candidate in found]

    def costs(self) -> list[Estimate]:
        return [Estimate(cycles, cycles, cycles) for cycles in self._cycles]

    def ratio(self, first: int, second: int) -> Estimate:
        value = self._cycles[first] / self._cycles[second]
        return Estimate(value, value, value)


class PipelineModelMeasure(Measure):
    """Counts instead of timing; the same on every machine."""

    name = "pipeline-model"
    obtained = "estimated"
    unit = "cycles"

    def suits(self, subject: Subject) -> bool:
        """Where no board is named and the family weighs by a model of its own."""
        return subject.access.empty and subject.setting.evaluate is not None

    def open(self, subject: Subject, found: Sequence[Candidate]) -> Weighing:
        """Count all candidates."""
        return _ModelWeighing(subject, found)


MEASURES.register(PipelineModelMeasure.name)(PipelineModelMeasure())
