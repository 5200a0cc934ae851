"""What code a figure was made with."""

import subprocess
from pathlib import Path


def git_revision() -> str | None:
    """Revision of the checkout this package runs from, with ``-dirty`` if the package was changed since.

    Changes elsewhere do not count: who evaluates several detectors changes the table of results. ``None`` outside of a
    checkout.
    """
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        told = subprocess.run([*git, "describe", "--always", "--abbrev=12"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain", "--", "."], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    revision = told.stdout.strip()
    return f"{revision}-dirty" if revision and changes.stdout.strip() else revision or None
