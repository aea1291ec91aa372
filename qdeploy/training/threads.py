"""Threads of the linear algebra libraries.

The matrices of one output are small: threads inside them cost more than they give, and much more
when several outputs are trained at once. Parallelism is over outputs and folds.
"""

from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits

__all__ = ["single_threaded"]


def single_threaded() -> AbstractContextManager[object]:
    """Within this context, BLAS uses one thread."""
    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
