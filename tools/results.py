"""Make the tables of results in the documents from zoo/results.csv; check them, the rows and the logs behind them."""

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
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a table, a row or a log is stale"
    )
    args = parser.parse_args(argv)

    from keras_vad.evaluation.results import STEPS_FILE, read_results, update_tables
    from keras_vad.evaluation.run_log import log_faults, stale_rows
    from keras_vad.evaluation.steps import read_steps, stale_steps
    from keras_vad.presets.index import read_index

    documents = args.documents or [
        path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))) if path.exists()
    ]
    stale = [path for path in documents if update_tables(path, args.results, check=args.check)]
    for path in stale:
        print(f"{path}: {'stale; run python tools/results.py' if args.check else 'updated'}")
    faults: list[str] = []
    if args.check:
        root = args.results.resolve().parent.parent
        faults = [*stale_rows(read_results(args.results), root), *log_faults(args.results.with_name("logs"))]
        faults += stale_steps(read_steps(args.results.with_name(STEPS_FILE)), read_index(args.results.parent))
        for fault in faults:
            print(fault)
    return 1 if args.check and (stale or faults) else 0


if __name__ == "__main__":
    sys.exit(run(main))
