"""Family ``arm``: 64-bit ARM machines with Linux, from boards to servers, this one among them.

A file states the core, its clock, and what power the machine draws when it is idle and when it is
busy; what a program runs on there is Linux with any C library.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from qdeploy.targets.arm_benchmark import ArmBenchmark
from qdeploy.targets.arm_cores import ArmCore, host_core, list_arm_cores, load_arm_core
from qdeploy.targets.arm_facts import facts
from qdeploy.targets.tables import FAMILIES, BenchmarkDefinition, Name, Power, Target
from qdeploy.wording import did_you_mean

__all__ = ["NATIVE", "ArmTarget"]

NATIVE = "native"
"""Stands for the core of the machine that qdeploy runs on."""

_POWER = "a table with low, typical, high, kind and source"


@FAMILIES.register("arm")
class ArmTarget(Target):
    """A 64-bit ARM machine with Linux.

    Attributes:
        core: name of its cores (`load_arm_core`), or "native" for those of this machine.
        clock_megahertz: highest clock of a core; None only where the core is native.
        processors: cores of the machine; None only where the core is native.
        idle_power: of the whole board while nothing runs on it.
        loaded_power: of the whole board with all cores busy.
        busy_power: with one core busy, where it is stated as such; on a server, where a program is
            one of many, the share of that core.
        notes: what a user must know of the figures, such as why one is not there.
    """

    power_table: ClassVar[str] = "loaded_power"
    definition: ClassVar[type[BenchmarkDefinition]] = ArmBenchmark

    family: Literal["arm"] = Field(description='"arm"')
    core: Name = Field(description="the name of an ARM core")
    processors: Annotated[int, Field(gt=0)] | None = Field(
        default=None, description="a positive number of cores"
    )
    idle_power: Power | None = Field(default=None, description=_POWER)
    loaded_power: Power | None = Field(default=None, description=_POWER)
    busy_power: Power | None = Field(default=None, description=_POWER)
    notes: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="a list of sentences"
    )

    @property
    def compiled_core(self) -> ArmCore:
        """The core to compile for.

        Raises:
            QDeployError: it is this machine's, which is not a 64-bit ARM with Linux.
        """
        return host_core() if self.core == NATIVE else load_arm_core(self.core)

    @property
    def stated_power(self) -> Power | None:
        """Power of the board with one busy core: idle, and a core's share of what load adds.

        The band goes from the idle board to the fully loaded one. Where `busy_power` is stated, it
        is that.
        """
        idle, loaded, cores = self.idle_power, self.loaded_power, self.processors
        if idle is None or loaded is None or cores is None:
            return self.busy_power
        return Power(
            low=idle.low,
            typical=idle.typical + (loaded.typical - idle.typical) / cores,
            high=loaded.high,
            kind="bound",
            source=f"the idle board and a share of one core in {cores} of what full load adds; the "
            f"band ends at the idle and the fully loaded board; idle: {idle.source}; loaded: "
            f"{loaded.source}",
        )

    def facts(self) -> list[tuple[str, str]]:
        """The machine, its core and its figures in words."""
        return facts(self)

    def details(self) -> dict[str, Any]:
        """The file, with its core's file and the power of one busy core in watts."""
        power = self.stated_power
        core = None if self.core == NATIVE else self.compiled_core.model_dump(mode="json")
        return super().details() | {
            "core_details": core,
            "watts": {"busy": power and power.model_dump()},
        }

    @model_validator(mode="after")
    def _plausible(self) -> "ArmTarget":
        known = (*list_arm_cores(), NATIVE)
        if self.core not in known:
            told = did_you_mean(self.core, known) or f"; known are {', '.join(known)}"
            raise ValueError(f"there is no ARM core {self.core!r}{told}")
        if self.core != NATIVE and None in (self.clock_megahertz, self.processors):
            raise ValueError("clock_megahertz and processors must be there unless core is native")
        if (self.idle_power is None) != (self.loaded_power is None):
            raise ValueError("idle_power and loaded_power must be there together, or neither")
        if self.idle_power is not None and self.loaded_power is not None:
            if self.busy_power is not None:
                raise ValueError("busy_power must not be there beside idle_power and loaded_power")
            if self.processors is None:
                raise ValueError("idle_power and loaded_power need processors")
            if self.idle_power.typical > self.loaded_power.typical:
                raise ValueError("idle_power must not be above loaded_power")
        return self
