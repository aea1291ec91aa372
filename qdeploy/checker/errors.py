"""Why a certificate does not hold, in one sentence."""

__all__ = ["RefutationError"]


class RefutationError(Exception):
    """The certificate does not hold; `certify` turns this into its result."""
