"""A registry that stops sending in mid-layer."""

from rig.images import MIB
from rig.invariants import check_whole, layer_size
from rig.node_setup import NodeSetup, Stalled, stalled_pull


def test_a_stall_is_downloading_ever_more_slowly(setup: NodeSetup) -> None:
    stalled = stalled_pull(setup)
    image = stalled.image
    before = stalled.exporter.scrape().pull(image)
    looks = stalled.exporter.watch(lambda scrape: scrape.pull(image).rate < before.rate / 3)
    rates = [scrape.pull(image).rate for scrape in looks]
    assert rates == sorted(rates, reverse=True)
    etas = [scrape.pull(image).eta for scrape in looks]
    assert etas == sorted(etas)
    assert {scrape.phase(image) for scrape in looks} == {"downloading"}
    assert looks[-1].pull(image).states == ["downloading"]
    assert {scrape.pull(image).last_progress for scrape in looks} == {before.last_progress}
    stalled.stall.release()
    end = stalled.exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    assert end.pull(image).last_progress > before.last_progress


def test_after_a_minute_the_rate_is_zero_and_nobody_says_when_it_will_be_done(long_stalled: Stalled) -> None:
    """Not before: of a slow registry the offset stands still for long, too."""
    image = long_stalled.image
    zero = long_stalled.exporter.wait_until(lambda scrape: scrape.pull(image).rate == 0, timeout=75)
    pull = zero.pull(image)
    assert (pull.phase, pull.states, pull.eta) == ("downloading", ["downloading"], None)
    assert pull.layers[0].rate == 0
    assert zero.value("pulltrace_exporter_time_seconds") - pull.last_progress >= 60
    assert pull.downloaded == 3 * MIB + image.config.size
    long_stalled.stall.release()
    end = long_stalled.exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded")
    check_whole(end.pull(image), image)
    assert end.layer_bytes == layer_size(image)
