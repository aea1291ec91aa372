"""Programs on a board by ssh: copied, run, cleaned up, whatever happens to the connection."""

import os
import platform
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from qdeploy.errors import QDeployError
from qdeploy.firmware import ModelInterface
from qdeploy.remote import SshPlace
from qdeploy.runners.ssh import SshRunner

BOTH = pytest.mark.parametrize("kind", ["asyncssh", "sshd"])
OPENSSH = pytest.mark.parametrize("kind", ["sshd"])


@pytest.fixture
def script(tmp_path):
    """Writes a program: a script of the shell, which the place copies."""

    def write(text, name="program"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        return path

    return write


def eventually(condition, what):
    """Wait until something is so."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.01)


def sentence(error):
    """The message of an error, which is one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


@BOTH
def test_a_program_is_copied_once_run_and_removed(connect, script, tmp_path):
    program = script('echo "$0" >> "$1"; echo "got $2"; cat')
    calls = tmp_path / "calls with 'quotes'"
    place = connect()
    for _ in range(2):
        output = place.run(program, [str(calls), "a b;$HOME*'\""], b"data\0\xff")
        assert output == b"got a b;$HOME*'\"\ndata\0\xff"
    paths = calls.read_text().splitlines()
    assert len(paths) == 2
    assert len(set(paths)) == 1
    folder = Path(paths[0]).parent
    assert re.fullmatch(r"qdeploy-\w{10}", folder.name)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in folder.iterdir()] == [Path(paths[0]).name]
    program.write_text("#!/bin/sh\necho other\n")
    assert place.run(program) == b"other\n"
    place.close()
    assert not folder.exists()
    with pytest.raises(QDeployError, match="was closed"):
        place.run(program)


@BOTH
def test_large_binary_data_goes_both_ways_at_once(connect, script):
    data = os.urandom(10 << 20)
    assert connect().run(script("exec cat"), data=data) == data


def test_output_that_nobody_asked_to_wait_for(connect, script):
    """A program that ends without reading its input, and complains at length."""
    program = script("head -c 3000000 /dev/zero; head -c 500000 /dev/zero | tr '\\0' 'x' >&2")
    assert connect().run(program, data=bytes(5 << 20)) == bytes(3_000_000)


@BOTH
def test_a_failing_program_is_one_sentence_and_leaves_nothing(connect, script):
    with connect() as place:
        folder = Path(place.put(script("exit 0"))).parent
        with pytest.raises(QDeployError) as error:
            place.run(script("echo first >&2; echo 'program: no such model' >&2; exit 3"))
        assert sentence(error) == f"program failed on {place.title} with status 3: no such model"
        with pytest.raises(QDeployError, match=r"with status 4: it said nothing"):
            place.run(script("exit 4"))
        with pytest.raises(QDeployError, match=r"was ended on .* by SIGSEGV"):
            place.run(script("kill -SEGV $$"))
        with pytest.raises(QDeployError, match=r"SIGILL: the processor lacks .*; compile it for"):
            place.run(script("kill -ILL $$"))
        assert place.run(script("echo fine")) == b"fine\n"
    assert not folder.exists()


def test_a_program_that_takes_too_long_is_stopped(connect, script, tmp_path):
    place = connect()
    mark = tmp_path / "pid"
    with pytest.raises(QDeployError) as error:
        place.run(script('echo $$ > "$1"; exec sleep 600'), [str(mark)], timeout=0.7)
    assert "program did not end within 0.7 s" in sentence(error)
    eventually(lambda: not psutil.pid_exists(int(mark.read_text())), "the end of the program")
    assert place.run(script("echo fine")) == b"fine\n"


def test_the_runner_opens_a_session(server, script, home):
    """A model of four inputs and one score: its inputs, as the bytes of the score."""
    artifact = SimpleNamespace(
        run_program=script("exec cat"), interface=ModelInterface("toy", 4, 1, "int32")
    )
    runner = SshRunner(server.address, machine=platform.machine())
    with runner.open(artifact) as session:
        x = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
        assert session(x).tobytes() == x.tobytes()
        folder = Path(session.place.put(artifact.run_program)).parent
    assert not folder.exists()


def test_files_and_commands_of_the_board(connect, tmp_path):
    place = connect()
    assert place.command(["uname", "-m"]).strip() == platform.machine()
    assert place.command(["printf", "%s|", "a b", "$HOME", "'"]) == "a b|$HOME|'|"
    assert place.read("/proc/sys/kernel/osrelease").strip() == platform.release()
    assert place.read(str(tmp_path / "none")) is None
    with pytest.raises(QDeployError, match=r"ls failed on .* with status \d: .*none"):
        place.command(["ls", str(tmp_path / "none")])
    big = tmp_path / "big file"
    big.write_bytes(os.urandom(5 << 20))
    path = place.put(big)
    assert Path(path).read_bytes() == big.read_bytes()
    assert place.put(big) == path
    with pytest.raises(QDeployError, match="cannot be read"):
        place.put(tmp_path / "missing")


@BOTH
def test_without_sftp_files_go_through_the_shell(server, connect, script):
    server.sftp = False
    server.restart()
    data = os.urandom(100_000)
    assert connect().run(script("exec cat"), data=data) == data


@BOTH
def test_unknown_host_keys_are_refused_unless_told(server, connect, home, script):
    known = home / ".ssh" / "known_hosts"
    known.write_text("# nobody yet\nelsewhere ssh-ed25519 broken")
    with pytest.raises(QDeployError) as error:
        connect()
    assert "is unknown (ssh-ed25519 SHA256:" in sentence(error)
    assert "--accept-new-host-key" in sentence(error)
    assert known.read_text() == "# nobody yet\nelsewhere ssh-ed25519 broken"

    assert connect(accept_new_host_key=True).run(script("echo hello")) == b"hello\n"
    first, second, new = known.read_text().splitlines()
    assert [first, second] == ["# nobody yet", "elsewhere ssh-ed25519 broken"]
    assert server.known_hosts_line.startswith(new)
    assert connect().run(script("echo again")) == b"again\n"


@pytest.mark.parametrize(
    ("kind", "key"),
    [("asyncssh", "ssh-ed25519"), ("asyncssh", "ecdsa-sha2-nistp256"), ("sshd", "ssh-ed25519")],
)
def test_changed_host_keys_are_refused_always(server, connect, home, key):
    before = (home / ".ssh" / "known_hosts").read_text()
    server.stop()
    server.new_host_key(key)
    server.start()
    for accept in (False, True):
        with pytest.raises(QDeployError) as error:
            connect(accept_new_host_key=accept)
        assert "has changed" in sentence(error)
        assert "ssh-keygen -R" in sentence(error)
    assert (home / ".ssh" / "known_hosts").read_text() == before


def test_a_known_key_is_asked_for_among_several(server, connect, home):
    """The user knows an RSA key alone, which servers and clients do not prefer."""
    server.stop()
    server.new_host_key("ssh-rsa")
    server.start()
    (home / ".ssh" / "known_hosts").write_text(server.known_hosts_line)
    assert connect().command(["echo", "hello"]) == "hello\n"


@BOTH
def test_a_dropped_connection_is_survived(server, connect, script, tmp_path):
    runs = tmp_path / "runs"
    program = script('echo $$ >> "$1"; test $(wc -l < "$1") -gt 1 || exec sleep 600; cat')
    place = connect()
    folder = Path(place.put(program)).parent
    data = os.urandom(1 << 20)

    def drop():
        eventually(lambda: runs.exists() and runs.read_text(), "the first run")
        server.drop()

    thread = threading.Thread(target=drop)
    thread.start()
    assert place.run(program, [str(runs)], data) == data
    thread.join()
    first, second = map(int, runs.read_text().split())
    assert first != second
    # What was left running would disturb a measurement.
    eventually(lambda: not psutil.pid_exists(first), "the end of the first run")
    assert Path(place.put(program)).parent == folder
    place.close()
    assert not folder.exists()


def test_a_board_that_starts_anew_loses_its_folder(server, connect, script):
    place = connect()
    program = script("exec cat")
    assert place.run(program, data=b"1") == b"1"
    first = Path(place.put(program))
    server.stop()
    first.unlink()
    first.parent.rmdir()
    return_of_the_board = threading.Timer(0.5, server.start)
    return_of_the_board.start()
    assert place.run(program, data=b"2") == b"2"
    assert Path(place.put(program)).parent != first.parent
    return_of_the_board.join()


def test_a_folder_is_removed_even_after_a_drop(server, connect, script):
    place = connect()
    folder = Path(place.put(script("exit 0"))).parent
    server.drop()
    eventually(lambda: not place._board.alive, "the drop")
    place.close()
    assert not folder.exists()


def test_connections_that_drop_again_and_again(server, connect, script, tmp_path):
    runs = tmp_path / "runs"
    place = connect(attempts=2)
    ended = threading.Event()

    def drop():
        seen = 0
        while not ended.is_set():
            if runs.exists() and (count := len(runs.read_text().split())) > seen:
                seen = count
                server.drop()
            time.sleep(0.01)

    thread = threading.Thread(target=drop)
    thread.start()
    with pytest.raises(QDeployError) as error:
        place.run(script('echo run >> "$1"; exec sleep 600'), [str(runs)])
    ended.set()
    thread.join()
    assert "dropped 2 times in a row" in sentence(error)
    assert runs.read_text().split() == ["run", "run"]


def test_a_board_that_stays_away_is_one_sentence(server, connect, script):
    place = connect(patience=0.5)
    program = script("echo hello")
    assert place.run(program) == b"hello\n"
    server.stop()
    with pytest.raises(QDeployError) as error:
        place.run(program)
    assert "dropped and the board stayed away for 0.5 s" in sentence(error)
    assert "Connection refused" in sentence(error)
    place.close()


@OPENSSH
def test_a_board_that_is_silent_is_noticed(server, connect, script, tmp_path):
    """The kernel of the board answers, its ssh server does not: nothing breaks by itself."""
    runs = tmp_path / "runs"
    place = connect(timeout=1.0)
    frozen = []

    def freeze():
        eventually(lambda: runs.exists() and runs.read_text(), "the first run")
        for each in server.sessions():
            each.suspend()
            frozen.append(each)

    thread = threading.Thread(target=freeze)
    thread.start()
    program = script('echo run >> "$1"; test $(wc -l < "$1") -gt 1 || exec sleep 600; cat')
    assert place.run(program, [str(runs)], b"data") == b"data"
    thread.join()
    assert frozen
    for each in frozen:
        each.kill()


def test_nobody_there(home):
    with pytest.raises(QDeployError) as error:
        SshPlace("pi@127.0.0.1:1", timeout=2)
    assert sentence(error) == (
        "no ssh server answers at pi@127.0.0.1:1: Connection refused; look at its address, power "
        "and network"
    )


def test_keys_that_are_not_accepted(server, connect, home, tmp_path):
    import asyncssh

    other = tmp_path / "other key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    locked = tmp_path / "locked"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(locked), passphrase="x")
    for identity in (other, locked):
        with pytest.raises(QDeployError) as error:
            connect(identity=identity)
        assert f"the key {identity} is not accepted by " in sentence(error)
        assert "ssh-copy-id" in sentence(error)
    with pytest.raises(QDeployError, match="there is no key file"):
        connect(identity=tmp_path / "none")
    assert connect(identity=home / ".ssh" / "id_ed25519").command(["echo", "in"]) == "in\n"
    (home / ".ssh" / "id_ed25519").unlink()
    with pytest.raises(QDeployError, match=r"none of the keys here is accepted by "):
        connect()


@OPENSSH
def test_a_wrong_user(server, connect):
    with pytest.raises(QDeployError, match=r"is accepted by nobody-of-here@127\.0\.0\.1:"):
        connect(f"nobody-of-here@127.0.0.1:{server.port}")


def test_other_machines_are_refused(connect):
    with pytest.raises(QDeployError) as error:
        connect(machine="pdp11")
    assert f"is a machine of the kind {platform.machine()!r}, not 'pdp11'" in sentence(error)


def test_the_users_ssh_configuration_is_read(server, connect, home, tmp_path):
    key = tmp_path / "key"
    (home / ".ssh" / "id_ed25519").rename(key)
    user, port = server.address.split("@")[0], server.port
    (home / ".ssh" / "config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  User {user}\n  Port {port}\n  IdentityFile {key}\n"
        f"Host far\n  HostName 127.0.0.1\n  User {user}\n  Port {port}\n  IdentityFile {key}\n"
        "  ProxyJump board\n"
        "Host piped\n  HostName 127.0.0.1\n  HostKeyAlias named\n"
        f"  UserKnownHostsFile {tmp_path}/hosts\n  IdentityFile {key}\n"
        f"  ProxyCommand {PROXY} %h {port}\n"
        "Host round\n  ProxyJump round\n"
    )
    (tmp_path / "hosts").write_text("named " + server.known_hosts_line.split(" ", 1)[1])
    for alias in ("board", f"{user}@far", f"{user}@piped"):
        assert connect(alias).command(["echo", alias]) == f"{alias}\n"
    with pytest.raises(QDeployError, match="more than 8 hosts"):
        connect("round")
    (home / ".ssh" / "config").write_text("nonsense\n")
    with pytest.raises(QDeployError, match="cannot be understood"):
        connect("board")


PROXY = (
    "python3 -c 'import os,socket,sys,threading;s=socket.create_connection((sys.argv[1],"
    'int(sys.argv[2])));f=lambda r,w:[w(d) for d in iter(r,b"")];'
    "threading.Thread(target=f,args=(lambda:os.read(0,65536),s.sendall),daemon=True).start();"
    "f(lambda:s.recv(65536),lambda d:os.write(1,d))'"
)
