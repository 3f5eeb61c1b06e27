"""Programs asked directly over HTTP: through a forwarded port, or where the client can reach them."""

from typing import Any, Final

from pulltrace.text import presentable
from pulltrace_kubectl.errors import ClientError, NotFound, Unanswered, UsageError
from pulltrace_kubectl.model.options import Access
from pulltrace_kubectl.model.pulls import Answer, Report
from pulltrace_kubectl.model.reading import UnreadableAnswer, merged, read
from pulltrace_kubectl.sources.port import Filters, Told
from pulltrace_kubectl.sources.proxy import PULLS, each

DEFAULT_TIMEOUT: Final = 10.0
_CLOSING: Final = "'\") "


class DirectPrograms:
    """Implements Programs. `password` goes with `access.user`."""

    def __init__(self, access: Access, password: str) -> None:
        import requests

        self._requests = requests
        self._urls = tuple(url.rstrip("/").removesuffix(PULLS) for url in access.urls)
        self._timeout = DEFAULT_TIMEOUT if access.timeout is None else access.timeout or None
        self._session = requests.Session()
        self._session.auth = (access.user, password) if access.user else _no_netrc
        # Given with each request: $REQUESTS_CA_BUNDLE goes before what a session has.
        self._verify = access.ca_file or None
        if access.cert_file:
            self._session.cert = (access.cert_file, access.key_file)

    def ask(self, _: Filters) -> Told:
        """All addresses, side by side."""
        outcomes = each(self._read, self._urls)
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        reports = tuple(outcome for outcome in outcomes if isinstance(outcome, Report))
        failures = [outcome for outcome in outcomes if isinstance(outcome, ClientError)]
        if not answers and not reports:
            raise failures[0]
        warnings = [f"a part is missing: {failure.problem}" for failure in failures]
        for url, outcome in zip(self._urls, outcomes, strict=True):
            # Only one that has just begun knows no node: one more question then does no harm.
            if isinstance(outcome, Answer) and not outcome.nodes and (reason := self._unready(url)):
                warnings.append(f"{url} is not ready: {reason}")
        return Told(merged(answers) if answers else None, reports, tuple(warnings))

    def report(self, node: str) -> Report:
        """The one of the addresses that tells of the node; raises NotFound where there is none."""
        for outcome in each(self._read, self._urls):
            if isinstance(outcome, Report) and outcome.node == node:
                return outcome
        raise NotFound(f"none of the addresses is the exporter of node {node}", "add its --url for layers")

    def _read(self, url: str) -> Answer | Report:
        response = self._get(url + PULLS)
        if response.status_code == 401:
            raise Unanswered(f"{url} wants a password", "give --user, and $PULLTRACE_PASSWORD or --password-file")
        if response.status_code != 200:
            said = f"{response.status_code}: {_first_line(response) or response.reason}"
            raise Unanswered(f"{url} answers {said}", "is it the address of an aggregator?")
        try:
            return read(response.content)
        except UnreadableAnswer as error:
            raise ClientError(
                f"{url}: {error}", "is it the address of an aggregator, of the client's version?"
            ) from error

    def _unready(self, url: str) -> str:
        """Why an aggregator is not ready; empty when it is."""
        response = self._get(f"{url}/-/ready")
        return _first_line(response).removeprefix("not ready: ") if response.status_code == 503 else ""

    def _get(self, url: str) -> Any:
        errors = self._requests.exceptions
        try:
            return self._session.get(url, timeout=self._timeout, allow_redirects=False, verify=self._verify)
        except errors.SSLError as error:
            raise Unanswered(f"{url}: TLS fails: {_cause(error)}", _tls_remedy(str(error))) from error
        except errors.Timeout as error:
            raise Unanswered(f"{url} does not answer in time", "--request-timeout gives it more") from error
        except errors.ConnectionError as error:
            raise Unanswered(f"{url} cannot be reached: {_cause(error)}", "does the port-forward run?") from error
        except (OSError, ValueError) as error:
            raise UsageError(f"{url}: {presentable(str(error))}") from error


def _no_netrc(request: Any) -> Any:
    """Without this `requests` would send the password that ~/.netrc has for the host."""
    return request


def _first_line(response: Any) -> str:
    return presentable(next(iter(response.text.strip().splitlines()), ""))


def _cause(error: BaseException) -> str:
    """The innermost words: `Connection refused`."""
    text = str(error)
    for mark in ("[Errno ", "] "):
        text = text.rpartition(mark)[2] if mark in text else text
    return presentable(text.rstrip(_CLOSING))


def _tls_remedy(text: str) -> str:
    if "certificate required" in text or "alert" in text:
        return "show a certificate: --cert-file and --key-file"
    return "give the authority that signed it with --ca-file, and a name in --url that the certificate has"
