"""Pulls that must fail: each case says how its registry or node misbehaves, and which reason that is."""

import gzip
import json
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aggregator import bad_servers
from rig.containerd import RealContainerd
from rig.cri import runtime_pb2
from rig.images import KIB, MIB, OCI, Blob, Image, Layer, build, layer, sha256, tar
from rig.pki import Authority
from rig.registry import Registry

PULL_TIMEOUT = 60.0
NO_ARCHIVE = gzip.compress(b"no archive" * 100, mtime=0)[:-30]
DISK = 12 * MIB
"""Room of the containerd whose disk gets full."""
INVALID_HOST = "registry.invalid"
"""RFC 6761: no resolver finds it."""


@dataclass(frozen=True, slots=True)
class Case:
    """`prepare` arranges the misbehaviour and gives the reference to pull."""

    name: str
    reason: str
    prepare: Callable[["Stage"], str]
    not_on: tuple[str, ...] = ()
    """Versions on which it is no failure, or one that never ends."""
    slow: bool = False
    """It takes containerd's own timeout of 20 s."""


class Stage:
    """A containerd with the registries of the cases, for the time of one collection."""

    def __init__(self, node: RealContainerd, ends: ExitStack) -> None:
        self.node = node
        self.registry = ends.enter_context(Registry())
        self._ends = ends

    def repository(self, name: str, image: Image | None = None) -> Image:
        """An image of its own for a case."""
        return self.registry.push(replace(image or build("x", (KIB,)), repository=f"team/{name}"))

    def refused(self, name: str, status: int, **headers: str) -> str:
        """The reference of a repository that answers with this status."""
        image = self.repository(name)
        self.registry.deny(image.repository, status, **headers)
        return image.reference(self.registry.host)

    def listener(self, behave: Callable[[socket.socket], None] | None) -> str:
        """Address of a server that does this to each connection, or nothing at all."""
        return self._ends.enter_context(bad_servers.listening(behave))

    def port_without_server(self) -> str:
        """Address at which nobody listens. The port is held: the server of another case may get one that is free."""
        held = self._ends.enter_context(socket.socket())
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"

    def https(self, *, trusted: bool, certified: str = "127.0.0.1") -> str:
        """Address of a registry over TLS that has no image; its certificate is for this host."""
        authority = Authority()
        folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory()))
        pair = authority.issue(hosts=(certified,)).write(folder, "server")
        address = self.listener(partial(bad_servers.https_not_found, *pair))
        self.trust(address, f'ca = "{authority.write(self.node.folders.base, address)}"' if trusted else "")
        return address

    def trust(self, address: str, more: str = "") -> None:
        """Have the node speak TLS to this address."""
        self._hosts(address, f'server = "https://{address}"\n\n[host."https://{address}"]\n  {more}\n')

    def pull(self, reference: str) -> Any:
        """Begin a pull; the answer is the call."""
        address = reference.partition("/")[0]
        if not (self.node.folders.certs / address).exists():
            self._hosts(address, f'server = "http://{address}"\n\n[host."http://{address}"]\n')
        request = runtime_pb2.PullImageRequest(image=runtime_pb2.ImageSpec(image=reference))
        return self.node._cri.PullImage.future(request, timeout=PULL_TIMEOUT)

    def _hosts(self, address: str, text: str) -> None:
        folder = self.node.folders.certs / address
        folder.mkdir(exist_ok=True)
        (folder / "hosts.toml").write_text(text)


# --- What registries do ---------------------------------------------------------------------------------------------


def _token(stage: Stage, name: str, status: int, body: bytes = b"{}", error: str = "") -> str:
    """The registry asks for a token, and the token server answers so."""
    image = stage.repository(name)
    tokens = stage.listener(lambda connection: bad_servers.answer(connection, status, body))
    scope = f"repository:{image.repository}:pull"
    challenge = f'Bearer realm="http://{tokens}/token",service="registry",scope="{scope}",error="{error}"'
    stage.registry.deny(image.repository, 401, **{"WWW-Authenticate": challenge})
    return image.reference(stage.registry.host)


def _blob_refused(name: str, status: int) -> Callable[[Stage], str]:
    """The manifest is given out, the layer is not."""

    def prepare(stage: Stage) -> str:
        image = stage.repository(name, build("x", (layer(KIB, name),)))
        stage.registry.deny(image.layers[0].digest, status)
        return image.reference(stage.registry.host)

    return prepare


def _missing(stage: Stage, name: str, suffix: str) -> str:
    """The repository is there, and this is not in it."""
    return f"{stage.registry.host}/{stage.repository(name).repository}{suffix}"


def _other_platform(stage: Stage) -> str:
    image = build("x", (KIB,), platforms=("linux/s390x",))
    index = json.loads(image.root.data)
    index["manifests"] = index["manifests"][1:]
    root = Blob.of_json(OCI.index, index)
    return stage.repository("other-platform", replace(image, index=root)).reference(stage.registry.host)


def _spoilt_layer(name: str, spoil: Callable[[bytes], bytes]) -> Callable[[Stage], str]:
    """The layer is not what the manifest promises."""

    def prepare(stage: Stage) -> str:
        image = build("x", (layer(KIB, name),), index=False)
        good = image.layers[0]
        bad = replace(good, data=spoil(good.data))
        return stage.repository(name, replace(image, layers=(bad,))).reference(stage.registry.host)

    return prepare


def _one_blob(name: str, media_type: str, data: bytes = b"whatever it is") -> Callable[[Stage], str]:
    """The layer is whole and something else."""

    def prepare(stage: Stage) -> str:
        image = build("x", (layer(KIB, name),), index=False)
        blob = Blob.of(media_type, data)
        manifest = json.loads(image.manifest.data)
        manifest["layers"] = [blob.descriptor()]
        made = replace(image, layers=(blob,), manifest=Blob.of_json(OCI.manifest, manifest))
        return stage.repository(name, made).reference(stage.registry.host)

    return prepare


def _unknown_manifest(media_type: str, name: str) -> Callable[[Stage], str]:
    def prepare(stage: Stage) -> str:
        image = build("x", (KIB,), index=False)
        manifest = Blob.of(media_type, image.manifest.data)
        return stage.repository(name, replace(image, manifest=manifest)).reference(stage.registry.host)

    return prepare


def _app(address: str) -> str:
    """The reference of an image there."""
    return f"{address}/team/app:latest"


def _refused_connection(stage: Stage) -> str:
    return _app(stage.port_without_server())


def _silent_tls(stage: Stage) -> str:
    address = stage.listener(None)
    stage.trust(address)
    return _app(address)


def _plain_http(stage: Stage) -> str:
    """The node expects TLS where there is none."""
    address = stage.registry.local_name
    stage.trust(address)
    return _app(address)


def _no_tls_after_all(stage: Stage) -> str:
    address = stage.listener(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))
    stage.trust(address)
    return _app(address)


CASES = (
    Case("401-basic", "unauthorized", lambda stage: stage.refused("basic", 401)),
    Case("401-token-refused", "unauthorized", lambda stage: _token(stage, "token-401", 401)),
    Case("403-token-refused", "unauthorized", lambda stage: _token(stage, "token-403", 403)),
    # A token is handed out and does not help, as at Docker Hub for what is private or does not exist.
    Case(
        "401-token-useless",
        "unauthorized",
        lambda stage: _token(stage, "useless-token", 200, b'{"token":"abc"}', "insufficient_scope"),
    ),
    Case("403", "unauthorized", lambda stage: stage.refused("forbidden", 403)),
    Case("403-layer", "unauthorized", _blob_refused("layer-403", 403)),
    Case("404-repository", "not_found", lambda stage: f"{stage.registry.host}/team/none:latest"),
    Case("404-tag", "not_found", lambda stage: _missing(stage, "no-tag", ":none")),
    Case("404-digest", "not_found", lambda stage: _missing(stage, "no-digest", f"@sha256:{'0' * 64}")),
    Case("404-layer", "not_found", _blob_refused("layer-404", 404)),
    Case("no-such-platform", "not_found", _other_platform),
    Case("429", "rate_limited", lambda stage: stage.refused("limited", 429)),
    Case("429-token", "rate_limited", lambda stage: _token(stage, "token-429", 429)),
    Case("429-layer", "rate_limited", _blob_refused("layer-429", 429)),
    Case("500", "registry_unavailable", lambda stage: stage.refused("broken", 500)),
    Case("503", "registry_unavailable", lambda stage: stage.refused("away", 503)),
    Case("504", "registry_unavailable", lambda stage: stage.refused("late", 504)),
    Case("503-token", "registry_unavailable", lambda stage: _token(stage, "token-503", 503)),
    Case("502-layer", "registry_unavailable", _blob_refused("layer-502", 502)),
    Case("connection-refused", "registry_unavailable", _refused_connection),
    Case("connection-reset", "registry_unavailable", lambda stage: _app(stage.listener(bad_servers.reset))),
    Case("closed-unanswered", "registry_unavailable", lambda stage: _app(stage.listener(bad_servers.hang_up))),
    Case("answer-cut", "registry_unavailable", lambda stage: _app(stage.listener(bad_servers.half_an_answer))),
    Case("no-such-host", "dns", lambda _: _app(INVALID_HOST)),
    Case("unknown-authority", "tls", lambda stage: _app(stage.https(trusted=False))),
    Case("certificate-of-another", "tls", lambda stage: _app(stage.https(trusted=True, certified="127.0.0.2"))),
    Case("plain-http", "tls", _plain_http),
    Case("no-tls", "tls", _no_tls_after_all),
    Case("tls-handshake", "timeout", _silent_tls, slow=True),
    Case("invalid-name", "invalid_name", lambda stage: f"{stage.registry.host}/TEAM/App:latest"),
    Case("invalid-digest", "invalid_name", lambda stage: f"{stage.registry.host}/team/app@sha256:{'0' * 63}"),
    Case("unknown-digest", "invalid_name", lambda stage: f"{stage.registry.host}/team/app@md5:{'0' * 32}"),
    Case("wrong-digest", "other", _spoilt_layer("wrong-digest", lambda data: data[:-1] + b"?")),
    Case("short-layer", "registry_unavailable", _spoilt_layer("short-layer", lambda data: data[:-9])),
    Case("broken-layer", "other", _one_blob("broken-layer", OCI.layers["gzip"], NO_ARCHIVE)),
    Case("unknown-layer", "other", _one_blob("unknown-layer", "application/vnd.example.layer"), not_on=("2.1",)),
    Case("unknown-manifest", "other", _unknown_manifest("application/vnd.example.manifest", "unknown-manifest")),
    Case(
        "schema-1", "other", _unknown_manifest("application/vnd.docker.distribution.manifest.v1+prettyjws", "schema-1")
    ),
)


# --- What a node with little patience and little room does ----------------------------------------------------------


def _too_large(stage: Stage) -> str:
    image = stage.repository("too-large", build("x", (layer(DISK + MIB, "too-large"),)))
    return image.reference(stage.registry.host)


def _too_large_unpacked(stage: Stage) -> str:
    """Its layer fits as it comes and not as it is unpacked: a large file of zeros."""
    archive = tar({"zeros.bin": bytes(2 * DISK)})
    packed = Layer(sha256(archive), "gzip", gzip.compress(archive, mtime=0))
    return stage.repository("too-large-unpacked", build("x", (packed,))).reference(stage.registry.host)


def _stalled(stage: Stage) -> str:
    image = stage.repository("stalled", build("x", (layer(2 * MIB, "stalled"),)))
    stage.registry.stall(image.layers[0].digest, after=MIB)
    return image.reference(stage.registry.host)


SMALL_DISK_CASES = (
    Case("disk-full", "disk_full", _too_large),
    Case("disk-full-unpacking", "disk_full", _too_large_unpacked),
)
PATIENCE_CASES = (Case("no-progress", "canceled", _stalled, not_on=("1.6",)),)
