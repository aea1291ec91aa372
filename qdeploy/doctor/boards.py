"""Boards that are plugged in, by the serial ports of this machine."""

from qdeploy.doctor.findings import Finding

__all__ = ["boards"]


def boards() -> Finding:
    """Serial ports on USB: boards, their debug probes, adapters. Others have no board behind."""
    try:
        from serial.tools import list_ports

        ports = [port for port in list_ports.comports() if port.vid is not None]
    except ImportError:
        ports = []
    told = [
        f"{port.device} ({port.product or port.description}, {port.vid:04x}:{port.pid:04x})"
        for port in sorted(ports)
    ]
    return Finding(
        name="connected boards",
        found=bool(ports),
        version="; ".join(told) or None,
        adds="benchmarks on the board itself",
        get="plug one in by USB; under Linux its user must be in the group of the port (dialout)",
        required=False,
    )
