"""Basic authentication against bcrypt hashes. A verified password is remembered, so that not every scrape is hashed."""

import base64
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

# bcrypt reads no further. Go's bcrypt ignores the rest; Python's refuses it since 5.0.
_BCRYPT_BYTES: Final = 72


class Passwords:
    """The users of one configuration. Without any, everybody is admitted."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = dict(users)
        # Hashed for unknown names, so that the time of an answer does not tell which names exist.
        self._decoy = max(self._users.values(), key=bcrypt_cost, default=b"")
        self._key = secrets.token_bytes(32)
        self._verified: dict[str, bytes] = {}

    def remembers(self, authorization: str | None) -> bool:
        """Whether this Authorization header was verified before. After False, `verify` decides."""
        if not self._users:
            return True
        user, password = _credentials(authorization)
        return hmac.compare_digest(self._verified.get(user, b""), self._keyed(password))

    def verify(self, authorization: str | None) -> bool:
        """Hash the password of an Authorization header (tens of milliseconds or more) and compare."""
        import bcrypt  # half a megabyte, loaded only where there is basic authentication

        user, password = _credentials(authorization)
        try:
            matches = bcrypt.checkpw(password, self._users.get(user, self._decoy))
        except ValueError:  # a NUL byte, for some versions
            return False
        if not matches or user not in self._users:
            return False
        self._verified[user] = self._keyed(password)
        return True

    def _keyed(self, password: bytes) -> bytes:
        return hmac.digest(self._key, password, "sha256")


def bcrypt_cost(hashed: bytes) -> int:
    """The cost of a bcrypt hash, the binary logarithm of its rounds: `$2y$10$…` has 10."""
    return int(hashed.split(b"$")[2])


def has_credentials(authorization: str | None) -> bool:
    """Whether the header has a user and a password."""
    return _credentials(authorization) != ("", b"")


def _credentials(authorization: str | None) -> tuple[str, bytes]:
    """User and password of a header (RFC 7617); empty for any other header."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return "", b""
    return user.decode(errors="replace"), password[:_BCRYPT_BYTES]
