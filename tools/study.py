"""Make the table and the plots of docs/local_playback_study.md from the logged trainings of the study."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_vad.cli.process import run
from keras_vad.common.files import write_text
from keras_vad.errors import VadError

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- study:begin -->", "<!-- study:end -->"
SHOWN = ("before", "clip mean", "chosen", "constant rate")


def main(argv: Sequence[str] | None = None) -> int:
    """Write table and plots, or with --check say whether the table is stale."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--study", metavar="DIR", type=Path, default=ROOT / "zoo" / "logs" / "local_playback-study", help="its folder"
    )
    parser.add_argument(
        "--document", metavar="FILE", type=Path, default=ROOT / "docs" / "local_playback_study.md", help="its page"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the table is stale")
    args = parser.parse_args(argv)

    from keras_vad.report.study import draw_schedule, draw_variants, read_study, study_table

    variants = read_study(args.study)
    try:
        text = args.document.read_text("utf-8")
    except OSError as error:
        raise VadError(f"{args.document} cannot be read: {error.strerror}.") from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise VadError(f"{args.document} has no place for the table; put {BEGIN} and {END} into it.")
    wanted = f"{before}{BEGIN}\n\n{study_table(variants)}\n\n{END}{after}"
    if args.check:
        if wanted != text:
            print(f"{args.document}: stale; run python tools/study.py")
        return int(wanted != text)
    write_text(args.document, wanted)
    images = args.document.parent / "images"
    draw_variants(variants, images / "local_playback_variants.png")
    draw_schedule([variant for variant in variants if variant.name in SHOWN], images / "local_playback_schedule.png")
    print(f"{args.document}: {len(variants)} variants, {sum(len(v.trainings) for v in variants)} trainings")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
