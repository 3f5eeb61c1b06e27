"""What holds for all tests."""

import signal

import pytest
from hypothesis import settings

# An example that takes long on a busy machine is no fault.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

# What a rig's module asserts is told like a test's own assertions; first, for what is imported before is not rewritten.
pytest.register_assert_rewrite("rig.invariants", "rig.metric_tables", "rig.scrape")

# A shell that starts the tests in the background has it ignored, and a program that a test starts would take that over.
signal.signal(signal.SIGINT, signal.default_int_handler)
