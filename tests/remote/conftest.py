"""Ssh servers on the loopback interface, with keys made on the spot and a home folder of their own.

One is asyncssh's, in a thread; the other is OpenSSH's, where it is installed.
"""

import asyncio
import contextlib
import getpass
import os
import platform
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("paramiko")
asyncssh = pytest.importorskip("asyncssh")

from qdeploy.remote import SshPlace  # noqa: E402

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """What both kinds have in common.

    Attributes:
        port: where it listens, also when it was stopped and started anew.
        host_key: its key, which may be changed while it is stopped.
    """

    def __init__(self, folder, authorized):
        self.folder = folder
        self.authorized = authorized
        self.port = free_port()
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.sftp = True

    @property
    def address(self):
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def known_hosts_line(self):
        public = self.host_key.export_public_key().decode().strip()
        return f"[127.0.0.1]:{self.port} {public}\n"

    def new_host_key(self, kind="ssh-ed25519"):
        self.host_key = asyncssh.generate_private_key(kind)

    def restart(self):
        self.stop()
        self.start()


async def pump(source, target):
    """Hand bytes on until either end is gone."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()


class AsyncServer(Server):
    name = "asyncssh"

    def start(self):
        self.loop = asyncio.new_event_loop()
        self.connections = []
        started = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(started,), daemon=True)
        self.thread.start()
        assert started.wait(20)

    def serve(self, started):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.listen())
        started.set()
        self.loop.run_forever()
        # What waits for connections that are gone would wait for ever.
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def listen(self):
        connections = self.connections

        class Listener(asyncssh.SSHServer):
            def connection_made(self, connection):
                connections.append(connection)

            def connection_requested(self, *addresses):
                return True

        self.acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=Listener,
            server_host_keys=[self.host_key],
            authorized_client_keys=str(self.authorized),
            process_factory=self.process,
            sftp_factory=self.sftp,
            encoding=None,
            reuse_address=True,
        )

    async def process(self, process):
        child = await asyncio.create_subprocess_shell(
            process.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

        async def feed():
            await pump(process.stdin, child.stdin)
            child.stdin.close()

        fed = asyncio.create_task(feed())
        await asyncio.gather(pump(child.stdout, process.stdout), pump(child.stderr, process.stderr))
        process.exit(await child.wait())
        await fed

    def drop(self):
        """Break all connections, and go on listening."""

        def abort():
            for connection in self.connections:
                connection.abort()
            self.connections.clear()

        self.loop.call_soon_threadsafe(abort)

    def stop(self):
        if not self.thread.is_alive():
            return

        async def end():
            self.acceptor.close()
            for connection in self.connections:
                connection.abort()
            await self.acceptor.wait_closed()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)


class OpenServer(Server):
    name = "sshd"

    def start(self):
        key = self.folder / "host_key"
        key.write_bytes(self.host_key.export_private_key())
        key.chmod(0o600)
        config = self.folder / "sshd_config"
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {key}",
            f"PidFile {self.folder / 'pid'}",
            f"AuthorizedKeysFile {self.authorized}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            *(["Subsystem sftp internal-sftp"] if self.sftp else []),
        ]
        config.write_text("\n".join(lines) + "\n")
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)  # as its service does at start-up
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=log)
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.skip("sshd does not start here: " + (self.folder / "log").read_text()[-300:])
            time.sleep(0.02)

    def sessions(self):
        """Processes of the connections."""
        with contextlib.suppress(psutil.NoSuchProcess):
            listener = psutil.Process(self.process.pid)
            return [each for each in listener.children(recursive=True) if "sshd" in each.name()]
        return []

    def drop(self):
        """Break all connections, and go on listening."""
        for each in self.sessions():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def stop(self):
        self.drop()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, with a key of the user and no agent."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(folder / ".ssh" / "id_ed25519"))
    key.write_public_key(str(folder / ".ssh" / "id_ed25519.pub"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def board_tmp(tmp_path, monkeypatch):
    """Where the servers' processes make their folders."""
    folder = tmp_path / "board tmp's"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def kind():
    """asyncssh's server, but for the tests that say otherwise."""
    return "asyncssh"


@pytest.fixture
def server(kind, home, board_tmp, tmp_path):
    """A server that the user's key is good for, and whose host key the user knows."""
    authorized = tmp_path / "authorized_keys"
    shutil.copy(home / ".ssh" / "id_ed25519.pub", authorized)
    (tmp_path / "server").mkdir()
    if kind == "sshd" and not SSHD:
        pytest.skip("sshd is not installed")
    made = {"asyncssh": AsyncServer, "sshd": OpenServer}[kind](tmp_path / "server", authorized)
    made.start()
    (home / ".ssh" / "known_hosts").write_text(made.known_hosts_line)
    yield made
    made.stop()


@pytest.fixture
def connect(server):
    """Connects to the server; closes what is still open in the end."""
    places = []

    def make(address=None, **options):
        options = {"machine": platform.machine(), "timeout": 5.0, "patience": 20.0, **options}
        places.append(SshPlace(address or server.address, **options))
        return places[-1]

    yield make
    for place in places:
        place.close()
