"""A registry that stops sending in mid-layer."""

from rig.images import MIB
from rig.node_setup import NodeSetup


def test_a_stall_is_downloading_ever_more_slowly(setup: NodeSetup) -> None:
    image = setup.push(layers=[4 * MIB])
    setup.registry.throttle(4 * MIB)
    exporter = setup.exporter()
    _, stall = setup.pull_held(image, 3 * MIB + 600_000)
    before = exporter.wait_until(lambda scrape: scrape.downloaded(image) >= 3 * MIB).pull(image)
    looks = exporter.watch(lambda scrape: scrape.pull(image).rate < before.rate / 3)
    rates = [scrape.pull(image).rate for scrape in looks]
    assert rates == sorted(rates, reverse=True)
    etas = [scrape.pull(image).eta for scrape in looks]
    assert etas == sorted(etas)
    assert {scrape.phase(image) for scrape in looks} == {"downloading"}
    assert looks[-1].pull(image).states == ["downloading"]
    assert {scrape.pull(image).last_progress for scrape in looks} == {before.last_progress}
    stall.release()
    end = exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    assert end.pull(image).last_progress > before.last_progress
