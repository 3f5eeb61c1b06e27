"""A stand-in for kubectl on machines without one: `get`, `get --raw` and `config view` of a kubeconfig in JSON.

What it cannot do it refuses. The tests of the client run on it and on the real one where there is one, so that it
cannot say what the real one does not.
"""

import argparse
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

PATHS: Final = {
    "pod": "/api/v1/{}pods",
    "service": "/api/v1/{}services",
    "node": "/api/v1/{}nodes",
    "namespace": "/api/v1/{}namespaces",
    "deployment": "/apis/apps/v1/{}deployments",
    "statefulset": "/apis/apps/v1/{}statefulsets",
    "daemonset": "/apis/apps/v1/{}daemonsets",
}
KINDS: Final = {"pod": "Pod", "service": "Service", "deployment": "Deployment"}


class Failed(Exception):
    """Ends it with status 1; the text goes to standard error."""


def install(folder: Path) -> Path:
    """Put a `kubectl` into the folder, which is this program."""
    program = folder / "kubectl"
    tests = Path(__file__).parents[1]
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{tests}" exec "{sys.executable}" -S -m rig.fake_kubectl "$@"\n')
    program.chmod(0o755)
    return program


def main() -> int:
    arguments, flags = _parse(sys.argv[1:])
    time.sleep(float(os.environ.get("FAKE_KUBECTL_SECONDS", "0")))
    try:
        config = _config(flags)
        if arguments[:2] == ["config", "view"]:
            sys.stdout.write(config["context"].get("namespace", ""))
        elif flags.raw:
            sys.stdout.buffer.write(_get(config, flags.raw))
        elif arguments[0] == "get":
            sys.stdout.write(_objects(config, arguments[1:], flags) + "\n")
        else:
            sys.stderr.write(f"error: this kubectl knows no {arguments}\n")
            return 1
    except Failed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parse(words: list[str]) -> tuple[list[str], Any]:
    parser = argparse.ArgumentParser(prog="kubectl")
    parser.add_argument("words", nargs="*")
    for flag in ("--raw", "--namespace", "--selector", "--output", "--context", "--kubeconfig", "--request-timeout"):
        parser.add_argument(flag, default="")
    for flag in ("--all-namespaces", "--minify"):
        parser.add_argument(flag, action="store_true")
    flags = parser.parse_intermixed_args(words)
    return flags.words, flags


def _config(flags: Any) -> Any:
    file = flags.kubeconfig or os.environ.get("KUBECONFIG", "")
    if not file or not Path(file).exists():
        raise Failed("error: current-context must exist in order to minify")
    config = json.loads(Path(file).read_text())
    name = flags.context or config["current-context"]
    context = next((each["context"] for each in config["contexts"] if each["name"] == name), None)
    if context is None:
        raise Failed(f'error: context "{name}" does not exist')
    cluster = next(each["cluster"] for each in config["clusters"] if each["name"] == context["cluster"])
    user = next(each["user"] for each in config["users"] if each["name"] == context["user"])
    return {"context": context, "cluster": cluster, "user": user}


def _objects(config: Any, words: list[str], flags: Any) -> str:
    kinds, *names = words
    namespace = flags.namespace or config["context"].get("namespace", "default")
    within = "" if flags.all_namespaces else f"namespaces/{quote(namespace)}/"
    query = f"?{urlencode({'labelSelector': flags.selector})}" if flags.selector else ""
    items: list[Any] = []
    for kind in kinds.split(","):
        singular = kind.removesuffix("s")
        path = PATHS[singular].format("" if singular in ("node", "namespace") else within)
        if names:
            return _get(config, f"{path}/{quote(names[0])}").decode()
        found = json.loads(_get(config, path + query))["items"]
        items += [{"apiVersion": "v1", "kind": KINDS.get(singular, singular), **item} for item in found]
    if flags.output.startswith("jsonpath"):
        return "\n".join(item["metadata"]["name"] for item in items)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _get(config: Any, path: str) -> bytes:
    cluster = config["cluster"]
    context = ssl.create_default_context(cafile=cluster.get("certificate-authority"))
    request = urllib.request.Request(cluster["server"] + path)
    request.add_header("Authorization", f"Bearer {config['user'].get('token', '')}")
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        raise Failed(_complaint(error.code, error.read(), error.headers.get_content_type())) from None
    except OSError:
        host = cluster["server"].rpartition("//")[2]
        raise Failed(
            f"The connection to the server {host} was refused - did you specify the right host or port?"
        ) from None


def _complaint(code: int, body: bytes, content_type: str) -> str:
    """An error of the server in the words of the real kubectl."""
    if content_type == "application/json" and json.loads(body).get("kind") == "Status":
        status = json.loads(body)
        if code == 401:
            return f"error: You must be logged in to the server ({status['message']})"
        return f"Error from server ({status['reason']}): {status['message']}"
    said = {
        400: "Error from server (BadRequest): the server rejected our request for an unknown reason",
        401: "error: You must be logged in to the server (the server has asked for the client to provide credentials)",
        404: "Error from server (NotFound): the server could not find the requested resource",
        503: "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    }
    quoted = json.dumps(body.decode().strip())
    failed = f"an error on the server ({quoted}) has prevented the request from succeeding"
    return said.get(code, f"Error from server (InternalError): {failed}")


if __name__ == "__main__":
    sys.exit(main())
