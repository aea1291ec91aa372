"""Firmware of every board, built with the wheels alone: what lies where, and what is flashed."""

import re
import zlib
from dataclasses import replace

import pytest
from elftools.elf.elffile import ELFFile
from intelhex import IntelHex

from qdeploy.errors import QDeployError
from qdeploy.firmware import build_firmware, flash_contents, link_plain, linker_script, symbols
from qdeploy.firmware.boot import checksum
from qdeploy.firmware.linking import runtime_folder
from qdeploy.firmware.sources import configuration, runtime_sources, tables
from qdeploy.targets import Region, list_targets, load_core, load_target
from qdeploy.toolchains import TOOLCHAINS

TARGETS = [each.name for each in list_targets() if getattr(each, "uart", None)]
ARM = [name for name in TARGETS if load_core(load_target(name).core).architecture == "arm"]


def word(data, offset):
    return int.from_bytes(data[offset : offset + 4], "little")


@pytest.mark.parametrize("name", TARGETS)
def test_bin_hex_and_elf_hold_the_same_bytes(build, name):
    target, firmware = load_target(name), build(name)
    binary = firmware.bin.read_bytes()
    text = IntelHex(str(firmware.hex))
    addresses = text.addresses()
    assert addresses[0] == target.flash.origin
    assert bytes(text.tobinarray(start=target.flash.origin)) == binary
    covered = 0
    for address, data in flash_contents(firmware.elf).items():
        start = address - target.flash.origin
        assert binary[start : start + len(data)] == data
        covered += len(data)
    assert covered == len(addresses)
    assert firmware.image.flash_bytes <= len(binary) <= target.flash.bytes


@pytest.mark.parametrize("name", TARGETS)
def test_symbols_and_sizes(build, name):
    target, firmware = load_target(name), build(name)
    found = symbols(firmware.elf)
    with firmware.elf.open("rb") as file:
        elf = ELFFile(file)
        assert elf.header["e_entry"] == found["reset_handler"]
        table = elf.get_section_by_name(".symtab")
        missing = {s.name for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF"} - {""}
    assert missing == set()
    assert found["__stack_top"] == target.ram.end
    assert found["__data_start"] == target.ram.origin
    assert found["__data_end"] - found["__data_start"] == firmware.image.data > 0
    assert found["__bss_end"] - found["__bss_start"] == firmware.image.bss > 0
    assert target.flash.origin <= found["__data_load"] < target.flash.end
    assert firmware.image.flash_bytes < 10_000


@pytest.mark.parametrize("name", ARM)
def test_vector_table(build, name):
    target, firmware = load_target(name), build(name)
    found = symbols(firmware.elf)
    start = 0x100 if target.boot == "rp2040" else 0
    vectors = firmware.bin.read_bytes()[start : start + 64]
    assert found["vector_table"] == target.flash.origin + start
    assert word(vectors, 0) == target.ram.end
    assert word(vectors, 4) == found["reset_handler"]
    assert word(vectors, 4) & 1  # Thumb
    assert word(vectors, 60) == found["systick_handler"]
    faults = {word(vectors, 4 * number) for number in range(2, 7)}
    assert len(faults) == 1
    assert faults.pop() & 1


def test_first_instruction_of_riscv(build):
    target, firmware = load_target("riscv32-virt"), build("riscv32-virt")
    assert symbols(firmware.elf)["reset_handler"] == target.flash.origin


def test_rp2040_starts_with_a_boot_stage_and_its_checksum(build):
    stage = build("raspberry-pi-pico").bin.read_bytes()[:256]
    assert word(stage, 252) == checksum(stage[:252])
    assert stage[:252].strip(b"\0")


@pytest.mark.parametrize("data", [b"123456789", b"", bytes(range(252))])
def test_checksum_of_the_rp2040(data):
    """Against zlib's CRC-32, which is the same with all bits reflected and inverted."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    assert checksum(data) == int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def test_checksum_of_the_rp2040_known_value():
    assert checksum(b"123456789") == 0x0376E6E7  # CRC-32/MPEG-2 in the catalogue of CRCs


def test_rp2350_has_its_image_definition_early(build):
    block = bytes.fromhex("d3deffff 42012110 ff010000 00000000 793512ab")
    place = build("raspberry-pi-pico-2").bin.read_bytes().find(block)
    assert 0 < place < 4096 - len(block)
    assert place % 4 == 0


def test_builds_are_repeatable(build, toy, tmp_path):
    firmware = build("nucleo-l4r5zi")
    target, zig = load_target("nucleo-l4r5zi"), TOOLCHAINS["zig"]
    core = load_core(target.core)
    objects = zig.compile(core, [toy.source], tmp_path)
    again = build_firmware(target, core, objects, toy.interface, tmp_path, zig)
    for kind in ("elf", "bin", "hex"):
        assert getattr(again, kind).read_bytes() == getattr(firmware, kind).read_bytes()


@pytest.mark.parametrize("name", ["model", "board", "protocol", "configuration", "main"])
def test_a_model_may_be_called_as_a_part_of_the_runtime(name, toy, tmp_path):
    target, zig = load_target("mps2-an386"), TOOLCHAINS["zig"]
    core = load_core(target.core)
    defines = {"toy_predict": f"{name}_predict"}
    objects = zig.compile(core, [toy.source], tmp_path, defines=defines)
    interface = replace(toy.interface, name=name)
    firmware = build_firmware(target, core, objects, interface, tmp_path, zig)
    assert name.encode() in firmware.bin.read_bytes()


@pytest.mark.parametrize("name", ["mps2-an385", "raspberry-pi-pico"])
def test_gcc_builds_firmware(build, name):
    assert build(name, "gcc").image.flash_bytes < 10_000


def test_the_runtime_compiles_without_warnings(build, toy, tmp_path):
    """`build` compiles the model so; here is the runtime, each of its files once."""
    compiled = set()
    for name in TARGETS:
        target = load_target(name)
        core = load_core(target.core)
        energy = target.pulse is not None
        text = configuration(target, core, toy.interface, energy=energy)
        (tmp_path / "configuration.h").write_text(text)
        (tmp_path / "tables.c").write_text(tables(target, energy=energy))
        new = [path for path in runtime_sources(target, core) if path.name not in compiled]
        compiled.update(path.name for path in new)
        TOOLCHAINS["zig"].compile(
            core,
            [*new, tmp_path / "tables.c"],
            tmp_path,
            include=[tmp_path, runtime_folder(), toy.folder],
            flags=["-Werror"],
        )
    files = {path.name for path in runtime_folder().glob("*.c")}
    assert files <= compiled


def test_energy_build_differs_in_its_speed_and_pulses(toy):
    target = load_target("nucleo-l4r5zi")
    core = load_core(target.core)
    text = configuration(target, core, toy.interface, energy=True)
    assert re.search(r"BOARD_ENERGY 1\b", text)
    assert re.search(r"UART_BAUD 9600u", text)
    assert target.pulse.pin in tables(target, energy=True)
    assert "pulse_pin" not in tables(target, energy=False)


def test_energy_build_needs_a_pin(toy, tmp_path):
    target = load_target("mps2-an386")
    arguments = (load_core(target.core), [], toy.interface, tmp_path)
    with pytest.raises(QDeployError, match=r"mps2-an386: an energy build needs a pin .*\[pulse\]"):
        build_firmware(target, *arguments, TOOLCHAINS["zig"], energy=True)


def test_bare_cores_have_no_firmware(toy, tmp_path):
    target = load_target("cortex-m4")
    arguments = (load_core(target.core), [], toy.interface, tmp_path)
    with pytest.raises(QDeployError, match="cortex-m4 has no serial port"):
        build_firmware(target, *arguments, TOOLCHAINS["zig"])


def test_ram_must_leave_room_for_the_stack(toy, tmp_path):
    ram = Region(origin=0x2000_0000, kibibytes=1)
    target = load_target("mps2-an386").model_copy(update={"ram": ram})
    core, zig = load_core(target.core), TOOLCHAINS["zig"]
    objects = zig.compile(core, [toy.source], tmp_path)
    with pytest.raises(QDeployError, match=r"variables take \d+ of 1024 bytes of RAM"):
        build_firmware(target, core, objects, toy.interface, tmp_path, zig)


def test_nothing_is_placed_before_flash_of_any_origin(toy, tmp_path):
    """A linker must not put the ELF header there: it could be a boot loader's."""
    core, zig = load_core("cortex-m4"), TOOLCHAINS["zig"]
    objects = zig.compile(core, [toy.source], tmp_path)
    flash = Region(origin=0x0800_4400, kibibytes=32)
    ram = Region(origin=0x2000_0100, kibibytes=16)
    image = link_plain(core, flash, ram, objects, tmp_path / "a.elf", zig, ["toy_predict"])
    assert min(flash_contents(image.elf)) == flash.origin
    assert "ORIGIN = 0x8004400, LENGTH = 0x8000" in linker_script(flash, ram)
