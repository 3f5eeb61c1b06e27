"""What holds at every scrape, whatever the node is doing. Checked at each look that a test takes."""

import math

from rig.images import Image
from rig.scrape import LayerSeries, PullSeries, Scrape

STATES = ("waiting", "downloading", "downloaded", "unpacking", "unpacked")
"""The states in the order in which a layer passes through them; a cached layer stays cached."""
COMPLETE = ("downloaded", "unpacking", "unpacked", "cached")
RUNNING = ("downloading", "unpacking")
COUNTERS = ("_total", "_count", "_bucket", "_sum")


def check(scrape: Scrape, before: Scrape | None = None) -> None:
    """Fail for samples that cannot be true, alone or after the scrape `before`."""
    keys = [(pull.registry, pull.repository, pull.digest) for pull in scrape.pulls]
    assert len(set(keys)) == len(keys), f"a pull in two phases: {keys}"
    for name, samples in scrape.series.items():
        labels = [tuple(sorted(sample.labels.items())) for sample in samples]
        assert len(set(labels)) == len(labels), f"{name} has a series twice"
        assert all(sample.value >= 0 for sample in samples), f"{name} is negative: {samples}"
    now = scrape.value("pulltrace_exporter_time_seconds")
    assert now is not None
    for pull in scrape.pulls:
        _check_pull(pull, now)
    for phase in RUNNING if scrape.in_progress else ():
        running = sum(pull.phase == phase for pull in scrape.pulls)
        # An image of Docker's schema 1 has no name, and so no series, before its layers are there.
        assert scrape.in_progress[phase] >= running, f"{running} pulls are {phase}: {scrape.in_progress}"
    if before is not None:
        _check_course(before, scrape)


def _check_pull(pull: PullSeries, now: float) -> None:
    assert pull.start is not None, pull
    assert pull.last_progress is not None, pull
    assert pull.start <= pull.last_progress <= now, pull
    assert (pull.end is not None) == pull.ended, pull
    assert (pull.requests or 0) > 0 or pull.ended, pull
    if pull.ended:
        assert pull.end is not None, pull
        assert pull.start <= pull.end <= now, pull
        assert pull.rate is pull.eta is None, pull
    _check_sizes(pull)
    for layer in pull.layers:
        _check_layer(layer, pull)


def _check_sizes(pull: PullSeries) -> None:
    parts = (pull.size, pull.cached, pull.downloaded, pull.unpacked)
    if pull.size is None or pull.cached is None or pull.downloaded is None or pull.unpacked is None:
        assert parts == (None,) * 4, f"sizes without a manifest, or not all of them: {pull}"
        assert pull.ratio is None, pull
        assert not pull.counts, pull
        assert not pull.layers, pull
        return
    wanted = pull.size - pull.cached - pull.remote
    assert pull.downloaded <= wanted, pull
    assert pull.unpacked <= pull.size, pull
    if pull.ratio is None:
        assert "remote" in pull.states, pull
        assert pull.rate is pull.eta is None, pull
    else:
        assert math.isclose(pull.ratio, pull.downloaded / wanted if wanted else 1.0, abs_tol=1e-9), pull
    if pull.eta is not None:
        assert pull.rate, f"a time left without a rate: {pull}"
        assert math.isclose(pull.eta, (wanted - pull.downloaded) / pull.rate, rel_tol=1e-6), pull
    assert sum(pull.counts.values()) == len(pull.layers), pull
    assert [layer.index for layer in pull.layers] == list(range(len(pull.layers))), pull
    assert all(pull.states.count(state) == count for state, count in pull.counts.items()), pull
    fetched = {layer.digest: layer.downloaded or 0 for layer in pull.layers}
    config = pull.size - sum({layer.digest: layer.size or 0 for layer in pull.layers}.values())
    assert 0 <= pull.downloaded - sum(fetched.values()) <= config, f"config and layers are not the pull: {pull}"


def _check_layer(layer: LayerSeries, pull: PullSeries) -> None:
    assert layer.size is not None, pull
    assert (layer.downloaded is None) >= (layer.state == "remote"), pull
    if layer.downloaded is None:
        assert layer.state in ("remote", "unpacked"), pull
        assert layer.rate is None, pull
        return
    assert layer.downloaded <= layer.size, pull
    if layer.state in COMPLETE:
        assert layer.downloaded in (0, layer.size), pull
        assert layer.state != "cached" or not layer.downloaded, pull
        assert layer.rate is None, f"a layer is complete and has a rate: {pull}"
    assert layer.rate is None or not pull.ended, pull


def _check_course(before: Scrape, after: Scrape) -> None:
    for name, samples in before.series.items():
        if name.startswith("pulltrace_") and name.endswith(COUNTERS):
            for sample in samples:
                value = after.value(name, **sample.labels)
                assert value is not None, f"{name}{sample.labels} is gone"
                assert value >= sample.value, f"{name}{sample.labels} fell from {sample.value} to {value}"
    for pull in after.pulls:
        for earlier in before.pulls:
            if (earlier.repository, earlier.digest, earlier.start) == (pull.repository, pull.digest, pull.start):
                _check_progress(earlier, pull)


def _check_progress(earlier: PullSeries, pull: PullSeries) -> None:
    """The same attempt a moment later: what is there stays there."""
    assert (earlier.downloaded or 0) <= (pull.downloaded or 0), f"downloaded fell: {earlier} -> {pull}"
    assert (earlier.unpacked or 0) <= (pull.unpacked or 0), f"unpacked fell: {earlier} -> {pull}"
    assert not earlier.ended or earlier.phase == pull.phase, f"{earlier} -> {pull}"
    # When the lowest layer cannot be unpacked, its snapshot goes before the lease does: the layer is there as before.
    unpacks = not {"unpacking", "unpacked"}.isdisjoint(pull.states)
    for old, new in zip(earlier.layers, pull.layers, strict=False):
        assert (old.downloaded or 0) <= (new.downloaded or 0), f"{old} -> {new}"
        if {old.state, new.state} <= {*STATES} and (unpacks or (old.state, new.state) != ("unpacking", "downloaded")):
            assert STATES.index(old.state) <= STATES.index(new.state), f"{old} -> {new}"


def check_whole(pull: PullSeries, image: Image, *, cached: int = 0) -> None:
    """Fail unless the pull ended well and shows the whole image; `cached` bytes of it were there before."""
    assert pull.phase == "succeeded", pull
    assert pull.media_type == image.root.media_type, pull
    assert pull.size == image.size, pull
    assert pull.cached == cached, pull
    assert pull.downloaded == image.size - cached, pull
    assert pull.unpacked == layer_size(image), pull
    assert pull.ratio == 1, pull
    assert pull.requests == 0, pull
    assert [layer.digest for layer in pull.layers] == [layer.digest for layer in image.layers], pull
    assert [layer.media_type for layer in pull.layers] == [layer.media_type for layer in image.layers], pull
    assert [layer.size for layer in pull.layers] == [layer.size for layer in image.layers], pull
    assert set(pull.states) <= {"unpacked", "cached"}, pull


def layer_size(*images: Image) -> int:
    return sum({layer.digest: layer.size for image in images for layer in image.layers}.values())
