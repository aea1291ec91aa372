"""TVM's RPC server on the loopback, with a module of this machine in place of a board's."""

import numpy as np
import pytest

from qdeploy.benchmark import bench
from qdeploy.benchmark.arm.rpc_board import RpcBoard
from qdeploy.compiler.arm.artifact import LinuxArtifact
from qdeploy.errors import QDeployError


@pytest.fixture(scope="module")
def server():
    from tvm import rpc

    started = rpc.Server("127.0.0.1", 9190, silent=True)
    yield f"127.0.0.1:{started.port}"
    started.terminate()


def test_the_virtual_machine_on_a_board(server, linux_artifact, artifact, monkeypatch):
    monkeypatch.setattr(LinuxArtifact, "module", artifact.module)
    report = bench(linux_artifact, peers=[], rpc=server, seconds=0.01)
    median, slow = (
        report.find(f"latency_{metric}", implementation="qdeploy-vm")[0]
        for metric in ("median", "p99")
    )
    assert 0 < median.value <= slow.value
    assert median.obtained == "measured"
    assert "time_evaluator" in median.note
    assert report.titles["qdeploy-vm"] == "qdeploy (Relax VM)"
    rates = report.find("throughput", implementation="qdeploy-vm")
    assert [figure.batch for figure in rates] == [1, 8, 64, 512]
    assert report.find("instructions", implementation="qdeploy", batch=1)


def test_a_module_that_the_board_cannot_run(server, linux_artifact):
    with pytest.raises(QDeployError, match=r"module\.so cannot be loaded by TVM at"):
        bench(linux_artifact, peers=[], rpc=server)


def test_other_scores_are_refused(server, linux_artifact, artifact, monkeypatch):
    monkeypatch.setattr(LinuxArtifact, "module", artifact.module)
    monkeypatch.setattr(
        "qdeploy.network.QuantizedNetwork.forward",
        lambda network, x: np.zeros((len(x), network.outputs), dtype=network.score_dtype),
    )
    board = RpcBoard(server)
    inputs = np.ones((2, linux_artifact.model.network.inputs), dtype=np.int8)
    with pytest.raises(QDeployError, match="gives other scores than the model"):
        board.measure(linux_artifact, inputs, (1,), None, {}, None, None)


@pytest.mark.parametrize("text", ["board", "board:", "board:x", "board:9090/", "ssh://board:1"])
def test_what_is_no_address(text):
    with pytest.raises(QDeployError, match="is no address for TVM's RPC"):
        RpcBoard(text)


def test_nobody_listens():
    with pytest.raises(QDeployError, match=r"no RPC server of TVM answers at 127\.0\.0\.1:9"):
        RpcBoard("127.0.0.1:9")
