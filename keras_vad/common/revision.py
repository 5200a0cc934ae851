"""What code a figure was made with."""

import subprocess
from pathlib import Path


def git_revision() -> str | None:
    """Revision of the checkout this package runs from, with ``-dirty`` if it was changed; ``None`` outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
