"""What ends with its `with` block."""

from contextlib import ExitStack
from typing import Self


class Closing:
    """Base of whatever a test starts and has to end."""

    def close(self) -> None:
        """End it. May be called twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Started(Closing):
    """What `_start` begins, and leaves to `_closing`, ends in reverse order; at once where the rest does not begin."""

    def __init__(self) -> None:
        self._closing = ExitStack()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._closing.close()
