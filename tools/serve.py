"""Serve the exported models of a zoo folder over gRPC, as TensorFlow Serving does.

Example: python tools/serve.py --zoo zoo --port 8500
"""

import argparse
import sys
from collections.abc import Sequence

from keras_vad.cli import load_tensorflow, run


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--zoo", default="zoo", help="folder of <name>/<version>/saved_model.pb (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8500, help="TCP port, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="IPv4 address to listen on, 0.0.0.0 for all (default: %(default)s)"
    )
    args = parser.parse_args(argv)

    load_tensorflow()
    from serving.server import serve

    serve(args.zoo, args.port, args.host)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
