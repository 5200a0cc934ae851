"""Where the checkout lies, and what a process of its own must know to import from it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "serving" / "server", ROOT / "serving" / "client")))
