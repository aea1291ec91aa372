"""The front of accuracy against bytes and operations: networks of doubling widths on one split."""

from qdeploy.fronts.files import write_front
from qdeploy.fronts.points import Front, FrontPoint, not_dominated
from qdeploy.fronts.tracing import trace

__all__ = ["Front", "FrontPoint", "not_dominated", "trace", "write_front"]
