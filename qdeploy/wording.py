"""Parts of sentences that several error messages need."""

import difflib
from collections.abc import Collection, Sequence

__all__ = ["did_you_mean", "listing"]


def listing(names: Sequence[str], limit: int = 8) -> str:
    """Quoted names for a sentence, shortened when there are many."""
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The part of a sentence that offers names close to an unknown one, or an empty string."""
    folded = [other for other in known if other.casefold() == name.casefold()]
    close = difflib.get_close_matches(name, sorted(known), n=3)
    offers = list(dict.fromkeys([*folded, *close]))
    return f"; perhaps {' or '.join(map(repr, offers))} is meant" if offers else ""
