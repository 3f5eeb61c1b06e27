"""What ends with its `with` block."""

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
