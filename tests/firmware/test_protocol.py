"""The device's side of the protocol, compiled for the host with sanitizers.

A Python model of the protocol says what the device must answer; hypothesis writes the commands.
"""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdeploy.firmware.linking import runtime_folder
from qdeploy.firmware.sources import configuration
from qdeploy.native import compiler_command
from qdeploy.targets import load_core, load_target

INPUTS = 40
BOOT = ["m-timestamp-mode-performance", "m-lap-us-T", "m-init-done", "m-ready"]
PROFILE = "m-profile-[ULPMark for tinyML Firmware V0.0.1]"


def built(toy, folder, target, energy):
    board = load_target(target)
    core = load_core(board.core)
    text = configuration(board, core, toy.interface, energy=energy)
    (folder / "configuration.h").write_text(text)
    sources = [runtime_folder() / "protocol.c", Path(__file__).with_name("host_board.c")]
    command = [
        *compiler_command(),
        *("-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"),
        *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        *(f"-I{path}" for path in (folder, runtime_folder(), toy.folder)),
        *(str(path) for path in (*sources, toy.source)),
        *("-o", str(folder / "device")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "asan" in done.stderr or "sanitize" in done.stderr:
        pytest.skip("the host's compiler has no sanitizers")
    assert done.returncode == 0, done.stderr
    return folder / "device"


@pytest.fixture(scope="module")
def device(toy, tmp_path_factory):
    """Runs a stream of bytes; the lines that the device answers, time stamps as T."""
    program = built(toy, tmp_path_factory.mktemp("device"), "mps2-an385", False)
    return lambda stream: lines(program, stream)


@pytest.fixture(scope="module")
def energy_device(toy, tmp_path_factory):
    program = built(toy, tmp_path_factory.mktemp("energy"), "nucleo-l4r5zi", True)
    return lambda stream: lines(program, stream)


def lines(program, stream):
    done = subprocess.run([program], input=stream, capture_output=True, check=False, timeout=20)
    assert done.stderr == b""
    assert done.returncode == 0
    text = done.stdout.decode("ascii")
    assert text == "" or text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    return [re.sub(r"^m-lap-us-\d+$", "m-lap-us-T", line) for line in text.split("\r\n")[:-1]]


class Meaning:
    """What the device answers, written independently; errors are only told to be errors."""

    def __init__(self, toy):
        self.toy = toy
        self.input = b""
        self.loading = False
        self.results = None

    def answer(self, command):
        if len(command) > 80:
            return ["e"]
        text = "".join(chr(c) if 32 <= c < 127 else "?" for c in command)
        words = [word for word in text.split(" ") if word]
        method = getattr(self, f"do_{words[0]}", None) if words else None
        return method(words[1:]) if method else ["e"]

    def do_name(self, words):
        return ["m-name-dut-[mps2-an385]"]

    def do_profile(self, words):
        return [PROFILE, "m-model-[toy]"]

    def do_timestamp(self, words):
        return ["m-lap-us-T"]

    def do_clock(self, words):
        return ["m-clock-hz-25000000"]

    def do_help(self, words):
        return ["help"]

    def do_db(self, words):
        if not words:
            return ["e"]
        if words[0] == "load":
            if number(words[1:2]) != INPUTS:
                return ["e"]
            self.input, self.loading = b"", True
            return [f"m-[Expecting {INPUTS} bytes]"]
        if words[0] == "print":
            count = number(words[1:2]) if words[1:] else len(self.input)
            offset = number(words[2:3]) if words[2:] else 0
            if count <= 0 or offset < 0 or offset + count > len(self.input):
                return ["e"]
            part = self.input[offset : offset + count]
            rows = [part[start : start + 8] for start in range(0, count, 8)]
            return ["m-buffer-" + "-".join(f"{b:02x}" for b in row) for row in rows]
        if len(words) > 1 or not re.fullmatch(r"([0-9a-fA-F]{2})+", words[0]):
            return ["e"]
        added = bytes.fromhex(words[0])
        if not self.loading or len(self.input) + len(added) > INPUTS:
            return ["e"]
        self.input += added
        if len(self.input) < INPUTS:
            return []
        self.loading = False
        return ["m-load-done"]

    def do_infer(self, words):
        iterations = number(words[:1]) if words else 1
        warmups = number(words[1:2]) if words[1:] else 10
        if iterations <= 0 or warmups < 0 or len(self.input) != INPUTS:
            return ["e"]
        self.results = self.toy.scores(np.frombuffer(self.input, dtype=np.int8))
        return [
            f"m-warmup-start-{warmups}",
            "m-warmup-done",
            f"m-infer-start-{iterations}",
            "m-lap-us-T",
            "m-lap-us-T",
            "m-infer-done",
            *self.do_results([]),
        ]

    def do_results(self, words):
        if self.results is None:
            return ["e"]
        return ["m-results-[" + ",".join(map(str, self.results)) + "]"]


def number(words):
    if not words or not re.fullmatch(r"[0-9]+", words[0]) or int(words[0]) > 2147483639:
        return -1
    return int(words[0])


def replies(answered):
    """Lines of each command, without m-ready; errors as e, the text of help as help."""
    found = [[]]
    for line in answered:
        if line == "m-ready":
            found.append([])
        elif line.startswith("e-[") and line.endswith("]"):
            found[-1].append("e")
        elif line.startswith(("ULPMark", "help ")):
            found[-1][:] = ["help"]
        elif found[-1] != ["help"]:
            found[-1].append(line)
    assert found[-1] == []
    return found[:-1]


def check(device, toy, stream):
    """Every command of a stream is answered as it must be."""
    meaning = Meaning(toy)
    commands = stream.replace(b"\r", b"").replace(b"\n", b"").split(b"%")[:-1]
    expected = [meaning.answer(command) for command in commands]
    answered = device(stream)
    assert answered[:4] == BOOT
    assert replies(answered[4:]) == expected


def load(x, chunk=31):
    """The commands that load an input."""
    parts = [x[start : start + chunk] for start in range(0, len(x), chunk)]
    return b"db load %d%%" % len(x) + b"".join(b"db %s%%" % part.hex().encode() for part in parts)


SAMPLE = bytes((37 * i + 11) % 256 for i in range(INPUTS))


def test_the_official_runners_sequence(device, toy):
    answered = device(
        b"name%profile%timestamp%" + load(SAMPLE) + b"infer 10 0%results%" + load(SAMPLE)
    )
    scores = ",".join(map(str, toy.scores(np.frombuffer(SAMPLE, dtype=np.int8))))
    loaded = ["m-[Expecting 40 bytes]", "m-ready", "m-ready", "m-load-done", "m-ready"]
    assert answered == [
        *BOOT,
        *("m-name-dut-[mps2-an385]", "m-ready"),
        *(PROFILE, "m-model-[toy]", "m-ready"),
        *("m-lap-us-T", "m-ready"),
        *loaded,
        *("m-warmup-start-0", "m-warmup-done", "m-infer-start-10", "m-lap-us-T", "m-lap-us-T"),
        *("m-infer-done", f"m-results-[{scores}]", "m-ready"),
        *(f"m-results-[{scores}]", "m-ready"),
        *loaded,
    ]


def test_energy_build_pulses_instead_of_time_stamps(energy_device, toy):
    answered = energy_device(b"name%timestamp%" + load(SAMPLE, 26) + b"infer 2%")
    scores = ",".join(map(str, toy.scores(np.frombuffer(SAMPLE, dtype=np.int8))))
    assert answered == [
        *("m-timestamp-mode-energy", "pulse", "m-init-done", "m-ready"),
        *("m-name-dut-[nucleo-l4r5zi]", "m-ready"),
        *("pulse", "m-ready"),
        *("m-[Expecting 40 bytes]", "m-ready", "m-ready", "m-load-done", "m-ready"),
        *("m-warmup-start-10", "m-warmup-done", "m-infer-start-2", "pulse", "pulse"),
        *("m-infer-done", f"m-results-[{scores}]", "m-ready"),
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (b"%", "Unknown command: "),
        (b"   %", "Unknown command: "),
        (b"names%", "Unknown command: names"),
        (b"NAME%", "Unknown command: NAME"),
        (b"\xff\x00]\x1b%", "Unknown command: ??]?"),
        (b"x" * 81 + b"%", "Command too long"),
        (b"db 00" + b"0" * 10_000 + b"%", "Command too long"),
        (b"db%", "Command 'db' requires a subcommand"),
        (b"db load%", "Command 'db load' requires the # of bytes"),
        (b"db load 39%", "Command 'db load' must be 40 bytes"),
        (b"db load 41%", "Command 'db load' must be 40 bytes"),
        (b"db load -40%", "Command 'db load' must be 40 bytes"),
        (b"db load 40x%", "Command 'db load' must be 40 bytes"),
        (b"db load 4294967336%", "Command 'db load' must be 40 bytes"),
        (b"db 00%", "Command 'db load' must come first"),
        (b"db 0%", "Insufficient number of hex digits"),
        (b"db 0g%", "Invalid hex digit"),
        (b"db 00 00%", "Command 'db' takes hex digits without blanks"),
        (b"db print%", "No input loaded"),
        (b"infer%", "Input incomplete: 40 bytes are missing"),
        (b"infer 0%", "Inference iterations must be >0"),
        (b"infer 1 -1%", "Inference warmup must be >=0"),
        (b"infer 99999999999%", "Inference iterations must be >0"),
        (b"results%", "No results yet"),
    ],
)
def test_what_cannot_be_done_is_refused_and_forgotten(device, toy, wrong, told):
    answered = device(wrong + load(SAMPLE) + b"infer 1 0%")
    assert answered[4:6] == [f"e-[{told}]", "m-ready"]
    check(device, toy, wrong + load(SAMPLE) + b"infer 1 0%")


def test_wrong_bytes_in_the_middle_of_a_load_change_nothing(device, toy):
    first, second = SAMPLE[:31].hex().encode(), SAMPLE[31:].hex().encode()
    stream = (
        b"db load 40%%db %s%%db %s%%db 0%%db zz%%db %s00%%infer%%db print 4 29%%db %s%%infer 1 0%%"
    ) % (first, first, second, second)
    answered = device(stream)
    assert "e-[Too many bytes: 9 are missing]" in answered
    assert "e-[Input incomplete: 9 bytes are missing]" in answered
    assert "m-load-done" in answered
    check(device, toy, stream)


def test_a_terminals_line_ends_do_not_matter(device, toy):
    check(
        device, toy, b"name%\r\nprofile%\r\n" + load(SAMPLE).replace(b"%", b"%\r\n") + b"\ninfer%"
    )


def test_exit_ends_an_emulated_machine(device):
    assert device(b"name%exit%name%")[4:] == ["m-name-dut-[mps2-an385]", "m-ready", "m-ready"]


def texts(options):
    return st.sampled_from([option.encode() for option in options])


numbers = texts(["", "0", "1", "2", "40", "-1", "41", "9", "2147483639", "4294967296", "1e3", "x"])
harmless = texts(["", "0", "1", "2", "17", "-1", "x"])
verbs = texts(["name", "profile", "timestamp", "clock", "help", "results", "db", "db print", "exi"])
hexes = st.binary(max_size=41).map(lambda data: data.hex().encode())
commands = st.one_of(
    st.tuples(verbs, numbers).map(b" ".join),
    st.tuples(st.just(b"infer"), harmless, harmless).map(b" ".join),
    st.tuples(st.just(b"db load"), numbers).map(b" ".join),
    st.tuples(st.just(b"db print"), numbers, numbers).map(b" ".join),
    st.just(b"db load 40"),
    st.just(load(SAMPLE)[:-1]),
    hexes.map(lambda digits: b"db " + digits),
    hexes.map(lambda digits: b"db " + digits[:-1]),
    st.binary(max_size=120),
)


def stream_of(parts):
    return without_exit(b"".join(part + b"%" for part in parts))


def without_exit(noise):
    """The device ends at this word, as it should, and answers no more."""
    return noise.replace(b"exit", b"EXIT")


@settings(max_examples=150)
@given(st.lists(commands, max_size=25).map(stream_of))
def test_every_stream_is_answered_as_the_protocol_says(device, toy, stream):
    check(device, toy, stream + load(SAMPLE) + b"infer 1 1%results%")


@settings(max_examples=50)
@given(st.binary(max_size=400))
def test_noise_leaves_the_device_working(device, toy, noise):
    noise = without_exit(noise).replace(b"infer", b"")
    check(device, toy, noise + b"%" + load(SAMPLE) + b"infer 3 1%")
