"""Sketches of the dashboards for the docs: not Grafana, but its layout, our words and a real Prometheus' answers.

`python -m rig.sketch [FOLDER]` loads the made-up hour of `rig.sample_hour` into a Prometheus and draws every dashboard
as it would look at the end of the hour.
"""
