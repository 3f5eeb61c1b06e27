"""Connects to the programs and the cluster that the options name."""

import os
from collections.abc import Mapping
from pathlib import Path

from pulltrace_kubectl.errors import UsageError
from pulltrace_kubectl.model.options import Access
from pulltrace_kubectl.sources.cluster import KubectlCluster
from pulltrace_kubectl.sources.kubectl import Kubectl
from pulltrace_kubectl.sources.port import Programs
from pulltrace_kubectl.sources.proxy import ProxiedPrograms

PASSWORD_VARIABLE = "PULLTRACE_PASSWORD"  # noqa: S105 -- the name of it


def connect(access: Access, environment: Mapping[str, str] = os.environ) -> tuple[Programs, KubectlCluster]:
    """What answers for the programs, and the cluster; raises UsageError. Nothing is asked yet."""
    kubectl = Kubectl(access.kubectl, access.timeout)
    cluster = KubectlCluster(kubectl)
    if not access.urls:
        return ProxiedPrograms(kubectl, access.service), cluster
    for file in (access.ca_file, access.cert_file, access.key_file):
        if file and not Path(file).is_file():
            raise UsageError(f"there is no file {file}")
    from pulltrace_kubectl.sources.direct import DirectPrograms

    return DirectPrograms(access, _password(access, environment)), cluster


def _password(access: Access, environment: Mapping[str, str]) -> str:
    if not access.user:
        return ""
    if access.password_file:
        try:
            return Path(access.password_file).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--password-file {access.password_file} cannot be read: {error}") from error
    if PASSWORD_VARIABLE not in environment:
        raise UsageError("--user needs a password", f"put it into ${PASSWORD_VARIABLE}, or name a --password-file")
    return environment[PASSWORD_VARIABLE]
