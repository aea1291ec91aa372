"""The host's side of the protocol, against streams that answer well, badly, late or never."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdeploy.errors import QDeployError
from qdeploy.runners.protocol import Device, DeviceSession, Inference, Profile


class Script:
    """A stream with an answer to each command; it sends a few bytes at a time."""

    def __init__(self, answers, sent=b"", step=3):
        self.answers = answers
        self.waiting = sent
        self.step = step
        self.received = b""
        self.commands = []

    def read(self, size):
        piece, self.waiting = self.waiting[: self.step], self.waiting[self.step :]
        return piece

    def write(self, data):
        self.received += data
        while b"%" in self.received:
            command, self.received = self.received.split(b"%", 1)
            self.commands.append(command.decode())
            answer = self.answers.get(command.decode(), "e-[Unknown command]\r\nm-ready\r\n")
            self.waiting += answer.encode()


def device(answers=None, **options):
    script = Script(answers or {}, **options)
    return Device(script, "COM3", timeout=0.05), script


def reply(*lines):
    return "".join(f"{line}\r\n" for line in (*lines, "m-ready"))


def test_start_up_name_profile_and_clock():
    talking, script = device(
        {
            "name": reply("m-name-dut-[nucleo-l4r5zi]"),
            "profile": reply("m-profile-[ULPMark]", "m-model-[digits]"),
            "clock": reply("m-clock-hz-120000000"),
        },
        sent=b"\0\r\nm-timestamp-mode-performance\r\nm-lap-us-3\r\nm-init-done\r\nm-ready\r\n",
    )
    assert talking.wait_until_ready()[-1] == "m-init-done"
    assert talking.name() == "nucleo-l4r5zi"
    assert talking.profile() == Profile("ULPMark", "digits")
    assert talking.clock_hertz() == 120_000_000
    assert script.commands == ["name", "profile", "clock"]


def test_a_running_device_is_synchronized():
    talking, _ = device(
        {"half": reply("e-[Unknown command: half]"), "name": reply("m-name-dut-[board]")},
        sent=b"m-init-done\r\nm-ready\r\n",
    )
    talking._stream.write(b"half")  # as an interrupted program would leave it
    talking.synchronize()
    assert talking.name() == "board"


@given(size=st.integers(1, 200))
def test_inputs_go_in_commands_of_31_bytes(size):
    data = bytes(index % 256 for index in range(size))
    expected = [f"db load {size}"]
    expected += [f"db {data[start : start + 31].hex()}" for start in range(0, size, 31)]
    answers = dict.fromkeys(expected, reply())
    answers[expected[-1]] = reply("m-load-done")
    talking, script = device(answers, step=64)
    talking.load(data)
    assert script.commands == expected


def test_results_are_exact_integers():
    wide = "m-results-[-9223372036854775808,9223372036854775807,0]"
    answers = {
        "infer 10 2": reply(
            *("m-warmup-start-2", "m-warmup-done", "m-infer-start-10", "m-lap-us-4294967290"),
            *("m-lap-us-4294968290", "m-infer-done", wide),
        ),
        "infer 1 0": reply("m-infer-start-1", "m-infer-done", wide),
        "results": reply(wide),
    }
    talking, _ = device(answers)
    scores = (-(2**63), 2**63 - 1, 0)
    done = talking.infer(10, 2)
    assert done == Inference(scores, 10, 4294967290, 4294968290)
    assert done.microseconds == 100
    assert talking.infer().microseconds is None  # an energy build
    assert talking.results() == scores


def test_refusals_are_told():
    talking, _ = device({"infer 1 0": reply("e-[Input incomplete: 40 bytes are missing]")})
    expected = r"COM3 refuses the command 'infer 1 0': Input incomplete: 40 bytes are missing"
    with pytest.raises(QDeployError, match=expected):
        talking.infer()


@pytest.mark.parametrize("sent", [b"", b"garbage", b"\xff\xfe\r\nnothing\r\n"])
def test_silence_is_told(sent):
    talking, _ = device(sent=sent)
    with pytest.raises(QDeployError, match=r"COM3 did not answer 'start-up' within 0.05 s"):
        talking.wait_until_ready()


def test_another_firmware_is_told():
    talking, _ = device({"name": reply("hello")})
    with pytest.raises(QDeployError, match="'hello', which is not the protocol"):
        talking.name()


def test_session_loads_and_infers_each_sample():
    answers = {
        "db load 2": reply("m-[Expecting 2 bytes]"),
        "db 80ff": reply("m-load-done"),
        "db 017f": reply("m-load-done"),
        "infer 1 0": reply("m-results-[7,-8]"),
    }
    talking, script = device(answers)
    session = DeviceSession(talking, 2, 2, "int32")
    scores = session(np.array([[-128, -1], [1, 127]], dtype=np.int8))
    assert scores.dtype == np.int32
    assert scores.tolist() == [[7, -8], [7, -8]]
    assert len(script.commands) == 6
    assert session(np.zeros((0, 2), dtype=np.int8)).shape == (0, 2)


def test_session_refuses_other_inputs_and_another_models_device():
    answers = {"db load 2": reply(), "db 0000": reply("m-load-done")}
    talking, _ = device(answers | {"infer 1 0": reply("m-results-[1,2,3]")})
    session = DeviceSession(talking, 2, 2, "int64")
    with pytest.raises(QDeployError, match="takes an int8 array"):
        session(np.zeros((1, 3), dtype=np.int8))
    with pytest.raises(QDeployError, match="gives 3 scores, the model has 2"):
        session(np.zeros((1, 2), dtype=np.int8))
