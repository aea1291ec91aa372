"""The Relax module of an artifact on a board that TVM's RPC server or tracker reaches.

The board needs the apache-tvm of this version: TVM's own virtual machine runs the module there. It
needs an address, so it is made for one and is in no registry.
"""

import re
import socket
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from qdeploy.errors import QDeployError
from qdeploy.runners import Compiled, check_inputs

__all__ = ["RpcRunner", "RpcSession"]

_ADDRESS = re.compile(
    r"(?:\[(?P<literal>[^\]]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>\d+)(?:/(?P<key>\S+))?"
)
_SECONDS = 10.0
"""What a tracker gets to answer."""


class RpcSession:
    """A module that is loaded on a board; a `qdeploy.runners.Session`.

    Attributes:
        machine: tvm.relax.VirtualMachine there; its function is `main`.
        device: its processor, as TVM sees it from here.

    Args:
        remote: TVM's RPC session.
        artifact: whose module is uploaded.
        address: for messages.
    """

    def __init__(self, remote: Any, artifact: Compiled, address: str) -> None:
        import tvm
        from tvm import relax

        self._remote = remote
        self._address = address
        self._inputs = artifact.manifest.inputs
        self._tensor = tvm.runtime.tensor
        name = artifact.module.name
        try:
            remote.upload(str(artifact.module))
            self.device: Any = remote.cpu()
            self.machine: Any = relax.VirtualMachine(remote.load_module(name), self.device)
        except (RuntimeError, OSError, ValueError) as error:
            raise QDeployError(
                f"{name} cannot be loaded by TVM at {address} ({_first_line(error)}); compile it "
                f"for the board there, which needs apache-tvm {tvm.__version__} too"
            ) from None

    def __call__(self, x: NDArray[np.int8]) -> NDArray[np.integer]:
        """Scores (n, K) of int8 inputs (n, d).

        Raises:
            QDeployError: the board has gone.
        """
        x = check_inputs(x, self._inputs)
        try:
            scores: NDArray[np.integer] = self.machine["main"](self._tensor(x, self.device)).numpy()
        except (RuntimeError, OSError) as error:
            raise QDeployError(
                f"the module failed at {self._address} ({_first_line(error)}); look whether TVM's "
                "RPC server is still there"
            ) from None
        return scores

    def close(self) -> None:
        """Give the board back."""
        # TVM ends a connection when nothing refers to it any more.
        self.machine = self.device = self._remote = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RpcRunner:
    """Uploads an artifact's module and loads it there.

    Args:
        address: ``host:port`` of a server, or ``host:port/key`` of a tracker and the key of the
            boards to choose from; where all of them are taken, it waits for one.

    Raises:
        QDeployError: it is no such address.
    """

    name = "rpc"
    family = "arm"
    title = "board over TVM's RPC"

    def __init__(self, address: str) -> None:
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise QDeployError(
                f"{address!r} is no address for TVM's RPC; write host:port of a server, or "
                "host:port/key of a tracker"
            )
        self._address = address
        self._host = found["literal"] or found["host"]
        self._port = int(found["port"])
        self._key: str | None = found["key"]

    def open(self, artifact: Compiled) -> RpcSession:
        """Connect, upload and load.

        Raises:
            QDeployError: nobody answers, the tracker has no such boards, or the module does not
                suit the board.
        """
        return RpcSession(self.connect(), artifact, self._address)

    def connect(self) -> Any:
        """TVM's RPC session with a board.

        Raises:
            QDeployError: nobody answers, or the tracker has no such boards.
        """
        import tvm
        from tvm import rpc

        try:
            if self._key is None:
                return rpc.connect(self._host, self._port)
            # TVM itself tries for a minute and says so on the terminal.
            socket.create_connection((self._host, self._port), timeout=_SECONDS).close()
            tracker = rpc.connect_tracker(self._host, self._port)
            self._require(tracker.summary())
            return tracker.request(self._key)
        except (RuntimeError, OSError) as error:
            what = "RPC server" if self._key is None else "RPC tracker"
            raise QDeployError(
                f"no {what} of TVM answers at {self._address} ({_first_line(error)}); start it on "
                f"the board with: python -m tvm.exec.rpc_server (from apache-tvm {tvm.__version__})"
            ) from None

    def _require(self, summary: dict[str, Any]) -> None:
        """Refuse a key that the tracker has no board for: it would wait for one for ever."""
        known = {entry["key"].removeprefix("server:") for entry in summary["server_info"]}
        if self._key not in known:
            told = f"it has {', '.join(sorted(known))}" if known else "it has none at all"
            raise QDeployError(f"the tracker at {self._address} has no board {self._key!r}; {told}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
