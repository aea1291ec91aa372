"""Training on the workers of a Dask scheduler."""

import sys
import threading
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from qdeploy.errors import QDeployError
from qdeploy.training import cluster
from qdeploy.training.cluster import on_cluster
from qdeploy.training.trainer import train


@pytest.fixture
def address():
    distributed = pytest.importorskip("distributed")
    workers = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with workers:
        yield workers.scheduler_address


def test_a_cluster_trains_the_same_model(address):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((60, 4))
    y = (x[:, 0] > 0.3).astype(int) + (x[:, 1] > 0)
    here = train(x, y, scaling="feature")
    with on_cluster(address):
        there = train(x, y, scaling="feature")
    assert there.selection.beta == here.selection.beta
    assert there.certificate.bound == here.certificate.bound
    for mine, theirs in zip(here.network.layers, there.network.layers, strict=True):
        assert mine.width == theirs.width


def test_an_address_where_nothing_answers_is_one_sentence(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    for wrong in ("tcp://127.0.0.1:9", "nowhere"):
        with pytest.raises(QDeployError, match="no Dask scheduler answers"), on_cluster(wrong):
            pass


@pytest.mark.parametrize("missing", [True, False])
def test_a_cluster_without_this_version_is_one_sentence(address, monkeypatch, missing):
    def version(name):
        if missing and threading.current_thread() is not threading.main_thread():
            raise PackageNotFoundError(name)
        main = threading.current_thread() is threading.main_thread()
        return "2.0" if main else "1.0"

    monkeypatch.setattr(cluster, "version", version)
    told = "has no qdeploy; install qdeploy 2.0" if missing else "has qdeploy 1.0; install"
    with pytest.raises(QDeployError, match=told), on_cluster(address):
        pass


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(QDeployError, match=r"qdeploy\[cluster\]"), on_cluster("tcp://host:1"):
        pass
