"""Health of a run: figures, of normal data alone, that tell whether training works, and the ranges a recipe asks for.

Losses can fall while a method fails: clusters empty, codes shrink, a discriminator wins for good. Every method says
what shows that (``VideoAnomalyDetector.health``). The figures are logged after each epoch; at the end of each
phase those that a recipe gives a range for are checked.
"""

from collections.abc import Mapping
from typing import Any

from keras_vad.errors import VadError

#: Lowest and highest value; ``None`` for no bound.
Range = tuple[float | None, float | None]

PREFIX = "health_"  # of the figures' columns in metrics.csv


def check_range_of_health(name: str, bounds: Any) -> None:
    """Refuse what is not a range.

    Args:
        name: Of the figure.
        bounds: A ``Range``; ``None`` switches the check of the figure off.

    Raises:
        VadError: It names the figure and what was found.
    """
    if bounds is None:
        return
    numbers = bounds if isinstance(bounds, tuple) else ()
    known = [number for number in numbers if number is not None]
    fine = len(numbers) == 2 and bool(known) and known == sorted(known)
    if not fine or any(isinstance(number, bool) or not isinstance(number, int | float) for number in known):
        raise VadError(
            f"health.{name} is {bounds!r}, but must hold the lowest and the highest value, null for no bound, as in "
            "[2, null]; null alone switches the check off."
        )


def unhealthy(figures: Mapping[str, float], ranges: Mapping[str, Range | None]) -> list[str]:
    """What is wrong with a run, a clause for each figure outside its range.

    Args:
        figures: Health figures by name. Ranges of others are not checked: a phase or a variant of the method may lack
            them.
        ranges: The recipe's.

    Returns:
        Empty if all is well. A figure that is NaN is outside every range.

    Example:
    >>> unhealthy({"clusters_used": 3.0}, {"clusters_used": (15, None)})
    ['clusters_used is 3, but must be at least 15']
    """
    found = []
    for name, bounds in ranges.items():
        if bounds is None or name not in figures:
            continue
        low, high = bounds
        value = figures[name]
        if low is not None and not value >= low:
            found.append(f"{name} is {value:.4g}, but must be at least {low:g}")
        elif high is not None and not value <= high:
            found.append(f"{name} is {value:.4g}, but must be at most {high:g}")
    return found
