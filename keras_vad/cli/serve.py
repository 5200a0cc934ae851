"""Serve the exported models of a zoo folder over gRPC.

As TensorFlow Serving does.

Example:
  keras-vad serve --zoo zoo --port 8500
"""

import argparse
from pathlib import Path

from keras_vad.cli import options
from keras_vad.cli.parser import one_of
from keras_vad.cli.process import load_tensorflow
from keras_vad.errors import VadError

_MIB = 1 << 20
_METRICS_PORT = 8501


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_zoo(parser, "to serve, of NAME/VERSION/saved_model.pb")
    parser.add_argument("--port", type=int, default=8500, help="TCP port, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="IPv4 address to listen on, 0.0.0.0 for all (default: %(default)s)"
    )
    files = parser.add_argument_group("files of tensorflow_model_server, text protos")
    files.add_argument(
        "--model-config-file",
        type=Path,
        metavar="FILE",
        help="ModelServerConfig: what to serve (default: the highest version of every model of the zoo); relative base "
        "paths start from the zoo",
    )
    files.add_argument(
        "--batching-parameters-file",
        type=Path,
        metavar="FILE",
        help="BatchingParameters: compute requests together (default: each by itself)",
    )
    files.add_argument("--ssl-config-file", type=Path, metavar="FILE", help="SSLConfig: encrypt, know clients")
    files.add_argument(
        "--monitoring-config-file",
        type=Path,
        metavar="FILE",
        help=f"MonitoringConfig: tell metrics, on port {_METRICS_PORT} unless --metrics-port says another",
    )
    parser.add_argument("--metrics-port", type=int, help="HTTP port for Prometheus, 0 for a free one (default: none)")
    parser.add_argument(
        "--allow-version-labels-for-unavailable-models",
        action="store_true",
        help="take labels in configurations before their versions are loaded",
    )
    parser.add_argument(
        "--poll-seconds",
        type=_seconds,
        default=1.0,
        help="time between two looks for new versions, 0 for one look only (default: %(default)g)",
    )
    parser.add_argument("--max-message-mb", type=_mebibytes, metavar="MIB", help="largest request (default: 2 GiB)")
    parser.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=0.0,
        help="time after SIGTERM in which it still answers, while health says NOT_SERVING (default: %(default)g)",
    )
    parser.add_argument(
        "--log-format",
        type=one_of("format", ("text", "json")),
        default="text",
        help="of stderr: text or json (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from keras_vad_server import config, logs

    if args.model_config_file is None and not args.zoo.is_dir():
        raise VadError(f"there is no zoo folder {args.zoo}; export a model into it, or name another with --zoo.")
    models = config.read_models(args.model_config_file, args.zoo) if args.model_config_file else None
    metrics_path: str | None = config.METRICS_PATH
    metrics_port = args.metrics_port
    if args.monitoring_config_file:
        metrics_path = config.read_metrics_path(args.monitoring_config_file)
        metrics_port = _METRICS_PORT if metrics_port is None else metrics_port
    batching = config.BatchingOptions()
    if args.batching_parameters_file:
        batching = config.read_batching(args.batching_parameters_file)
    tls = config.read_tls(args.ssl_config_file) if args.ssl_config_file else None
    message_bytes = -1 if args.max_message_mb is None else args.max_message_mb * _MIB

    load_tensorflow()
    from keras_vad_server.server import ServerOptions, serve
    from keras_vad_server.store import ModelStore

    logs.configure(args.log_format)
    serve(
        ModelStore(args.zoo, models, args.allow_version_labels_for_unavailable_models),
        ServerOptions(args.port, args.host, batching, tls, message_bytes),
        metrics_port=None if metrics_path is None else metrics_port,
        metrics_path=metrics_path or "",
        poll_seconds=args.poll_seconds,
        drain_seconds=args.drain_seconds,
    )
    return 0


def _seconds(text: str) -> float:
    if not 0 <= (seconds := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time in seconds")
    return seconds


def _mebibytes(text: str) -> int:
    if not 1 <= (number := int(text)) <= 2047:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 2047 MiB")
    return number
