"""The parts of a firmware that depend on the board and the model: generated C and chosen files."""

from collections.abc import Iterable
from pathlib import Path

from qdeploy.errors import QDeployError
from qdeploy.firmware.interface import ModelInterface
from qdeploy.firmware.linking import runtime_folder
from qdeploy.targets import Core, McuTarget, Step, Uart

__all__ = ["configuration", "runtime_sources", "tables"]

_COMMON = ("board.c", "main.c", "protocol.c", "semihosting.c", "support.c")
_ARCHITECTURE = {
    "arm": ("start_arm.c", "timer_arm.c"),
    "riscv32": ("start_riscv.S", "timer_riscv.c"),
}


def runtime_sources(target: McuTarget, core: Core) -> list[Path]:
    """The runtime's files for a target.

    Raises:
        QDeployError: the target has no serial port.
    """
    files = [*_COMMON, *_ARCHITECTURE[core.architecture], f"uart_{_uart(target).driver}.c"]
    if target.boot == "rp2350":
        files.append("boot_rp2350.c")
    return [runtime_folder() / file for file in files]


def configuration(target: McuTarget, core: Core, interface: ModelInterface, *, energy: bool) -> str:
    """``configuration.h``: what board.h says that it holds.

    Raises:
        QDeployError: the target has no serial port, or no pin for the pulses of an energy build.
    """
    uart = _uart(target)
    if energy and target.pulse is None:
        raise QDeployError(
            f"target {target.name}: an energy build needs a pin for its pulses; "
            "add a [pulse] table to the target's file"
        )
    lines = [
        f"/* Made by qdeploy for the model {interface.name} on {target.name}. */",
        "",
        "#ifndef QDEPLOY_CONFIGURATION_H",
        "#define QDEPLOY_CONFIGURATION_H",
        "",
        "#include <stdint.h>",
        "",
        f'#define BOARD_NAME "{target.name}"',
        f"#define BOARD_CLOCK_HERTZ {round(target.firmware_megahertz * 1_000_000)}u",
        f"#define BOARD_ENERGY {int(energy)}",
        f"#define BOARD_SEMIHOSTING {int(target.emulator is not None)}",
        *(["#define BOARD_VECTORS"] if "mve" in core.extensions else []),
        *(["#define BOARD_CACHES"] if core.cpu == "cortex-m7" else []),
        "",
        f"#define UART_BASE {uart.base:#010x}u",
        f"#define UART_CLOCK_HERTZ {uart.clock_hertz}u",
        f"#define UART_BAUD {uart.energy_baud if energy else uart.baud}u",
        "",
        f'#define MODEL_NAME "{interface.name}"',
        f"#define MODEL_INPUTS {interface.inputs}",
        f"#define MODEL_OUTPUTS {interface.outputs}",
        f"typedef {interface.score_type}_t model_score;",
        f"#define MODEL_PREDICT {interface.name}_predict",
        "",
        # Not the model's header: a model may be called as one of the runtime's.
        "int MODEL_PREDICT(const int8_t *x, model_score *scores);",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def tables(target: McuTarget, *, energy: bool) -> str:
    """``tables.c``: the steps that bring the board up, and the pin of the energy build."""
    steps = [*target.setup, *_uart(target).setup]
    lines = ["/* Made by qdeploy from the file of the board. */", "", '#include "board.h"', ""]
    if energy and target.pulse is not None:
        steps += target.pulse.setup
        low, high = target.pulse.low, target.pulse.high
        lines += [
            f"/* {_comment(target.pulse.pin)} */",
            "const struct pulse_pin board_pulse_pin = {",
            f"    {low.address:#010x}u, {low.value:#010x}u,",
            f"    {high.address:#010x}u, {high.value:#010x}u,",
            "};",
            "",
        ]
    lines += ["const struct step board_steps[] = {", *_rows(steps), "};", ""]
    lines += [f"const unsigned board_step_count = {len(steps)};"]
    return "\n".join(lines) + "\n"


def _rows(steps: Iterable[Step]) -> list[str]:
    rows = []
    for step in steps:
        rows.append(f"    /* {_comment(step.what)} */")
        numbers = f"{step.address:#010x}u, {step.mask:#010x}u, {step.value:#010x}u"
        rows.append(f"    {{{numbers}, {int(step.wait)}}},")
    # C has no empty arrays.
    return rows or ["    {0, 0, 0, 0},"]


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")


def _uart(target: McuTarget) -> Uart:
    if target.uart is None:
        raise QDeployError(
            f"target {target.name} has no serial port, which the firmware speaks through; "
            "take a board, or add a [uart] table to a file of your own"
        )
    return target.uart
