"""Sketches of the dashboards for the docs: not Grafana, but its layout, our words and a real Prometheus' answers.

`python -m rig.sketch [FOLDER]` plays the made-up hour of `rig.evening` into a Prometheus and draws every dashboard as
it would stand at the hour's end.
"""
