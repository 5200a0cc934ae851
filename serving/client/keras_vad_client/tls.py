"""Encryption, and who shows whom a certificate."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from keras_vad_client.errors import VadClientError


@dataclass(frozen=True)
class Tls:
    """Encrypt the connection; files are in PEM format.

    Args:
        ca: Certificates of the authorities that may vouch for the server; gRPC's own if ``None``.
        cert: This client's certificate, if the server asks for one (mutual TLS).
        key: Its private key.
        server_name: Name in the server's certificate, if it is not the one in the address.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC wants to have.

        Raises:
            VadClientError: If a file cannot be read, or there is a certificate without a key or the reverse.
        """
        if (self.cert is None) != (self.key is None):
            raise VadClientError("a client's certificate and its private key go together; give both, or neither.")
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise VadClientError(f"{path} cannot be read ({error.strerror}); name a file in PEM format.") from error
    # gRPC would accept anything, and only say later that no server answers.
    if b"-----BEGIN " not in content:
        raise VadClientError(f"{path} holds no certificate or key in PEM format; convert it with openssl.")
    return content
