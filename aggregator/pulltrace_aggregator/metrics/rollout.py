"""How far an image has come in the cluster: on how many nodes its pull is in which phase."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pulltrace.model.pull import ImageKey, Phase
from pulltrace_aggregator.model.view import NodePull


def image_nodes(pulls: Iterable[NodePull]) -> Mapping[tuple[ImageKey, Phase], int]:
    """Number of nodes by image and phase; a pull that ended counts as long as its node shows it."""
    return Counter((entry.pull.key, entry.pull.phase) for entry in pulls)
