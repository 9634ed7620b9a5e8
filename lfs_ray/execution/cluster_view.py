"""What the policy actor asks of Ray: dead nodes, its own past, room in the object store.

Apart from the actor's own module, which takes no ray, so that it can be tested without.
"""

from __future__ import annotations

from typing import Any

import ray


class ClusterView:
    """Ray as the process that asks sees it."""

    def lost_nodes(self) -> frozenset[str]:
        """Ray's names of the nodes known to be dead."""
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return frozenset(str(node["NodeID"]) for node in nodes if not node["Alive"])

    def restarted(self) -> bool:
        """Whether the actor that asks was started again after a death."""
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)

    def put(self, value: Any) -> Any:
        """Put a value into the object store, owned by the process that asks; its reference."""
        return ray.put(value)
