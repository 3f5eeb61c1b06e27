"""Asks every pod behind the given Services whether it is ready; the pod of `helm test` runs it.

Arguments: http or https, then HOST:PORT of each Service. It needs nothing but Python's own library. Right after an
installation pods are still on their way: it goes on asking for two minutes (WAIT, in seconds). With SELECTOR it also
lists the pods that should be there, because a pod without an address stands behind no Service.
"""

import http.client
import json
import os
import socket
import ssl
import sys
import time
import urllib.parse
from pathlib import Path

FOLDER = Path("/etc/pulltrace/tls")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PAUSE = 3


def main(scheme, *services):
    """Exit with 0 as soon as there are pods and all of them are ready, with 1 when they are not in time."""
    until = time.monotonic() + float(os.environ.get("WAIT", "120"))
    while True:
        good, bad = ask_all(scheme, services)
        if (good and not bad) or time.monotonic() > until:
            break
        time.sleep(PAUSE)
    print("\n".join([*good, *bad]))
    # Not the number of pods: only eight bits of a status are kept.
    sys.exit(bool(bad) or not good)


def ask_all(scheme, services):
    """What is ready and what is not, a line each."""
    answers = [answer for service in services for answer in ask(scheme, service)]
    good = [text for ready, text in answers if ready]
    return good, [text for ready, text in answers if not ready] + without_address()


def ask(scheme, service):
    """Of each pod behind the Service, whether it is ready and what it says."""
    host, port = service.rsplit(":", 1)
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        return [(False, f"{service}: {error}")]
    return [is_ready(scheme, host, address) for *_, address in found]


def is_ready(scheme, host, address):
    """Whether the program at this address is ready, and what it says."""
    try:
        with socket.create_connection(address[:2], timeout=10) as plain:
            connection = http.client.HTTPConnection(*address[:2])
            connection.sock = secured(plain, host) if scheme == "https" else plain
            connection.request("GET", "/-/ready")
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace").strip()
            return answer.status == http.client.OK, f"{host} at {address[0]}: {answer.status} {said}"
    except (OSError, http.client.HTTPException) as error:
        return False, f"{host} at {address[0]}: {error}"


def secured(plain, host):
    """The connection over TLS; the certificate is good for the Service's name, not for an address."""
    context = ssl.create_default_context(cafile=FOLDER / "ca.crt")
    # There is one where clients have to show it.
    if (FOLDER / "tls.crt").exists():
        context.load_cert_chain(FOLDER / "tls.crt", FOLDER / "tls.key")
    return context.wrap_socket(plain, server_hostname=host)


def without_address():
    """The pods of the release that have no address yet, by name, a line each."""
    selector = os.environ.get("SELECTOR")
    if not selector:
        return []
    try:
        return [told(pod) for pod in pods(selector) if not pod["status"].get("podIP")]
    except (OSError, http.client.HTTPException, ValueError) as error:
        return [f"the pods of the release cannot be listed: {error}"]


def pods(selector):
    """The pods that the selector means, from the API server."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    # Authorities of EKS, and of MicroK8s before 1.35, do not have the form that Python 3.13 wants.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    path = f"/api/v1/namespaces/{os.environ['NAMESPACE']}/pods?labelSelector={urllib.parse.quote(selector)}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != http.client.OK:
        raise ValueError(f"{answer.status} {answer.reason}")
    return json.loads(body)["items"]


def told(pod):
    """Name, node and state of a pod without an address."""
    status = pod["status"]
    waiting = [each["state"].get("waiting", {}).get("reason") for each in status.get("containerStatuses", ())]
    unscheduled = [
        each.get("message") for each in status.get("conditions", ()) if each.get("reason") == "Unschedulable"
    ]
    why = ", ".join(filter(None, [status.get("phase"), *waiting, *unscheduled]))
    node = pod["spec"].get("nodeName", "no node")
    return f"pod {pod['metadata']['name']} on {node} has no address: {why}. See: kubectl describe pod"


if __name__ == "__main__":
    main(*sys.argv[1:])
