"""Entry point of ``qdeploy`` and ``python -m qdeploy``."""

import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line on the process's arguments and exit with its status."""
    # A polite kill unwinds like an interrupt, so that no half-written file is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        from qdeploy.cli.app import run

        sys.exit(run())
    except KeyboardInterrupt:
        # Before the command began or after it ended; `run` speaks of those in between.
        sys.exit(130)


if __name__ == "__main__":
    main()
