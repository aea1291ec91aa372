"""Quantisation after training, with the readout solved again for the rounded neurons."""

from typing import ClassVar

from qdeploy.comparison.baselines import BASELINES, Baseline, Family, Fitted, Setting
from qdeploy.comparison.float_network import FloatNeurons, float_starts
from qdeploy.comparison.integers import RealNetwork, in_integers
from qdeploy.comparison.searching import solved, within_time
from qdeploy.training.rounding import signs
from qdeploy.training.shared import SharedProblem


class RoundedResolved(Baseline):
    """The start that is best after rounding and solving."""

    name: ClassVar[str] = "rounded-resolved"
    label: ClassVar[str] = "float, rounded, re-solved"
    about: ClassVar[str] = (
        "the same signs with the second layer solved again, the best of several starts"
    )
    family: ClassVar[Family] = "network"
    width_bound: ClassVar[bool] = True

    def fit(self, setting: Setting) -> Fitted:
        """Train in float in the given time, then round the weights and solve the readout."""
        found = within_time(setting, float_starts, _resolved)
        return Fitted.of(in_integers(setting, found.network, "solved", found.ridge))


def _resolved(problem: SharedProblem, neurons: FloatNeurons) -> RealNetwork:
    return solved(problem, signs(neurons.left), signs(neurons.right))


BASELINES.register("rounded-resolved")(RoundedResolved())
