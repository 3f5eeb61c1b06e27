"""An hour of a made-up cluster as Prometheus would have stored it: what dashboards and their sketches are tried on.

`acts` says how one pull and one wait go, as functions of time; `nodes` and `pods` turn them into the series of the
exporters and of the aggregator; `tape` gives these their targets and writes them down; `play` is what happens. No label
can be made up: `tape` holds every series against the tables of metrics.
"""
