"""Where the API server is and who we are: the `kubernetes` package reads configuration and credentials.

The package reads kubeconfigs and in-cluster files, runs credential plugins and sets up TLS. It reads the token of a
service account again every minute, and renews a token whose expiry it knows. Everything else that can change (a token
file that a kubeconfig names, a plugin's other credentials, the kubeconfig itself) is read again when the server answers
401. That costs one request per rotation. It is also read again when the server refuses a request without credentials: a
token file may have been empty before.
"""

import os
import ssl
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import yaml
from kubernetes.client import Configuration  # type: ignore[import-untyped]
from kubernetes.client.rest import RESTClientObject  # type: ignore[import-untyped]
from kubernetes.config import (  # type: ignore[import-untyped]
    ConfigException,
    load_incluster_config,
    load_kube_config,
)
from urllib3 import PoolManager
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from pulltrace.clock import Clock
from pulltrace.text import one_line
from pulltrace_aggregator.kube.errors import AccessError
from pulltrace_aggregator.kube.transport import Sockets

IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
KUBECONFIG: Final = "KUBECONFIG"
USUAL_KUBECONFIG: Final = "~/.kube/config"
RENEWAL_PAUSE_SECONDS: Final = 5.0
"""Refused credentials are not renewed more often than this: a plugin may start a browser or cost money."""

MOST_CONNECTIONS: Final = 1000
"""Most connections to keep for reuse. There are eight watches for each namespace, one for slices, and rechecks."""

# What the package raises for a file that is not a kubeconfig, or has parts of a wrong type.
_FAULTS: Final = (ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)

Load = Callable[[], Any]
"""Reads everything again and returns the package's Configuration; raises AccessError."""


def source(kubeconfig: str | None = None, context: str | None = None) -> Load:
    """In-cluster access if this is a pod and neither a kubeconfig nor a context is given; else a kubeconfig.

    The kubeconfig is the given one, else those of $KUBECONFIG, else ~/.kube/config. Its current context is the default.
    """
    if not kubeconfig and not context and os.environ.get(IN_CLUSTER):
        return lambda: _loaded("in-cluster configuration", load_incluster_config)
    paths = kubeconfig or os.environ.get(KUBECONFIG) or USUAL_KUBECONFIG
    return lambda: _from_file(paths, context)


@dataclass(frozen=True, slots=True)
class ApiSession:
    """What a request is sent with; `generation` tells one set of credentials from the next.

    `anonymous` says that there is neither a token nor a client certificate.
    """

    generation: int
    host: str
    pool: PoolManager
    headers: dict[str, str]
    anonymous: bool


class ApiAccess:
    """Hands out sessions. Safe for use by several threads."""

    def __init__(self, load: Load, clock: Clock) -> None:
        """Read the configuration; raises AccessError."""
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._sockets = Sockets()
        self._generation = 0
        self._renewed_at = float("-inf")
        self._set(load())

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._configuration.host)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._sockets.closed

    def session(self) -> ApiSession:
        """A session with the present token; raises AccessError if that cannot be read or sent."""
        with self._lock:
            headers = self._headers()
            anonymous = not headers and not self._configuration.cert_file
            return ApiSession(self._generation, self.host.rstrip("/"), self._pool, headers, anonymous)

    def renew(self, refused: ApiSession) -> bool:
        """Read everything again because the server refused a session; returns whether to try again.

        Raises AccessError if that fails; then the old credentials are kept.
        """
        with self._lock:
            now = self._clock.now().monotonic
            if refused.generation != self._generation:
                return True  # another thread was faster
            if now - self._renewed_at < RENEWAL_PAUSE_SECONDS:
                return False
            self._renewed_at = now
            self._set(self._load())
            return True

    def cut(self) -> None:
        """End every request that is under way; later ones open new connections."""
        self._sockets.cut()

    def close(self) -> None:
        """End every request that is under way, and those that come later."""
        self._sockets.close()
        self._pool.clear()

    def _set(self, configuration: Any) -> None:
        pool: PoolManager = RESTClientObject(configuration).pool_manager
        # urllib3 declares these as classes, but only calls them.
        pool.pool_classes_by_scheme = cast("dict[str, type]", self._sockets.pools())
        pool.connection_pool_kw["ssl_context"] = _tls(pool.connection_pool_kw.get("cert_reqs"))
        self._configuration, self._pool = configuration, pool
        self._generation += 1

    def _headers(self) -> dict[str, str]:
        try:
            # This calls the package's hook, which reads a token again or renews one that has expired.
            settings = self._configuration.auth_settings()
        except _FAULTS as error:
            raise AccessError(f"credentials cannot be read: {one_line(error)}") from error
        value = str(settings.get("BearerToken", {}).get("value") or "").strip()
        if not value.isascii() or not value.isprintable():
            raise AccessError("the token holds characters that a token must not have")
        return {"Authorization": value} if value else {}


def _tls(requirement: int | str | None) -> ssl.SSLContext:
    """A context that verifies as `requirement` says, without the checks of form that Python 3.13 adds.

    Those (`VERIFY_X509_STRICT`) refuse authorities without key identifiers or key usage, as EKS has them, and MicroK8s
    before 1.35.
    """
    context = create_urllib3_context(cert_reqs=resolve_cert_reqs(requirement))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _from_file(paths: str, context: str | None) -> Any:
    what = f"kubeconfig {paths}"
    if not any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path):
        hint = "" if os.environ.get(IN_CLUSTER) else f", and this is not a pod: ${IN_CLUSTER} is not set"
        raise AccessError(f"{what} does not exist{hint}")

    def load(client_configuration: Any) -> None:
        load_kube_config(paths, context, client_configuration, persist_config=False)

    return _loaded(what + (f", context {context}" if context else ""), load)


def _loaded(what: str, load: Callable[..., None]) -> Any:
    configuration = Configuration()
    configuration.proxy = None
    configuration.connection_pool_maxsize = MOST_CONNECTIONS
    try:
        load(client_configuration=configuration)
        host = urlsplit(configuration.host)
        if host.scheme not in ("http", "https") or not host.hostname:
            raise AccessError(f"{what}: {configuration.host!r} is not the URL of an API server")
        _set_proxy(configuration, host.scheme)
    except (TypeError, AttributeError, KeyError) as error:
        raise AccessError(f"{what}: it does not have the form of a kubeconfig: {one_line(error)}") from error
    except _FAULTS as error:
        raise AccessError(f"{what}: {one_line(error) or type(error).__name__}") from error
    return configuration


def _set_proxy(configuration: Any, scheme: str) -> None:
    """Use the environment's proxy for this scheme, unless the kubeconfig names one.

    The package itself would also use the proxy for the other scheme, and its older versions lose $NO_PROXY.
    """
    environment = urllib.request.getproxies_environment()
    configuration.proxy = configuration.proxy or environment.get(scheme)
    configuration.no_proxy = environment.get("no")
