"""What a scenario needs of a node that pulls images: one port, with the stand-in and real containerd behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class PullFailed(Exception):
    """The pull ended without an image; the text is the runtime's."""


class PullRequest(Protocol):
    """One request for an image, as a kubelet makes it through CRI."""

    reference: str

    @property
    def done(self) -> bool:
        """Whether the request was answered, well or not."""
        ...

    def wait(self, timeout: float = 60) -> None:
        """Return when the image is there; raises PullFailed, or TimeoutError after `timeout` seconds."""
        ...

    def cancel(self) -> None:
        """Withdraw the request, as a kubelet does when it gives up; returns when the runtime has let go of it."""
        ...


class Node(Protocol):
    """A running containerd, real or imitated."""

    name: str
    """For test ids: `standin`, or `containerd-` with its minor version."""
    version: str
    """The version that its Version service reports."""
    socket: Path

    def pull(self, reference: str) -> PullRequest:
        """Begin a pull through CRI (always contacting the registry, as PullImage does); returns at once."""
        ...

    def client_pull(self, reference: str) -> Callable[[], None]:
        """Begin a pull by a separate client process (as `ctr images pull`); the answer kills that process at once,
        which leaves its lease behind."""
        ...

    def import_image(self, archive: Path) -> None:
        """Load an OCI archive from disk, as `ctr images import` does; returns when it is done."""
        ...

    def hold_lease(self, lease_id: str) -> Callable[[], None]:
        """Create a lease with the expiry label and no resources, as a container start does; the answer deletes it."""
        ...

    def remove_image(self, reference: str) -> None:
        """Delete the image under every name and collect the garbage; returns when its blobs are gone."""
        ...

    def crash(self) -> None:
        """End the daemon as SIGKILL does: nothing is cleaned up, the socket file stays."""
        ...

    def start(self) -> None:
        """Start the daemon again on the same state; returns when it answers on its socket."""
        ...

    def close(self) -> None:
        """End everything and remove the state."""
        ...
