import json
from pathlib import Path

import pytest

from qdeploy.cli.app import run
from qdeploy.targets import list_targets, load_target


def facts(name: str) -> dict[str, str]:
    return dict(load_target(name).facts())


def test_a_board_in_words() -> None:
    told = facts("nucleo-l4r5zi")
    assert "dsp, unaligned, long-multiply, divide" in told["core"]
    assert told["clock"] == "120 MHz (4 MHz after reset; the first steps raise it)"
    assert told["flash"].startswith("2 MiB at 0x08000000, 5 wait states\n")
    assert "1.25 for each byte of constants, 0.4 of code, 5 for a taken branch" in told["flash"]
    assert "caches: 256 bytes for constants, 1024 for code" in told["flash"]
    assert told["RAM"] == "640 KiB at 0x20000000"
    assert told["power, busy"].startswith("49 mW, between 42.7 and 55.2 [measured]\nsource: MLPerf")
    assert told["power, asleep"].startswith("9.24 µW, between 8.25 and 39.6 [datasheet]\nsource: ")
    assert told["energy a cycle"].startswith("356 to 460 pJ [estimated")
    assert "pyocd flash --target stm32l4r5zitx" in told["flashing"]
    assert "0x40021000 wait: PLL locked (RCC_CR.PLLRDY)" in told["first steps"]


def test_what_is_not_known_is_said() -> None:
    assert facts("nucleo-f446re")["power, busy"] == "not known"
    waiting = load_target("nucleo-f446re").model_copy(update={"flash_read": None})
    assert "estimates leave it out" in dict(waiting.facts())["flash"]
    assert facts("cortex-m4")["flash"] == "1 MiB at 0x00000000, no wait states"
    assert "gcc -march=rv32imc -mabi=ilp32" in facts("rv32imc")["core"]


def test_emulators_and_boot_headers() -> None:
    assert facts("mps2-an386")["emulator"] == "qemu-system-arm -machine mps2-an386"
    assert facts("riscv32-virt")["emulator"].endswith("-machine virt -bios none")
    assert "rp2350" in facts("raspberry-pi-pico-2")["boot"]
    assert "picotool load -x {elf}" in facts("raspberry-pi-pico")["flashing"]


@pytest.mark.parametrize("name", [target.name for target in list_targets()])
def test_every_target_is_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", "show", name]) == 0
    text = capsys.readouterr().out
    assert name in text
    assert "None" not in text
    assert run(["targets", "show", name, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["name"] == name
    if values["family"] == "mcu":
        assert values["core_details"]["name"] == values["core"]
        assert set(values["watts"]) == {"busy", "asleep"}


def test_the_list_is_grouped_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    families = [line for line in lines if not line.startswith(" ")]
    assert families == ["family arm", "family cpu", "family mcu"]
    assert lines[lines.index("family cpu") + 1].startswith("  cpu ")


def test_a_board_by_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nfamily = "mcu"\ndescription = "Mine."\ncore = "cortex-m3"\n'
        "clock_megahertz = 72\nflash = { origin = 0x08000000, kibibytes = 64 }\n"
        "ram = { origin = 0x20000000, kibibytes = 20 }\n"
    )
    assert run(["targets", "show", str(path)]) == 0
    assert "64 KiB at 0x08000000" in capsys.readouterr().out
