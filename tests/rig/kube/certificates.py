"""The cluster's own authority: certificates of its servers, and of users with their groups, in one folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rig import pki


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """One root, written to `ca.crt` of a folder, in which all that it signs is kept."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._root = pki.Authority("pulltrace cluster", plain=True)
        self.file = self._root.write(folder)

    def issue(self, file: str, user: str, groups: Iterable[str] = (), hosts: Iterable[str] = ()) -> Pair:
        """A certificate for a user in groups, and for a server at these names and addresses."""
        return Pair(*self._root.issue(user, groups=groups, hosts=hosts).write(self._folder, file))

    def key_pair(self, file: str) -> Pair:
        """A public and a private key without a certificate, as service accounts' tokens are signed with."""
        key = ec.generate_private_key(ec.SECP256R1())
        pair = Pair(self._folder / f"{file}.pub", self._folder / f"{file}.key")
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        pair.certificate.write_bytes(public)
        pair.key.write_bytes(pki.key_pem(key))
        return pair
