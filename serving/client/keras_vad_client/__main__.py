"""The command line: ``python -m keras_vad_client score VIDEO --server HOST:PORT --model NAME``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from keras_vad_client.client import VadClient
from keras_vad_client.errors import VadClientError
from keras_vad_client.events import MERGE_WITHIN, EventTracker
from keras_vad_client.results import FrameScore
from keras_vad_client.tls import Tls
from keras_vad_client.video import FrameSource
from keras_vad_client.webhook import Webhook


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and run the subcommand."""
    args = _parser().parse_args(argv)
    settings = {
        "version": args.version,
        "version_label": args.label,
        "timeout": args.timeout,
        "tls": Tls(args.tls_ca, args.tls_cert, args.tls_key, args.tls_server_name) if _wants_tls(args) else None,
    }
    command = {"score": score, "status": status, "wait": wait}[args.command]
    return command(args, settings)


def score(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Print the events of a video, one JSON object a line, as they happen."""
    source = FrameSource(args.video)
    fps = source.fps if args.fps is None else args.fps
    tracker = EventTracker(fps, args.merge_within)
    transport = "jpeg" if args.jpeg else "raw"
    scoring = {"chunk_length": args.chunk, "transport": transport, "smoothing": args.smoothing, "retry": args.retry_for}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(VadClient(args.server, args.model, **settings, **scoring))
        client.wait_ready(args.wait)
        hook = Webhook(args.webhook, _warn) if args.webhook else None
        if hook is not None:
            stack.callback(hook.close)
        rows = stack.enter_context(_csv(args.csv)) if args.csv else None
        for event in _events(client.stream(source), tracker, rows, fps):
            print(json.dumps(event), flush=True)
            if hook is not None:
                hook.post(event)
    return 0


def status(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Print the versions of the model on the server."""
    with VadClient(args.server, args.model, **settings) as client:
        for one in client.status():
            print(json.dumps({"version": one.version, "state": one.state, "error": one.error}))
    return 0


def wait(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Wait until the model can be asked, and print its version."""
    with VadClient(args.server, args.model, **settings) as client:
        print(client.wait_ready(args.for_seconds))
    return 0


def script() -> None:
    """Entry point of the installed command: errors are one sentence on stderr, exit code 2."""
    code = 0
    try:
        code = main()
    except VadClientError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("error: stopped by the user.", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # Who read the output has gone, as `head` does; nothing is left to say, nor may Python try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:  # such as of a full disk
        print(
            f"error: {error.filename or 'the output'} cannot be read or written ({error.strerror or error}); look "
            "after its disk and permissions.",
            file=sys.stderr,
        )
        # Nor may Python try at exit to write what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 2
    sys.exit(code)


def _events(
    results: Iterator[FrameScore], tracker: EventTracker, rows: TextIO | None, fps: float | None
) -> Iterator[dict[str, Any]]:
    for result in results:
        if rows is not None:
            rows.write(_row(result, fps))
        for event in tracker.push(result.frame, result.score):
            yield event.to_dict()
    for event in tracker.finish():
        yield event.to_dict()


def _row(result: FrameScore, fps: float | None) -> str:
    """A row as keras-vad score writes it; nine digits hold every float32 exactly."""
    time_s = "" if fps is None else f"{result.frame / fps:.3f}"
    return f"{result.frame},{time_s},{result.raw:.9g},{result.score:.9g},{result.alarm:d}\n"


@contextlib.contextmanager
def _csv(path: str) -> Iterator[TextIO]:
    """A new file whose rows can be read while they are written."""
    try:
        file = open(path, "x", buffering=1, encoding="utf-8")  # noqa: SIM115, PTH123
    except FileExistsError:
        raise VadClientError(f"{path} exists; name another file, or delete it.") from None
    except OSError as error:
        raise VadClientError(f"{path} cannot be written ({error.strerror}); name another file.") from error
    with file:
        file.write("frame,time_s,raw_score,score,alarm\n")
        yield file


def _warn(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _wants_tls(args: argparse.Namespace) -> bool:
    return args.tls or any((args.tls_ca, args.tls_cert, args.tls_key, args.tls_server_name))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keras_vad_client", description="Ask a served video anomaly detector.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    server = _server_options()
    about: dict[str, Any] = {"allow_abbrev": False, "parents": [server]}

    command = commands.add_parser("score", help="score a video, a camera or a folder of images", **about)
    command.add_argument("video", metavar="VIDEO", help="video file, folder of images or address such as rtsp://...")
    command.add_argument("--jpeg", action="store_true", help="send frames as JPEG: fewer bytes, slightly other scores")
    command.add_argument("--chunk", type=int, metavar="N", help="frames in a request (default: 64)")
    command.add_argument("--smoothing", type=int, default=1, metavar="N", help="average over N frames, looking back")
    command.add_argument(
        "--merge-within",
        type=int,
        default=MERGE_WITHIN,
        metavar="N",
        help="alarms at most N frames apart are one event (default: %(default)s)",
    )
    command.add_argument("--fps", type=float, help="frames a second (default: what the video says)")
    command.add_argument("--webhook", metavar="URL", help="post every event there, too")
    command.add_argument("--csv", metavar="FILE", help="write the score of every frame, too")
    command.add_argument("--wait", type=float, default=0.0, metavar="S", help="wait so long for the model to be served")
    command.add_argument(
        "--retry-for",
        type=float,
        default=60.0,
        metavar="S",
        help="repeat a request for so long when the server is away or too busy (default: %(default)g)",
    )

    commands.add_parser("status", help="print the model's versions on the server", **about)

    command = commands.add_parser("wait", help="wait until the model can be asked", **about)
    command.add_argument("--for", dest="for_seconds", type=float, default=60.0, metavar="S", help="(default: 60)")
    return parser


def _server_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--server", required=True, metavar="HOST:PORT", help="the server")
    options.add_argument("--model", required=True, metavar="NAME", help="the model's name there")
    options.add_argument("--version", type=int, metavar="N", help="its version (default: the newest)")
    options.add_argument("--label", metavar="NAME", help="label of its version, such as stable")
    options.add_argument("--timeout", type=float, default=120.0, metavar="S", help="for one request (default: 120)")
    options.add_argument("--tls", action="store_true", help="encrypt the connection")
    options.add_argument("--tls-ca", metavar="FILE", help="authorities that may vouch for the server")
    options.add_argument("--tls-cert", metavar="FILE", help="this client's certificate")
    options.add_argument("--tls-key", metavar="FILE", help="its private key")
    options.add_argument("--tls-server-name", metavar="NAME", help="name in the server's certificate")
    return options


if __name__ == "__main__":
    script()
