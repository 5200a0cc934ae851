"""What a user may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word that is most like one that is not known, for a message; empty if none is like it.

    Example:
    >>> did_you_mean("adv3dcea", ["adv3dcae", "luss_ae"])
    ' (did you mean adv3dcae?)'
    >>> did_you_mean("flower", ["adv3dcae", "luss_ae"])
    ''
    """
    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {found[0]}?)" if found else ""
