"""How each architecture is called in unicorn: its model, its registers, what unicorn lacks of it.

unicorn's own models of the Cortex-M cores refuse what the cores lack. Its mode for M-profile cores
must not be combined with them, and the address that ends a call must lie below the
exception-return addresses of that profile.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from qdeploy.emulation.added import decode_added
from qdeploy.emulation.libraries import library
from qdeploy.emulation.matrices import decode_matrix
from qdeploy.errors import QDeployError
from qdeploy.targets.cores import CompilerCore

__all__ = ["Processor", "Registers", "processor"]

_ARM_MODELS = {
    "cortex-m0plus": "CORTEX_M0",
    "cortex-m3": "CORTEX_M3",
    "cortex-m4": "CORTEX_M4",
    "cortex-m7": "CORTEX_M7",
    "cortex-m33": "CORTEX_M33",
    # unicorn has no core of Armv8.1-M; this one lacks only what that version added.
    "cortex-m55": "CORTEX_M33",
}

_IT_BITS = 0x0600FC00
"""Bits of the status register that hold the condition of the IT block that is running."""

_VECTORS_ALLOWED = 3 << 20
"""Field of CPACR_EL1 by which vector registers do not trap."""

_UNDEFINED = 1
"""QEMU's number of the exception for an instruction that an AArch64 model does not have."""


@dataclass(frozen=True)
class Registers:
    """unicorn's numbers of the registers of a calling convention."""

    arguments: tuple[int, ...]
    stack: int
    link: int
    counter: int


class Processor(Protocol):
    """One core in unicorn.

    Attributes:
        uc: unicorn's engine.
        registers: of its calls.
        bits: of an integer register.
        entry: what addresses of code have in their lowest bit.
        adds: whether it has instructions that unicorn lacks and `added` carries out.
        undefined: number of the exception by which unicorn tells of such instructions; None where
            it tells of them in another way.
    """

    uc: Any
    registers: Registers
    bits: int
    entry: int
    adds: bool
    undefined: int | None

    def added(self, counter: int) -> int | None:
        """Carry out an instruction that unicorn lacks; where to go on, None if nobody knows it."""
        ...

    def after_hook(self) -> None:
        """Repair what a hook on an access left in the state."""
        ...


class _ArmM:
    """Microcontrollers of Arm."""

    bits = 32
    entry = 1
    undefined: int | None = None

    def __init__(self, core: CompilerCore) -> None:
        model = _ARM_MODELS.get(core.name)
        if model is None:
            raise QDeployError(
                f"the emulator has no model of the core {core.name}; it has "
                f"{', '.join(_ARM_MODELS)}"
            )
        unicorn = library("unicorn")
        arm = unicorn.arm_const
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{model}"))
        self.adds = core.triple.startswith("thumbv8.1m")
        first = arm.UC_ARM_REG_R0
        self.registers = Registers(
            tuple(range(first, first + 4)),
            arm.UC_ARM_REG_SP,
            arm.UC_ARM_REG_LR,
            arm.UC_ARM_REG_PC,
        )
        self._numbers = (*range(first, first + 13), arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR)
        self._status = arm.UC_ARM_REG_CPSR

    def added(self, counter: int) -> int | None:
        found = decode_added(bytes(self.uc.mem_read(counter, 4)))
        return None if found is None else counter + 4 + found.execute(self) | 1

    def after_hook(self) -> None:
        """Clear the condition of an IT block: it would fall on instructions of the next block."""
        status = self.uc.reg_read(self._status)
        if status & _IT_BITS:
            self.uc.reg_write(self._status, status & ~_IT_BITS)

    def read(self, number: int) -> int:
        """A register by its number in instructions."""
        return int(self.uc.reg_read(self._numbers[number]))

    def write(self, number: int, value: int) -> None:
        """Set a register."""
        self.uc.reg_write(self._numbers[number], value & 0xFFFFFFFF)

    def flags(self) -> int:
        """The status register."""
        return int(self.uc.reg_read(self._status))


class _RiscV:
    """RISC-V of 32 bits."""

    bits = 32
    entry = 0
    adds = False
    undefined: int | None = None

    def __init__(self, core: CompilerCore) -> None:
        del core  # unicorn has one model
        unicorn = library("unicorn")
        riscv = unicorn.riscv_const
        self.uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        first = riscv.UC_RISCV_REG_A0
        self.registers = Registers(
            tuple(range(first, first + 8)),
            riscv.UC_RISCV_REG_SP,
            riscv.UC_RISCV_REG_RA,
            riscv.UC_RISCV_REG_PC,
        )

    def added(self, counter: int) -> int | None:
        return None

    def after_hook(self) -> None:
        pass


class _Aarch64:
    """64-bit Arm. The plain model refuses dot products, the other lacks only i8mm's products."""

    bits = 64
    entry = 0
    undefined: int | None = _UNDEFINED

    def __init__(self, core: CompilerCore) -> None:
        unicorn = library("unicorn")
        arm = unicorn.arm64_const
        extensions = getattr(core, "extensions", ())
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(
            arm.UC_CPU_ARM64_MAX if "dotprod" in extensions else arm.UC_CPU_ARM64_A72
        )
        control = arm.UC_ARM64_REG_CPACR_EL1
        self.uc.reg_write(control, self.uc.reg_read(control) | _VECTORS_ALLOWED)
        self.adds = "i8mm" in extensions
        first = arm.UC_ARM64_REG_X0
        self.registers = Registers(
            tuple(range(first, first + 8)),
            arm.UC_ARM64_REG_SP,
            arm.UC_ARM64_REG_LR,
            arm.UC_ARM64_REG_PC,
        )
        self._vectors = arm.UC_ARM64_REG_V0

    def added(self, counter: int) -> int | None:
        found = decode_matrix(int.from_bytes(self.uc.mem_read(counter, 4), "little"))
        if found is None:
            return None
        target, left, right = (
            self.uc.reg_read(self._vectors + number).to_bytes(16, "little")
            for number in (found.target, found.left, found.right)
        )
        result = int.from_bytes(found.execute(target, left, right), "little")
        self.uc.reg_write(self._vectors + found.target, result)
        return counter + 4

    def after_hook(self) -> None:
        pass


_PROCESSORS: dict[str, type[_ArmM] | type[_RiscV] | type[_Aarch64]] = {
    "arm": _ArmM,
    "riscv32": _RiscV,
    "aarch64": _Aarch64,
}


def processor(core: CompilerCore) -> Processor:
    """A new engine that is a core, without memory.

    Raises:
        QDeployError: unicorn is not installed, or has no such core.
    """
    return _PROCESSORS[core.architecture](core)
