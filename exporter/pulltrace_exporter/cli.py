"""The exporter's command: the only place that builds the parts and joins them."""

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
from pulltrace_exporter.api.pages import ExporterPages
from pulltrace_exporter.config import ExporterConfig
from pulltrace_exporter.containerd.socket import check_socket, find_socket
from pulltrace_exporter.containerd.source import ContainerdSource
from pulltrace_exporter.errors import UnsafeSocketError
from pulltrace_exporter.journal import Journal, NonblockingWriter, standard_output
from pulltrace_exporter.kubelet import IntentFolder
from pulltrace_exporter.metrics import FAMILIES, Process, Scraper, SeriesLimits
from pulltrace_exporter.poller import Intervals, Poller
from pulltrace_exporter.soci import UnpackFolder
from pulltrace_exporter.tracking.tracker import Tracker

log = logging.getLogger(__name__)

LARGE_BYTES, HEAPS = 64 * 1024, 2
JOURNAL_PATIENCE_SECONDS = 0.5
"""How long the program waits at its end for the reader of the journal."""


def main() -> None:
    """Run the exporter with this process' arguments and environment."""
    startup.return_large_blocks(LARGE_BYTES, HEAPS)
    sys.exit(run(sys.argv[1:], os.environ))


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status, 2 for a configuration that cannot be used."""
    return program.run(
        ExporterConfig.program,
        flag_help.answer(ExporterConfig, argv),
        lambda stop: _serve(
            ExporterConfig.from_argv(argv, environ, _check_socket, program.check_web_config), environ, stop
        ),
    )


def _check_socket(values: Values) -> None:
    try:
        allowed = values[ExporterConfig.containerd_allowed_directories]
        check_socket(values[ExporterConfig.containerd_address] or find_socket(), allowed)
    except (UnsafeSocketError, PermissionError) as error:
        raise ConfigError([str(error)]) from error


def _serve(settings: ExporterConfig, environ: Mapping[str, str], stop: program.Stop) -> None:
    program.start_logging(settings, environ)
    clock = SystemClock()
    address = settings.containerd_address or find_socket()
    source = ContainerdSource(address, settings.containerd_allowed_directories, settings.containerd_namespace)
    journal = NonblockingWriter(standard_output(), clock)
    tracker = Tracker(
        clock.now(),
        linger=settings.pull_linger,
        abandoned=settings.pull_abandoned,
        label_values=settings.limit_label_values,
    )
    poller = Poller(
        source,
        tracker,
        Intervals(busy=settings.poll_interval, idle=settings.poll_idle_interval),
        clock,
        intents=IntentFolder(settings.intents_directory).intents,
        fetched=UnpackFolder(settings.soci_directory).layers,
        write=Journal(settings.node_name, journal.write).write,
    )
    web_config = WebConfig(settings.web_config_file, clock)
    server = Server(settings.listen_address, _pages(settings, poller, clock, web_config).routes(), web_config)
    server.start()
    polling = program.start_vital("poller", poller.run, stop)
    log.info("serving", extra=logs.fields(address=settings.listen_address, port=server.port, containerd=address))
    stop.wait()
    poller.stop()
    source.cancel()
    polling.join()
    journal.close(JOURNAL_PATIENCE_SECONDS)
    source.close()
    server.stop()


def _pages(settings: ExporterConfig, poller: Poller, clock: Clock, web_config: WebConfig) -> ExporterPages:
    limits = SeriesLimits(
        pulls=settings.limit_pulls,
        layers=settings.limit_layers,
        collect_layers=settings.collect_layers,
        layer_min_size=settings.layer_min_size,
        layer_min_age=settings.layer_min_age,
    )
    process = Process(web_config_loaded=lambda: web_config.last_reload_successful)
    scraper = Scraper(FAMILIES, limits, process, process_collectors())
    return ExporterPages(settings.node_name, lambda: poller.view, clock, scraper, settings.telemetry_path)
