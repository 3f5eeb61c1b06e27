"""The adapter to the exporters: finds them, reads each within the request budget, and keeps their last reports.

Pure are `discovery` (where each node's exporter is), `schedule` (whom to ask when), `answer` (from bytes to a report)
and `state` (what is known of each node). `http_config`, `connection` and `client` make the requests. `poller` joins all
of them in one event loop, in a thread of its own.
"""
