import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.targets import (
    McuTarget,
    Step,
    list_cores,
    list_targets,
    load_core,
    load_target,
    power_of,
)

BOARDS = {
    "nucleo-l4r5zi": "cortex-m4",
    "nucleo-h7a3zi-q": "cortex-m7",
    "nucleo-u575zi-q": "cortex-m33",
    "nucleo-f446re": "cortex-m4",
    "nrf52840-dk": "cortex-m4",
    "raspberry-pi-pico": "cortex-m0plus",
    "raspberry-pi-pico-2": "cortex-m33",
}
EMULATED = {
    "mps2-an385": "cortex-m3",
    "mps2-an386": "cortex-m4",
    "mps2-an500": "cortex-m7",
    "mps2-an505": "cortex-m33",
    "mps2-an547": "cortex-m55",
    "riscv32-virt": "rv32imc",
}
TARGETS = [target for target in list_targets() if isinstance(target, McuTarget)]

HEAD = """\
name = "board"
family = "mcu"
description = "A board."
core = "cortex-m4"
clock_megahertz = 100
"""
MEMORY = """\
flash = { origin = 0x08000000, kibibytes = 512 }
ram = { origin = 0x20000000, kibibytes = 128 }
"""
UART = """
[uart]
driver = "stm32-usart"
instance = "USART1"
base = 0x40013800
clock_hertz = 16_000_000
source = "a manual"
"""
PULSE = """
[pulse]
pin = "PA5"
setup = [{ address = 0x48000000, mask = 0xC00, value = 0x400, what = "output" }]
high = { address = 0x48000018, value = 0x20 }
low = { address = 0x48000018, value = 0x200000 }
source = "a manual"
"""
POWER = """
[board_power]
volts = 3.0
microamps_per_megahertz = { low = 90, typical = 100, high = 200 }
kind = "datasheet"
source = "a datasheet"
"""
SLEEP = """
[sleep_power]
milliwatts = { low = 0.01, typical = 0.02, high = 0.04 }
kind = "measured"
source = "a meter"
"""
WHOLE = HEAD + MEMORY + UART + PULSE + POWER + SLEEP


def write(folder: Path, text: str) -> Path:
    path = folder / "board.toml"
    path.write_text(text)
    return path


def mcu(name: str | Path) -> McuTarget:
    target = load_target(name)
    assert isinstance(target, McuTarget)
    return target


def test_every_core_board_and_emulated_machine_is_there() -> None:
    known = {target.name: target.core for target in TARGETS}
    assert known == {name: name for name in list_cores()} | BOARDS | EMULATED


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_targets_that_ship_hold_together(target: McuTarget) -> None:
    assert load_target(target.name) == target
    assert load_core(target.core).name == target.core
    assert target.flash.bytes >= 256 * 1024
    assert target.ram.bytes >= 128 * 1024
    assert (target.emulator is not None) == (target.name in EMULATED)
    if target.name in BOARDS:
        assert target.uart is not None
        assert target.pulse is not None
        assert target.flashing is not None
        assert target.setup
        assert target.firmware_megahertz == target.clock_megahertz
        assert target.stated_power is not None or any("No power" in note for note in target.notes)


def test_bare_cores_have_memory_and_a_nominal_clock_alone() -> None:
    for name in list_cores():
        target = mcu(name)
        assert (target.flash.origin, target.flash.kibibytes) == (0, 1024)
        assert (target.ram.origin, target.ram.kibibytes) == (0x20000000, 256)
        assert "nominal" in target.description
        assert target.uart is target.emulator is target.board_power is None


def bit_time(target: McuTarget, baud: int) -> float:
    """Seconds of a bit that the driver's divider gives."""
    uart = target.uart
    assert uart is not None
    match uart.driver:
        case "stm32-lpuart":
            return round(256 * uart.clock_hertz / baud) / 256 / uart.clock_hertz
        case "pl011":
            return round(4 * uart.clock_hertz / baud) / 4 / uart.clock_hertz
        case "ns16550":
            return 16 * round(uart.clock_hertz / 16 / baud) / uart.clock_hertz
        case "nrf":
            return 2**32 / (round(baud * 2**32 / uart.clock_hertz) * uart.clock_hertz)
        case _:
            return round(uart.clock_hertz / baud) / uart.clock_hertz


@pytest.mark.parametrize(
    "target", [target for target in TARGETS if target.uart], ids=lambda target: target.name
)
def test_baud_rates_are_near_enough(target: McuTarget) -> None:
    assert target.uart is not None
    assert (target.uart.baud, target.uart.energy_baud) == (115200, 9600)
    for baud in (115200, 9600):
        assert bit_time(target, baud) * baud == pytest.approx(1, abs=0.02)


def written(steps: tuple[Step, ...], address: int) -> int:
    """Last value that steps leave in the bits they write of a register."""
    value = 0
    for step in steps:
        if step.address == address and not step.wait:
            value = value & ~step.mask | step.value
    return value


def field(value: int, high: int, low: int) -> int:
    return value >> low & (1 << high - low + 1) - 1


def test_clock_setup_gives_the_stated_clock() -> None:
    """Decodes the PLL registers by the reference manuals' formulas."""
    board = mcu("nucleo-l4r5zi")
    pll = written(board.setup, 0x4002100C)
    assert 4 / (field(pll, 7, 4) + 1) * field(pll, 14, 8) / 2 == board.clock_megahertz
    assert written(board.setup, 0x40021008) == 3

    board = mcu("nucleo-f446re")
    pll = written(board.setup, 0x40023804)
    assert 16 / field(pll, 5, 0) * field(pll, 14, 6) / 2 == board.clock_megahertz
    assert field(written(board.setup, 0x40023808), 12, 10) == 5  # APB1 at a quarter
    assert board.uart is not None
    assert board.uart.clock_hertz == board.clock_megahertz * 1e6 / 4

    board = mcu("nucleo-u575zi-q")
    source, divider = (written(board.setup, 0x46020C00 + offset) for offset in (0x28, 0x34))
    times, by = field(divider, 8, 0) + 1, field(divider, 30, 24) + 1
    assert 4 / (field(source, 11, 8) + 1) * times / by == board.clock_megahertz

    board = mcu("nucleo-h7a3zi-q")
    source, divider = (written(board.setup, 0x58024400 + offset) for offset in (0x28, 0x30))
    times, by = field(divider, 8, 0) + 1, field(divider, 15, 9) + 1
    assert 64 / field(source, 9, 4) * times / by == board.clock_megahertz

    for name, pll_base in (("raspberry-pi-pico", 0x40028000), ("raspberry-pi-pico-2", 0x40050000)):
        board = mcu(name)
        post = written(board.setup, pll_base + 0xC)
        oscillator = 12 * written(board.setup, pll_base + 8)
        assert oscillator / field(post, 18, 16) / field(post, 14, 12) == board.clock_megahertz


@pytest.mark.parametrize("name", [name for name in BOARDS if name.startswith("nucleo-")])
def test_stated_wait_states_are_those_that_the_steps_set(name: str) -> None:
    board = mcu(name)
    access = next(step for step in board.setup if "wait states" in step.what)
    assert access.value & 0xF == board.flash_wait_states


@pytest.mark.parametrize("name", ["mps2-an385", "mps2-an386", "mps2-an500", "riscv32-virt"])
def test_memory_is_where_qemu_has_it(name: str) -> None:
    target = mcu(name)
    assert target.emulator is not None
    assert target.uart is not None
    program = shutil.which(target.emulator.program)
    if program is None:
        pytest.skip(f"{target.emulator.program} is not there")
    command = [program, "-machine", target.emulator.machine, *target.emulator.arguments]
    command += ["-display", "none", "-serial", "null", "-monitor", "stdio", "-S"]
    done = subprocess.run(
        command, input="info mtree -f\nquit\n", capture_output=True, text=True, timeout=60
    )
    ranges = []
    for line in done.stdout.splitlines():
        words = line.split()
        if words and "-" in words[0] and "(prio" in line:
            low, _, high = words[0].partition("-")
            ranges.append((int(low, 16), int(high, 16), "ram)" in line))
    for region in (target.flash, target.ram):
        assert any(low <= region.origin and region.end - 1 <= high for low, high, ram in ranges)
    assert target.uart.base in {low for low, _, ram in ranges if not ram}


def test_measured_boards_have_the_power_of_their_logs() -> None:
    """Energy a cycle in pJ, from the logs of MLPerf Tiny."""
    for name, low, high in (
        ("nucleo-l4r5zi", 356, 460),
        ("nucleo-h7a3zi-q", 521, 583),
        ("nucleo-u575zi-q", 146, 164),
    ):
        power = power_of(mcu(name))
        cycle = 1e12 / (mcu(name).clock_megahertz * 1e6)
        assert power.kind == "measured"
        assert power.low * cycle == pytest.approx(low, abs=1)
        assert power.high * cycle == pytest.approx(high, abs=1)


def test_datasheet_power_has_a_wider_band() -> None:
    power = power_of(mcu("nrf52840-dk"))
    assert power.kind == "datasheet"
    assert power.high / power.low > 2.5


def test_power_that_nobody_knows() -> None:
    with pytest.raises(QDeployError, match=r"'nucleo-f446re' states no power; add a \[board_power"):
        power_of(mcu("nucleo-f446re"))


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    board = mcu(str(write(tmp_path, WHOLE)))
    assert power_of(board).typical == pytest.approx(0.030)
    assert power_of(board).low == pytest.approx(0.027)
    assert board.stated_sleep_power is not None
    assert board.stated_sleep_power.high == pytest.approx(4e-5)
    assert board.firmware_megahertz == 100


def test_without_steps_the_firmware_runs_at_the_clock_after_reset(tmp_path: Path) -> None:
    board = mcu(write(tmp_path, HEAD + "reset_clock_megahertz = 16\n" + MEMORY))
    assert board.firmware_megahertz == 16


@given(band=st.lists(st.floats(1e-3, 1e6), min_size=3, max_size=3).map(sorted))
def test_power_in_watts_is_the_band_in_its_units(band: list[float]) -> None:
    from qdeploy.targets import Band, BoardPower, SleepPower

    low, typical, high = band
    stated = Band(low=low, typical=typical, high=high)
    common = {"kind": "measured", "source": "a meter"}
    milli = BoardPower(milliwatts=stated, **common).at(50)
    assert (milli.low, milli.high) == pytest.approx((low * 1e-3, high * 1e-3))
    scaled = BoardPower(microamps_per_megahertz=stated, volts=2.0, **common).at(50)
    assert scaled.typical == pytest.approx(typical * 1e-4)
    assert SleepPower(microamps=stated, volts=2.0, **common).power.low == pytest.approx(low * 2e-6)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('core = "cortex-m4"', 'core = "cortex-m9"', "no core 'cortex-m9'; perhaps 'cortex-m"),
        ('core = "cortex-m4"', 'core = "z80"', "there is no core 'z80'; known are cortex-m0plus"),
        ('core = "cortex-m4"\n', "", "the key 'core' is missing; it is the name of a core"),
        ("clock_megahertz = 100\n", "", "the key 'clock_megahertz' is missing; it is a positive"),
        ("= 100\n", "= 0\n", "'clock_megahertz' is 0, but must be a positive number of megahertz"),
        (
            MEMORY,
            MEMORY.splitlines()[0],
            "the key 'ram' is missing; it is a table with origin and kibibytes",
        ),
        ("kibibytes = 128", "kibibytes = 0", "'ram.kibibytes' is 0, but must be a positive number"),
        ("kibibytes = 128", "kibibytes = 0.001", "table 'ram': the size is not a whole number of"),
        ("0x20000000,", "0xFFFF0000,", "table 'ram': the end lies beyond 32-bit addresses"),
        ("0x20000000,", "-1,", "the key 'ram.origin' is -1, but must be an address of 32 bits"),
        ("0x20000000,", "0x0807FFFF,", "0x08080000) and RAM (0x0807ffff to 0x0809ffff) overlap"),
        (
            "0x20000000,",
            "0x20000004,",
            "RAM (0x20000004 to 0x20020004) must begin at a multiple of 8",
        ),
        ("kibibytes = 128", "kb = 128", "'ram.kb' is not known; known here are origin, kibibytes"),
        ('"stm32-usart"', '"stm32"', "'uart.driver' is 'stm32', but must be \"cmsdk\", \"pl011\""),
        ("base = 0x40013800", "base = 0x40013801", "'uart.base' is 1073821697, but must be an"),
        ("16_000_000", "1_000_000", "table 'uart': 115200 bits a second cannot be divided from"),
        ("16_000_000", "1_000_000_000", "table 'uart': 9600 bits a second cannot be divided"),
        ("value = 0x400,", "value = 0x4000,", "'pulse.setup[1]': value 0x4000 has bits outside"),
        ("mask = 0xC00,", "msk = 0xC00,", "'pulse.setup[1].msk' is not known; perhaps 'mask' is"),
        ("value = 0x20 }", "value = 0x100000000 }", "'pulse.high.value' is 4294967296, but must"),
        ("typical = 100", "typical = 300", "'board_power.microamps_per_megahertz': low, typical"),
        ("volts = 3.0\n", "", "table 'board_power': microamps_per_megahertz needs volts"),
        ("microamps_per_megahertz", "milliamps", "'board_power.milliamps' is not known; perhaps"),
        ("milliwatts = {", "microamps = {", "table 'sleep_power': microamps needs volts"),
        ('kind = "measured"', 'kind = "guess"', "'sleep_power.kind' is 'guess', but must be"),
        (SLEEP, SLEEP + "\n[flashing]\n", "'flashing': pyocd_target or command must be there"),
        (
            SLEEP,
            '\n[flashing]\ncommand = ["openocd"]\n',
            "'flashing.command' is ['openocd'], but must be a list such as",
        ),
        (
            SLEEP,
            '\n[emulator]\nprogram = "qemu"\nmachine = "virt"\n',
            "'emulator.program' is 'qemu', but must be \"qemu-system-arm\" or",
        ),
        (
            SLEEP,
            '\n[emulator]\nprogram = "qemu-system-riscv32"\nmachine = "virt"\n',
            "qemu-system-riscv32 does not emulate cortex-m4; take qemu-system-arm",
        ),
        ("[pulse]", "[puls]", "the key 'puls' is not known; perhaps 'pulse' is meant"),
        (
            "clock_megahertz",
            "flash_wait_states = -1\nclock_megahertz",
            "'flash_wait_states' is -1, but must be a whole number of cycles from 0 to 64",
        ),
    ],
)
def test_faults_are_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in WHOLE
    with pytest.raises(QDeployError) as caught:
        load_target(write(tmp_path, WHOLE.replace(old, new, 1)))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("board.toml: ")
    assert "\n" not in str(caught.value)


def test_both_or_no_unit_of_power(tmp_path: Path) -> None:
    both = "milliwatts = { low = 1, typical = 2, high = 3 }\nvolts = 3.0"
    text = WHOLE.replace("volts = 3.0", both)
    with pytest.raises(QDeployError, match="either milliwatts or microamps_per_megahertz must be"):
        load_target(write(tmp_path, text))


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
    board = mcu(write(tmp_path, text.partition("```toml\n")[2].partition("```")[0]))
    assert power_of(board).kind == "measured"
    for table in (McuTarget, *(type(part) for part in (board.uart, board.flashing, board.flash))):
        for key in table.model_fields:  # type: ignore[union-attr]
            assert f"`{key}`" in text or f"`[{key}]`" in text, key
