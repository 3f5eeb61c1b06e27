"""An hour of a made-up cluster as Prometheus would have stored it: what dashboards and their pictures are tried on.

`timelines` describes one pull and one wait as functions of time; `scenario` says what happens in the hour;
`exporter_series` and `aggregator_series` turn it into the series of both programs, `alert_series` into those of the
alerts; `stored_series` adds the labels of their targets and checks each series against the tables of metrics.
"""
