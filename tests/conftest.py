"""What holds for all tests."""

import pytest
from hypothesis import settings

# An example that takes long on a busy machine is no fault.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

# What a rig's module asserts is told like a test's own assertions; first, for what is imported before is not rewritten.
pytest.register_assert_rewrite("rig.invariants", "rig.scrape")

REAL_TIME = ("contract", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run again, and say so, what depends on several processes taking turns when it fails on a busy machine.

    A fault of ours fails three times; what nobody can reproduce is in the summary as rerun.
    """
    for item in items:
        if any(item.get_closest_marker(name) for name in REAL_TIME):
            item.add_marker(pytest.mark.flaky(reruns=2))
