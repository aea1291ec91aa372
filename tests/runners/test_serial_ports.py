import os

import pytest

from qdeploy.errors import QDeployError
from qdeploy.runners.serial_ports import BoardPort, SerialStream, find_port


@pytest.mark.parametrize(
    ("vid", "pid", "product", "what"),
    [
        (0x0483, 0x374B, "STM32 STLink", "ST-LINK"),
        (0x0483, 0x374E, "STLINK-V3", "ST-LINK"),
        (0x1366, 0x1051, "J-Link", "J-Link"),
        (0x0D28, 0x0204, "BBC micro:bit", "DAPLink"),
        (0x2E8A, 0x000C, "Debug Probe (CMSIS-DAP)", "Raspberry Pi Debug Probe"),
        (0x03EB, 0x2141, "EDBG CMSIS-DAP", "CMSIS-DAP"),
    ],
)
def test_boards_are_known_by_their_probe(usb, vid, pid, product, what):
    usb("/dev/ttyS0")
    usb("/dev/ttyUSB0", 0x0403, 0x6001, "FT232R USB UART")
    usb("/dev/ttyACM1", 0x0483, 0x5740, "STM32 Virtual ComPort")
    usb("/dev/ttyACM0", vid, pid, product, "0123")
    assert find_port() == BoardPort("/dev/ttyACM0", what, "0123")


def test_no_board(usb):
    with pytest.raises(QDeployError, match="is plugged in; plug one in by USB"):
        find_port()
    usb("/dev/ttyS0")
    usb("/dev/ttyUSB0", 0x0403, 0x6001, "FT232R USB UART")
    with pytest.raises(QDeployError, match=r"name one of the other ports \(/dev/ttyUSB0\)"):
        find_port()


def test_several_boards_and_a_named_one(usb):
    usb("/dev/ttyACM1", 0x1366, 0x1051, "J-Link", "7")
    usb("/dev/ttyACM0", 0x0483, 0x374B, "STM32 STLink", "66FF")
    usb("/dev/ttyUSB0", 0x0403, 0x6001, "FT232R USB UART", "A9")
    told = r"plugged in: /dev/ttyACM0 \(ST-LINK\), /dev/ttyACM1 \(J-Link\); name one port"
    with pytest.raises(QDeployError, match=told):
        find_port()
    assert find_port("/dev/ttyACM1") == BoardPort("/dev/ttyACM1", "J-Link", "7")
    assert find_port("/dev/ttyUSB0") == BoardPort("/dev/ttyUSB0", "FT232R USB UART", "A9")
    assert find_port("/dev/pts/9") == BoardPort("/dev/pts/9")


def test_a_port_that_is_not_there():
    pytest.importorskip("serial")
    with pytest.raises(QDeployError, match="/dev/no-such-port cannot be opened"):
        SerialStream(BoardPort("/dev/no-such-port"), 115200)


def test_a_port_belongs_to_one_program(simulated_board):
    first = SerialStream(BoardPort(simulated_board.port), 115200)
    with pytest.raises(QDeployError, match="close other programs"):
        SerialStream(BoardPort(simulated_board.port), 115200)
    first.close()
    SerialStream(BoardPort(simulated_board.port), 115200).close()


def test_what_arrives_is_read_at_once_and_its_time_is_known(simulated_board):
    stream = SerialStream(BoardPort(simulated_board.port), 115200)
    stream.write(b"name")
    os.write(simulated_board.master, b"m-infer-start-5\r\n")
    heard = b""
    while len(heard) < 17:
        heard += stream.read(4096)
    assert stream.arrival(b"m-infer-start-") is None  # nothing after it yet
    os.write(simulated_board.master, b"m-infer-done")
    while len(heard) < 29:
        heard += stream.read(5)
    assert heard == b"m-infer-start-5\r\nm-infer-done"
    start, end = stream.arrival(b"m-infer-start-")
    assert start <= end
    assert stream.arrival(b"m-results") is None
    assert stream.read(10) == b""
    stream.write(b"again")
    assert stream.arrival(b"m-infer-start-") is None
    stream.close()
