"""Sizes, times and names as a person reads them."""

from collections.abc import Mapping
from typing import Any

QUIET = 3.0
STATES = ("cached", "unpacked", "unpacking", "downloaded", "downloading", "waiting")


def size(count: float) -> str:
    """Bytes in decimal units, three digits."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def name(pull: Mapping[str, Any]) -> str:
    """The image with its tag once that is known."""
    tagged = [each for each in pull.get("references", ()) if "@" not in each]
    return str(tagged[0]) if tagged else f"{pull['registry']}/{pull['repository']}"


def share(pull: Mapping[str, Any]) -> float | None:
    """How much is done of what goes on now, fetching or unpacking; None while that is unknown."""
    if pull.get("sizeBytes") is None:
        return None
    if pull["phase"] == "unpacking":
        return float(pull.get("unpackedBytes", 0) / pull["sizeBytes"])
    wanted = pull["sizeBytes"] - pull.get("cachedBytes", 0)
    return pull.get("downloadedBytes", 0) / wanted if wanted else 1.0


def amount(pull: Mapping[str, Any]) -> str:
    """Fetched of what had to be, and what was there before."""
    if pull.get("sizeBytes") is None:
        return "size unknown"
    cached = pull.get("cachedBytes", 0)
    text = f"{size(pull.get('downloadedBytes', 0))} of {size(pull['sizeBytes'] - cached)}"
    return f"{text} (+{size(cached)} cached)" if cached else text


def pace(pull: Mapping[str, Any]) -> str:
    """Rate and time left, as far as known; how long it took when it has ended."""
    if "endedAgeSeconds" in pull:
        return f"in {duration(pull['ageSeconds'] - pull['endedAgeSeconds'])}"
    if pull["phase"] == "unpacking":
        return f"{size(pull.get('unpackedBytes', 0))} unpacked"
    if stands_still(pull):
        return f"nothing for {duration(pull['lastProgressAgeSeconds'])}"
    rate = f"{size(pull['bytesPerSecond'])}/s" if "bytesPerSecond" in pull else ""
    left = f"{duration(pull['etaSeconds'])} left" if "etaSeconds" in pull else ""
    return ", ".join(part for part in (rate, left) if part)


def stands_still(pull: Mapping[str, Any]) -> bool:
    """Whether a download has not moved for a while that a person would notice."""
    return pull["phase"] == "downloading" and float(pull.get("lastProgressAgeSeconds", 0)) > QUIET


def tail(reference: str) -> str:
    """A reference without its registry."""
    return reference.partition("/")[2] or reference


def layers(pull: Mapping[str, Any]) -> str:
    """Layers counted by state, those with none left out."""
    states = [layer["state"] for layer in pull.get("layers", ())]
    return ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)


def waiting_for_registry(report: Mapping[str, Any]) -> str:
    """Of pulls without a name yet; empty when there is none."""
    ages = [entry["ageSeconds"] for entry in report.get("resolving", ())]
    if not ages:
        return ""
    pulls = "1 pull waits" if len(ages) == 1 else f"{len(ages)} pulls wait"
    return f"{pulls} for a registry's answer, {duration(max(ages))}"
