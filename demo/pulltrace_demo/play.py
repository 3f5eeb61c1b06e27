"""The order of events: what a busy node might see in a minute, again and again, until told to stop."""

import threading
from collections.abc import Iterable, Mapping
from typing import Protocol

from pulltrace_demo.shop import Shop
from rig.node import Node, PullRequest

BETWEEN = 3.0
LOOK = 0.1


class PlayedNode(Node, Protocol):
    """A node that can say what it has."""

    def images(self) -> Mapping[str, str]:
        """Root digest of every image, by name."""
        ...


class Ended(Exception):
    """The play is over."""


class Play:
    """Plays rounds in a thread of its own."""

    def __init__(self, node: PlayedNode, shop: Shop) -> None:
        self._node = node
        self._shop = shop
        self._over = threading.Event()
        self._pulled: list[str] = []
        self._thread = threading.Thread(target=self._run, name="play")

    def start(self) -> None:
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether it ended without being told to."""
        return not self._thread.is_alive() and not self._over.is_set()

    def stop(self) -> None:
        """End it where it stands; returns when it has."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                self._round()
        except Ended:
            return

    def _round(self) -> None:
        self._pulled = []
        self._shop.open()
        big = self._pull(self._shop.big())
        self._pause(2 * BETWEEN)
        self._finish(self._pull(reference) for reference in self._shop.pair())
        self._pause(BETWEEN)
        self._finish([self._pull(self._shop.stalling()), self._pull(self._shop.failing())])
        self._finish([big])
        self._pause(BETWEEN)
        self._finish([self._pull(self._shop.mostly_cached())])
        self._pause(BETWEEN)
        self._clear()

    def _pull(self, reference: str) -> PullRequest:
        self._pulled.append(reference)
        return self._node.pull(reference)

    def _finish(self, pulls: Iterable[PullRequest]) -> None:
        """Wait for their end, good or bad."""
        for pull in list(pulls):
            while not pull.done:
                self._pause(LOOK)

    def _clear(self) -> None:
        """The next round finds nothing cached, and an endless play does not fill the disk."""
        for reference in self._pulled:
            if reference in self._node.images():
                self._node.remove_image(reference)

    def _pause(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise Ended
