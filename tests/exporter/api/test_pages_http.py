import pytest
import requests

from pulltrace.model import wire
from pulltrace_exporter.api.pages import ExporterPages
from pulltrace_exporter.metrics import FAMILIES, Process, Scraper, SeriesLimits
from rig.sample_views import FixedClock, busy_view
from rig.web import serving

pytestmark = pytest.mark.contract


def test_the_pages_are_served_with_all_that_http_offers_them() -> None:
    scraper = Scraper(FAMILIES, SeriesLimits(), Process())
    pages = ExporterPages("node-1", busy_view, FixedClock(), scraper)
    with serving(pages.routes()) as server, requests.Session() as client:
        url = f"http://127.0.0.1:{server.port}"
        scrape = client.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
        assert scrape.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert scrape.headers["Content-Encoding"] == "gzip"
        assert "\npulltrace_containerd_up 1\n" in scrape.text
        report = client.get(f"{url}/v1/pulls?layers=false")
        assert wire.decode(report.content).node == "node-1"
        again = client.get(f"{url}/v1/pulls?layers=false", headers={"If-None-Match": report.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(f"{url}/v1/pulls?colour=blue").status_code == 400
        assert "default-src 'none'" in client.get(url).headers["Content-Security-Policy"]
