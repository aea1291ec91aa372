"""The program of an ARM artifact on a board, over ssh.

It needs an address, so it is made for one and is in no registry.
"""

from pathlib import Path

from qdeploy.remote import ProgramArtifact, ProgramSession, SshPlace

__all__ = ["SshRunner"]


class SshRunner:
    """Copies NAME-run to a board and runs it there, one process a call.

    Args:
        address: ``[user@]host[:port]``.
        identity: private key file; by default those that ssh would take.
        accept_new_host_key: whether the key of an unknown host is taken and remembered.
        machine: what ``uname -m`` must tell there.
    """

    name = SshPlace.name
    family = "arm"
    title = "board over ssh"

    def __init__(
        self,
        address: str,
        *,
        identity: str | Path | None = None,
        accept_new_host_key: bool = False,
        machine: str = "aarch64",
    ) -> None:
        self._address = address
        self._identity = identity
        self._accept_new_host_key = accept_new_host_key
        self._machine = machine

    def open(self, artifact: ProgramArtifact) -> ProgramSession:
        """Connect; what was copied is removed when the session is closed.

        Raises:
            QDeployError: see `qdeploy.remote.SshPlace`.
        """
        place = SshPlace(
            self._address,
            identity=self._identity,
            accept_new_host_key=self._accept_new_host_key,
            machine=self._machine,
        )
        return ProgramSession(place, artifact.run_program, artifact.interface)
