"""Modules on TVM's RPC server and on a board of its tracker, both on the loopback interface."""

import importlib.util
import time

import numpy as np
import pytest

from qdeploy.benchmark.relax_timer import RelaxTimer
from qdeploy.compiler import compile_model
from qdeploy.errors import QDeployError
from qdeploy.model import Classes, Model
from qdeploy.network import QuadraticLayer, QuantizedNetwork, ReadoutLayer
from qdeploy.runners.rpc import RpcRunner

PORTS = (29_170, 29_270)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    rng = np.random.default_rng(0)
    draw = lambda: rng.choice([-1, 1], (5, 7))  # noqa: E731
    network = QuantizedNetwork(
        [
            QuadraticLayer(draw(), draw(), np.full(5, 32), np.full(5, -32)),
            ReadoutLayer(rng.integers(-99, 99, (5, 3)), np.zeros(3, dtype=int)),
        ]
    )
    model = Model("remote", network, 1.0, Classes(("a", "b", "c")))
    return compile_model(model, output=tmp_path_factory.mktemp("rpc") / "artifact")


@pytest.fixture(scope="module")
def server():
    from tvm.rpc.server import Server

    made = Server("127.0.0.1", *PORTS, silent=True)
    yield made
    made.terminate()


def inputs(rows):
    return np.random.default_rng(rows).integers(-128, 128, (rows, 7)).astype(np.int8)


def test_a_server_gives_the_networks_bits_and_times_them(server, artifact):
    with RpcRunner(f"127.0.0.1:{server.port}").open(artifact) as session:
        for rows in (0, 1, 5, 200):
            x = inputs(rows)
            scores = session(x)
            np.testing.assert_array_equal(scores, artifact.model.network.forward(x))
        timer = RelaxTimer(session.machine, inputs(4)[:, np.newaxis], device=session.device)
        seconds = timer.measure(calls=3, groups=5)
        assert seconds.shape == (5,)
        assert (seconds > 0).all()
        with pytest.raises(QDeployError, match=r"int8 array of shape \(n, 7\)"):
            session(np.zeros((2, 8), dtype=np.int8))


def test_a_module_of_another_machine_is_one_sentence(server, artifact, tmp_path):
    class Foreign:
        manifest = artifact.manifest
        module = tmp_path / "module.so"

    Foreign.module.write_bytes(b"\x7fELF of another kind")
    with pytest.raises(QDeployError, match=r"^module\.so cannot be loaded by TVM at .*[^\n]*$"):
        RpcRunner(f"127.0.0.1:{server.port}").open(Foreign())


def test_a_server_that_ends_is_one_sentence(artifact):
    from tvm.rpc.server import Server

    server = Server("127.0.0.1", *PORTS, silent=True)
    session = RpcRunner(f"127.0.0.1:{server.port}").open(artifact)
    server.terminate()
    with pytest.raises(QDeployError, match=r"the module failed at 127\.0\.0\.1"):
        session(inputs(1))


@pytest.mark.parametrize(
    ("address", "what"), [("127.0.0.1:1", "RPC server"), ("127.0.0.1:1/board", "RPC tracker")]
)
def test_nobody_there(artifact, address, what):
    with pytest.raises(QDeployError, match=rf"no {what} of TVM answers at {address} .*apache-tvm"):
        RpcRunner(address).open(artifact)


@pytest.mark.parametrize("address", ["board", "board:", "board:x", ":9090", "a b:9090", "b:1/"])
def test_addresses_that_are_none(address):
    with pytest.raises(QDeployError, match="no address for TVM's RPC"):
        RpcRunner(address)


def wait_for_board(place):
    """A server tells its tracker of itself in its own time."""
    from tvm.rpc import connect_tracker

    tracker = connect_tracker(*place)
    for _ in range(100):
        if tracker.summary()["server_info"]:
            return
        time.sleep(0.1)


@pytest.mark.skipif(
    not importlib.util.find_spec("tornado"), reason="TVM's tracker needs tornado, boards do not"
)
def test_a_tracker_lends_a_board(artifact):
    from tvm.rpc.server import Server
    from tvm.rpc.tracker import Tracker

    tracker = Tracker("127.0.0.1", *PORTS, silent=True)
    place = ("127.0.0.1", tracker.port)
    server = Server("127.0.0.1", *PORTS, key="pi", tracker_addr=place, silent=True)
    try:
        wait_for_board(place)
        with RpcRunner(f"127.0.0.1:{tracker.port}/pi").open(artifact) as session:
            x = inputs(9)
            np.testing.assert_array_equal(session(x), artifact.model.network.forward(x))
        with pytest.raises(QDeployError, match="has no board 'jetson'; it has pi"):
            RpcRunner(f"127.0.0.1:{tracker.port}/jetson").open(artifact)
    finally:
        server.terminate()
        tracker.terminate()
