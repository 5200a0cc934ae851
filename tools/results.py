"""Make the tables of results in the documents from zoo/results.csv."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import run

ROOT = Path(__file__).resolve().parent.parent


def main(argv: Sequence[str] | None = None) -> int:
    """Write the tables, or with --check say which documents are stale."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "documents", metavar="DOCUMENT", nargs="*", type=Path, help="Markdown files (default: README.md and docs/*.md)"
    )
    parser.add_argument(
        "--results", metavar="CSV", type=Path, default=ROOT / "zoo" / "results.csv", help="default: zoo/results.csv"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is stale")
    args = parser.parse_args(argv)

    from keras_vad.evaluation.results import update_tables

    documents = args.documents or [
        path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if path.exists()
    ]
    stale = [path for path in documents if update_tables(path, args.results, check=args.check)]
    for path in stale:
        print(f"{path}: {'stale; run python tools/results.py' if args.check else 'updated'}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(run(main))
