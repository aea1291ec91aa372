"""Errors that a user can mend: one sentence each, saying what was wrong, where, and what to do."""

__all__ = ["QDeployError"]


class QDeployError(Exception):
    """Bad input, an impossible request or a proof that does not hold.

    The command line prints the message as one line behind ``qdeploy: error:`` and exits with
    status 1. Anything else that escapes is a bug in qdeploy.
    """
