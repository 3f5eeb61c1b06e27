"""The aggregator's command: the only place that builds the parts and joins them."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence

from pulltrace import logs
from pulltrace.cli import flag_help, program, startup
from pulltrace.cli.flags import Values
from pulltrace.clock import Clock, SystemClock
from pulltrace.errors import ConfigError
from pulltrace.exposition import process_collectors
from pulltrace.web import Server, WebConfig
from pulltrace_aggregator.api.pages import AggregatorPages
from pulltrace_aggregator.config import AggregatorConfig
from pulltrace_aggregator.controller.reconciler import Limits, Reconciler
from pulltrace_aggregator.diagnosis.staleness import StaleLimits
from pulltrace_aggregator.exporters.discovery import Discovery
from pulltrace_aggregator.exporters.http_config import HttpAccess
from pulltrace_aggregator.exporters.poller import PollerThread
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.kube.access import ApiAccess, source
from pulltrace_aggregator.kube.errors import AccessError
from pulltrace_aggregator.kube.reflector import Cluster
from pulltrace_aggregator.kube.resources import selections
from pulltrace_aggregator.loop import Inbox, Loop
from pulltrace_aggregator.metrics import FAMILIES, Process, Scraper

log = logging.getLogger(__name__)

LARGE_BYTES = 512 * 1024


def main() -> None:
    """Run the aggregator with this process' arguments and environment."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status, 2 for a configuration that cannot be used."""
    return program.run(
        AggregatorConfig.program, flag_help.answer(AggregatorConfig, argv), lambda stop: _serve(argv, environ, stop)
    )


class _Connections:
    """Access to the API server and to the exporters. Made while flags are checked: all faults are reported together."""

    kube: ApiAccess
    exporters: HttpAccess

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read_kubeconfig(self, values: Values) -> None:
        """Raises ConfigError."""
        path, context = values[AggregatorConfig.kubeconfig], values[AggregatorConfig.kubernetes_context]
        try:
            self.kube = ApiAccess(source(str(path) if path else None, context or None), self._clock)
        except AccessError as error:
            raise ConfigError([str(error)]) from error

    def read_http_config(self, values: Values) -> None:
        """Raises ConfigError."""
        self.exporters = HttpAccess(values[AggregatorConfig.exporter_http_config_file], self._clock)


def _serve(argv: Sequence[str], environ: Mapping[str, str], stop: program.Stop) -> None:
    clock = SystemClock()
    connections = _Connections(clock)
    settings = AggregatorConfig.from_argv(
        argv, environ, connections.read_http_config, connections.read_kubeconfig, program.check_web_config
    )
    program.start_logging(settings, environ)
    startup.return_large_blocks(LARGE_BYTES)
    startup.search_seldom_for_garbage()
    inbox = Inbox(clock)
    cluster = Cluster(
        connections.kube, selections(settings.kubernetes_namespaces, settings.exporter_service), inbox, clock
    )
    poller = PollerThread(
        Discovery(settings.exporter_targets, settings.shard),
        connections.exporters,
        clock,
        inbox,
        pace=Pace(interval=settings.exporter_interval, per_second=settings.exporter_max_requests_per_second),
        timeout=settings.exporter_timeout,
    )
    loop = Loop(
        inbox,
        # The chart gives the exporters' DaemonSet the name of their Service.
        Reconciler(clock.now(), _limits(settings), settings.shard.owns, settings.exporter_service),
        cluster,
        poller,
        clock,
    )
    web_config = WebConfig(settings.web_config_file, clock)
    scraper = _scraper(cluster, poller, web_config)
    pages = AggregatorPages(lambda: loop.published, clock, scraper, settings.telemetry_path)
    server = Server(settings.listen_address, pages.routes(), web_config)
    server.start()
    looping = program.start_vital("loop", loop.run, stop)
    poller.start()
    cluster.start()
    _log_start(settings, server.port, connections.kube.host)
    stop.wait()
    cluster.close()
    poller.close()
    loop.stop()
    looping.join()
    server.stop()


def _limits(settings: AggregatorConfig) -> Limits:
    stale = StaleLimits(
        no_progress=settings.stale_no_progress,
        unpack=settings.stale_unpack,
        slow_eta=settings.stale_slow_eta,
        resolving=settings.stale_resolving,
        exporter=settings.stale_exporter,
        remote=settings.stale_remote,
    )
    return Limits(stale, settings.pod_linger, settings.limit_repositories)


def _scraper(cluster: Cluster, poller: PollerThread, web_config: WebConfig) -> Scraper:
    process = Process(
        kubernetes_up=lambda: cluster.health.up,
        watch_restarts=lambda: cluster.health.restarts,
        exporter_requests=lambda: {str(result): count for result, count in poller.requests.items()},
        web_config_loaded=lambda: web_config.last_reload_successful,
    )
    return Scraper(FAMILIES, process, process_collectors())


def _log_start(settings: AggregatorConfig, port: int, kubernetes: str) -> None:
    log.info("serving", extra=logs.fields(address=settings.listen_address, port=port, kubernetes=kubernetes))
    if settings.exporter_service is None and not settings.exporter_targets:
        flags = f"{AggregatorConfig.exporter_service.option} or {AggregatorConfig.exporter_targets.option}"
        log.warning("no exporters are known, so no progress can be shown", extra=logs.fields(missing=flags))
