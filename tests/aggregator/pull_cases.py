"""Pulls that must fail: each case says how its registry or node misbehaves, and which reason that is."""

import gzip
import json
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aggregator import bad_servers
from rig.containerd import RealContainerd
from rig.cri import runtime_pb2
from rig.images import KIB, MIB, OCI, Blob, Image, Layer, build, layer, sha256, tar
from rig.pki import Authority
from rig.registry import Registry

PULL_TIMEOUT = 60.0
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

    def https(self, *, trusted: bool, host: str = "127.0.0.1") -> str:
        """Address of a registry over TLS that has no image; its certificate is for 127.0.0.1 and ::1."""
        authority = Authority()
        folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory()))
        address = self._ends.enter_context(bad_servers.https(host, *authority.issue().write(folder, "server")))
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


def _useless_token(stage: Stage) -> str:
    """A token is handed out and does not help, as at Docker Hub for what is private or does not exist."""
    return _token(stage, "useless-token", 200, b'{"token":"abc"}', "insufficient_scope")


def _blob_refused(name: str, status: int) -> Callable[[Stage], str]:
    """The manifest is given out, the layer is not."""

    def prepare(stage: Stage) -> str:
        image = stage.repository(name, build("x", (layer(KIB, name),)))
        stage.registry.deny(image.layers[0].digest, status)
        return image.reference(stage.registry.host)

    return prepare


def _no_tag(stage: Stage) -> str:
    image = stage.repository("no-tag")
    return f"{stage.registry.host}/{image.repository}:none"


def _no_digest(stage: Stage) -> str:
    image = stage.repository("no-digest")
    return f"{stage.registry.host}/{image.repository}@sha256:{'0' * 64}"


def _other_platform(stage: Stage) -> str:
    image = build("x", (KIB,), platforms=("linux/s390x",))
    index = json.loads(image.root.data)
    index["manifests"] = index["manifests"][1:]
    root = Blob.of_json(OCI.index, index)
    return stage.repository("other-platform", replace(image, index=root)).reference(stage.registry.host)


def _wrong_digest(stage: Stage) -> str:
    """The layer's bytes are not those that its digest promises."""
    image = build("x", (layer(KIB, "wrong-digest"),), index=False)
    good = image.layers[0]
    bad = replace(good, data=good.data[:-1] + b"?")
    return stage.repository("wrong-digest", replace(image, layers=(bad,))).reference(stage.registry.host)


def _short_layer(stage: Stage) -> str:
    """The layer has fewer bytes than the manifest promises."""
    image = build("x", (layer(KIB, "short-layer"),), index=False)
    bad = replace(image.layers[0], data=image.layers[0].data[:-9])
    return stage.repository("short-layer", replace(image, layers=(bad,))).reference(stage.registry.host)


def _broken_layer(stage: Stage) -> str:
    """The layer is whole and no archive."""
    return _one_blob(stage, "broken-layer", OCI.layers["gzip"], gzip.compress(b"no archive" * 100, mtime=0)[:-30])


def _unknown_layer(stage: Stage) -> str:
    return _one_blob(stage, "unknown-layer", "application/vnd.example.layer", b"whatever it is")


def _one_blob(stage: Stage, name: str, media_type: str, data: bytes) -> str:
    image = build("x", (layer(KIB, name),), index=False)
    blob = Blob.of(media_type, data)
    manifest = json.loads(image.manifest.data)
    manifest["layers"] = [blob.descriptor()]
    made = replace(image, layers=(blob,), manifest=Blob.of_json(OCI.manifest, manifest))
    return stage.repository(name, made).reference(stage.registry.host)


def _unknown_manifest(media_type: str, name: str) -> Callable[[Stage], str]:
    def prepare(stage: Stage) -> str:
        image = build("x", (KIB,), index=False)
        manifest = Blob.of(media_type, image.manifest.data)
        return stage.repository(name, replace(image, manifest=manifest)).reference(stage.registry.host)

    return prepare


def _endless_cuts(stage: Stage) -> str:
    """Every answer ends in its middle."""
    return f"{stage.listener(bad_servers.half_an_answer)}/team/app:latest"


def _refused_connection(_: Stage) -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}/team/app:latest"


def _silent_tls(stage: Stage) -> str:
    address = stage.listener(None)
    stage.trust(address)
    return f"{address}/team/app:latest"


def _unknown_authority(stage: Stage) -> str:
    return f"{stage.https(trusted=False)}/team/app:latest"


def _certificate_of_another(stage: Stage) -> str:
    return f"{stage.https(trusted=True, host='127.0.0.2')}/team/app:latest"


def _plain_http(stage: Stage) -> str:
    """The node expects TLS where there is none."""
    address = stage.registry.local_name
    stage.trust(address)
    return f"{address}/team/app:latest"


def _no_tls_after_all(stage: Stage) -> str:
    address = stage.listener(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"))
    stage.trust(address)
    return f"{address}/team/app:latest"


CASES = (
    Case("401-basic", "unauthorized", lambda stage: stage.refused("basic", 401)),
    Case("401-token-refused", "unauthorized", lambda stage: _token(stage, "token-401", 401)),
    Case("403-token-refused", "unauthorized", lambda stage: _token(stage, "token-403", 403)),
    Case("401-token-useless", "unauthorized", _useless_token),
    Case("403", "unauthorized", lambda stage: stage.refused("forbidden", 403)),
    Case("403-layer", "unauthorized", _blob_refused("layer-403", 403)),
    Case("404-repository", "not_found", lambda stage: f"{stage.registry.host}/team/none:latest"),
    Case("404-tag", "not_found", _no_tag),
    Case("404-digest", "not_found", _no_digest),
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
    Case(
        "connection-reset", "registry_unavailable", lambda stage: f"{stage.listener(bad_servers.reset)}/team/app:latest"
    ),
    Case(
        "closed-unanswered",
        "registry_unavailable",
        lambda stage: f"{stage.listener(bad_servers.hang_up)}/team/app:latest",
    ),
    Case("answer-cut", "registry_unavailable", _endless_cuts),
    Case("no-such-host", "dns", lambda _: f"{INVALID_HOST}/team/app:latest"),
    Case("unknown-authority", "tls", _unknown_authority),
    Case("certificate-of-another", "tls", _certificate_of_another),
    Case("plain-http", "tls", _plain_http),
    Case("no-tls", "tls", _no_tls_after_all),
    Case("tls-handshake", "timeout", _silent_tls, slow=True),
    Case("invalid-name", "invalid_name", lambda stage: f"{stage.registry.host}/TEAM/App:latest"),
    Case("invalid-digest", "invalid_name", lambda stage: f"{stage.registry.host}/team/app@sha256:{'0' * 63}"),
    Case("unknown-digest", "invalid_name", lambda stage: f"{stage.registry.host}/team/app@md5:{'0' * 32}"),
    Case("wrong-digest", "other", _wrong_digest),
    Case("short-layer", "registry_unavailable", _short_layer),
    Case("broken-layer", "other", _broken_layer),
    Case("unknown-layer", "other", _unknown_layer, not_on=("2.1",)),
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
