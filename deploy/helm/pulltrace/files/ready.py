"""Asks every pod behind the given Services whether it is ready; the pod of `helm test` runs it.

Arguments: http or https, then HOST:PORT of each Service. It needs nothing but Python's own library.
"""

import http.client
import socket
import ssl
import sys
from pathlib import Path

FOLDER = Path("/etc/pulltrace/tls")


def main(scheme, *services):
    """Exit with 0 where there are pods and all of them are ready, else with 1."""
    answers = [answer for service in services for answer in ask(scheme, service)]
    # Not how many: of a status only eight bits are left.
    sys.exit(not (answers and all(answers)))


def ask(scheme, service):
    """Whether each pod behind the Service is ready; what it says is printed."""
    host, port = service.rsplit(":", 1)
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        print(f"{service}: {error}")
        return [False]
    return [is_ready(scheme, host, address) for *_, address in found]


def is_ready(scheme, host, address):
    """Whether the program at this address is ready."""
    try:
        with socket.create_connection(address[:2], timeout=10) as plain:
            connection = http.client.HTTPConnection(*address[:2])
            connection.sock = secured(plain, host) if scheme == "https" else plain
            connection.request("GET", "/-/ready")
            answer = connection.getresponse()
            print(f"{host} at {address[0]}: {answer.status} {answer.read().decode(errors='replace').strip()}")
            return answer.status == http.client.OK
    except (OSError, http.client.HTTPException) as error:
        print(f"{host} at {address[0]}: {error}")
        return False


def secured(plain, host):
    """The connection over TLS; the certificate is good for the Service's name, not for an address."""
    context = ssl.create_default_context(cafile=FOLDER / "ca.crt")
    # There is one where clients have to show it.
    if (FOLDER / "tls.crt").exists():
        context.load_cert_chain(FOLDER / "tls.crt", FOLDER / "tls.key")
    return context.wrap_socket(plain, server_hostname=host)


if __name__ == "__main__":
    main(*sys.argv[1:])
