"""Targets and benchmark definitions: TOML files, checked when they are read.

A target is ``targets/<family>/NAME.toml``, or any file a user names. A family is one module here
that registers a subclass of `Target` with its own tables. Nothing here compiles, runs or measures.
"""

from qdeploy.targets.arm import ArmTarget
from qdeploy.targets.arm_benchmark import ArmBenchmark
from qdeploy.targets.arm_cores import (
    ArmCore,
    ArmExtension,
    Part,
    core_of_parts,
    host_core,
    list_arm_cores,
    load_arm_core,
)
from qdeploy.targets.board import (
    Emulator,
    Flashing,
    FlashRead,
    Pulse,
    Region,
    Step,
    Uart,
    Write,
)
from qdeploy.targets.cores import CompilerCore, Core, Extension, list_cores, load_core
from qdeploy.targets.cpu import Codegen, CpuBenchmark, CpuTarget, processor_name
from qdeploy.targets.loading import list_targets, load_benchmark, load_target, power_of
from qdeploy.targets.mcu import McuTarget
from qdeploy.targets.mcu_benchmark import Battery, McuBenchmark
from qdeploy.targets.power import Band, BoardPower, SleepPower
from qdeploy.targets.tables import BenchmarkDefinition, Power, Target

__all__ = [
    "ArmBenchmark",
    "ArmCore",
    "ArmExtension",
    "ArmTarget",
    "Band",
    "Battery",
    "BenchmarkDefinition",
    "BoardPower",
    "Codegen",
    "CompilerCore",
    "Core",
    "CpuBenchmark",
    "CpuTarget",
    "Emulator",
    "Extension",
    "FlashRead",
    "Flashing",
    "McuBenchmark",
    "McuTarget",
    "Part",
    "Power",
    "Pulse",
    "Region",
    "SleepPower",
    "Step",
    "Target",
    "Uart",
    "Write",
    "core_of_parts",
    "host_core",
    "list_arm_cores",
    "list_cores",
    "list_targets",
    "load_arm_core",
    "load_benchmark",
    "load_core",
    "load_target",
    "power_of",
    "processor_name",
]
