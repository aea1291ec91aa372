"""Many runs on a cluster: what joblib does in processes here, it does on Dask's workers there."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import joblib

from qdeploy.errors import QDeployError

__all__ = ["on_cluster"]

PATIENCE = 10
"""Seconds within which a scheduler must answer."""


@contextmanager
def on_cluster(address: str | None) -> Iterator[None]:
    """Within this context everything parallel runs on the workers of a Dask scheduler.

    Args:
        address: of the scheduler ("tcp://host:8786"), or None for this machine.

    Raises:
        QDeployError: the library is missing, nothing answers at the address, or what answers lacks
            this version of qdeploy.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise QDeployError(
            "a cluster needs Dask; install it with: pip install 'qdeploy[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise QDeployError(
            f"no Dask scheduler answers at {address!r}; start one with 'dask scheduler' and give "
            "the address that it prints"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise QDeployError(
                f"the Dask scheduler at {address!r} has no workers; start some with "
                f"'dask worker {address}'"
            )
        _check_versions(client, address)
        with joblib.parallel_config(backend="dask"):
            yield


def _check_versions(client: Any, address: str) -> None:
    """Work that cannot be unpacked over there would be waited for without end."""
    own = version("qdeploy")
    try:
        on_workers = client.run(version, "qdeploy").values()
        found = {client.run_on_scheduler(version, "qdeploy"), *on_workers}
    except PackageNotFoundError:
        raise QDeployError(
            f"the Dask scheduler at {address!r} or one of its workers has no qdeploy; install "
            f"qdeploy {own} on each"
        ) from None
    if found != {own}:
        raise QDeployError(
            f"the Dask scheduler at {address!r} or one of its workers has qdeploy "
            f"{', '.join(sorted(found - {own}))}; install qdeploy {own} on each"
        )
