"""Write the configuration that a zoo folder is served by.

TensorFlow Serving reads it, and keras-vad serve.

Example:
  keras-vad serving-config --zoo zoo --base-path /models --output serving/deploy/config
"""

import argparse
import shutil
from pathlib import Path

from keras_vad.cli import options
from keras_vad.cli.parser import one_of
from keras_vad.common.files import appearing, check_folder, write_text
from keras_vad.common.names import version_number
from keras_vad.errors import VadError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    options.add_zoo(parser, "that is served")
    add("--base-path", default="/models", metavar="DIR", help="where the server sees it (default: %(default)s)")
    add("--output", type=Path, default=Path("serving/deploy/config"), metavar="DIR", help="(default: %(default)s)")
    add("--model", action="append", default=[], metavar="NAME", help="serve this model; may be repeated (default: all)")
    add(
        "--policy",
        type=one_of("policy", ("labels", "latest", "all")),
        default="labels",
        help="versions to serve: labels, the stable and the canary one; latest, the newest; all (default: %(default)s)",
    )
    add("--keep", type=int, default=2, metavar="N", help="versions that --policy latest serves (default: %(default)s)")
    add(
        "--stable",
        action="append",
        default=[],
        metavar="NAME=VERSION",
        help="call this version stable, not the one before the newest; may be repeated",
    )
    add("--cpus", type=int, default=2, metavar="N", help="processors of the server (default: %(default)s)")
    add("--memory-gib", type=float, default=4.0, metavar="N", help="memory of the server (default: %(default)s)")
    add(
        "--batch",
        type=int,
        default=1,
        metavar="N",
        help="chunks of different cameras that are computed as one; more than 1 only helps GPUs (default: %(default)s)",
    )
    add("--tls-key", type=Path, metavar="FILE", help="PEM of the server's private key: write ssl.config, too")
    add("--tls-cert", type=Path, metavar="FILE", help="PEM of its certificate")
    add("--client-ca", type=Path, metavar="FILE", help="PEM of the authority that clients' certificates must have")


def run(args: argparse.Namespace) -> int:
    """Write ``models.config`` and ``batching.config``, and ``ssl.config`` if there are keys."""
    if (args.tls_key is None) != (args.tls_cert is None) or (args.client_ca and not args.tls_key):
        raise VadError("TLS needs --tls-key and --tls-cert together; --client-ca adds to them.")

    check_folder(args.output)
    from keras_vad_server import deployment

    versions = deployment.zoo_versions(args.zoo, args.model)
    stable = dict(map(_stable, args.stable))
    models = deployment.model_server_config(
        versions,
        args.base_path,
        policy=args.policy,
        keep=args.keep,
        stable=stable,
        before=deployment.read_model_server_config(args.output / "models.config"),
    )
    inputs = deployment.input_specs(args.zoo, versions)
    batching = deployment.batching_parameters(inputs, args.cpus, args.memory_gib, args.batch)
    secret = deployment.ssl_config(args.tls_key, args.tls_cert, args.client_ca) if args.tls_key else None

    made = "Made by keras-vad serving-config; make it again after an export."
    write_text(args.output / "models.config", deployment.config_text(models, made))
    write_text(
        args.output / "batching.config",
        deployment.config_text(
            batching,
            f"{made} For {args.cpus} processors and {args.memory_gib:g} GiB.",
            "Sizes are in chunks of frames. No padding of inputs: frames that were added would change scores.",
            "No allowed_batch_sizes: they would pad batches with rows to no use.",
        ),
    )
    if secret is not None:
        with appearing(args.output / "ssl.config") as partial:
            partial.touch(mode=0o600)  # it holds the private key
            partial.write_text(deployment.config_text(secret), "ascii")
    for file in deployment.CONFIG_FILES.iterdir():
        if not (args.output / file.name).exists():
            shutil.copy(file, args.output / file.name)
    for model in models.model_config_list.config:
        labels = ", ".join(f"{label} {model.version_labels[label]}" for label in sorted(model.version_labels))
        print(f"{model.name}: {labels or f'the newest {args.keep}'}")
        new = set(model.model_version_policy.specific.versions) - set(model.version_labels.values())
        if new:
            print(
                f"{model.name}: version {max(new)} is loaded first; when the server says that it is AVAILABLE, run "
                "this again to give it its label."
            )
    print(f"wrote {args.output}")
    return 0


def _stable(text: str) -> tuple[str, int]:
    name, _, version = text.partition("=")
    number = version_number(version)
    if not name or number is None:
        raise VadError(f"--stable is {text!r}, but must be NAME=VERSION, for example street=3.")
    return name, number
