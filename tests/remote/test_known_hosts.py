"""Addresses and known_hosts, by OpenSSH's rules."""

import shutil
import subprocess

import pytest

from qdeploy.errors import QDeployError
from qdeploy.remote.address import Address, parse_address
from qdeploy.remote.known_hosts import KnownHosts

asyncssh = pytest.importorskip("asyncssh")
pytest.importorskip("paramiko")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("board", Address("board")),
        ("pi@10.0.0.7", Address("10.0.0.7", "pi")),
        ("pi@board.local:2222", Address("board.local", "pi", 2222)),
        ("pi@[fe80::1%eth0]:22", Address("fe80::1%eth0", "pi", 22)),
        ("[::1]", Address("::1")),
    ],
)
def test_addresses(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "pi@", "@board", "pi@board:", "pi@board:0", "pi@board:65536", "fe80::1", "a b"),
        *("-oProxyCommand=x", "pi@-x", "pi;ls@board", "$(id)@board", "pi@board/x", "pi@[x]"),
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(QDeployError, match="no address of a board; write user@host"):
        parse_address(text)


@pytest.fixture
def keys():
    """Two keys as paramiko has them, and as lines of known_hosts."""
    from paramiko.hostkeys import HostKeyEntry

    texts = [
        asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
        for _ in range(2)
    ]
    return [(HostKeyEntry.from_line(f"x {text}").key, text) for text in texts]


def known(tmp_path, *lines):
    file = tmp_path / "known_hosts"
    file.write_text("\n".join(lines) + "\n")
    return KnownHosts([file, tmp_path / "none"])


def test_several_keys_of_one_kind_are_all_good(tmp_path, keys):
    (first, one), (second, two) = keys
    hosts = known(tmp_path, f"board,10.0.0.7 {one}", "", "# board x", f"BOARD {two} comment")
    assert hosts.keys("board") == [first, second]
    assert hosts.keys("10.0.0.7") == [first]
    assert hosts.keys("[board]:2222") == []


def test_patterns(tmp_path, keys):
    (first, one), _ = keys
    hosts = known(tmp_path, f"*.lab,!bad.lab,[*.lab]:222? {one}")
    assert hosts.keys("a.lab") == [first]
    assert hosts.keys("[a.lab]:2223") == [first]
    for name in ("bad.lab", "lab", "a.laboratory", "[a.lab]:22", "axlab"):
        assert hosts.keys(name) == []


def test_marked_lines(tmp_path, keys):
    (first, one), (second, two) = keys
    hosts = known(tmp_path, f"@revoked * {one}", f"@cert-authority * {two}", f"board {one}")
    assert hosts.keys("board") == [first]
    assert hosts.is_revoked("board", first)
    assert not hosts.is_revoked("board", second)


@pytest.mark.parametrize(
    "line",
    ["board", "board ssh-ed25519", "board ssh-ed25519 !!", "board nonsense AAAA", "|1|x|y z AAAA"],
)
def test_broken_lines_are_passed_over(tmp_path, keys, line):
    (first, one), _ = keys
    assert known(tmp_path, line, f"board {one}").keys("board") == [first]


def test_remembered_keys_are_found(tmp_path, keys):
    (first, _), (second, _) = keys
    file = tmp_path / ".ssh" / "known_hosts"
    hosts = KnownHosts([file])
    hosts.remember("[board]:2222", first)
    hosts.remember("board", second)
    assert hosts.keys("[board]:2222") == [first]
    assert hosts.keys("board") == [second]
    assert file.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(QDeployError, match="cannot be remembered in"):
        KnownHosts([tmp_path]).remember("board", first)


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen here")
def test_hashed_names(tmp_path, keys):
    (first, one), _ = keys
    hosts = known(tmp_path, f"board {one}", f"[board]:2222 {one}")
    file = tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-H", "-f", file], check=True, capture_output=True)
    assert "board" not in file.read_text()
    assert hosts.keys("board") == hosts.keys("[board]:2222") == [first]
    assert hosts.keys("other") == []
