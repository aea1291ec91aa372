"""Things that come in kinds (losses, relaxations, bounds, kernel forms, peers, meters, runners).

A kind is one module that registers itself by name; adding one touches no other file. The modules
of the package are imported on the first look-up, so an unused solver costs nothing at start-up.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from qdeploy.errors import QDeployError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of named implementations, filled by the modules of one package.

    Args:
        kind: what the entries are, in the singular, for messages ("loss", "kernel form").
        package: dotted name of the package whose modules register the entries.
    """

    def __init__(self, kind: str, package: str) -> None:
        self._kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator (or plain call on an instance) that enters an implementation under `name`."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"two entries register as {self._kind} {name!r}")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        self._discover()
        if name not in self._entries:
            raise QDeployError(
                f"unknown {self._kind} {name!r}; choose one of {', '.join(self.names())}"
            )
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """The registered names, sorted."""
        self._discover()
        return tuple(sorted(self._entries))

    def values(self) -> tuple[T, ...]:
        """The registered implementations, in the order of `names`."""
        return tuple(self._entries[name] for name in self.names())

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True
