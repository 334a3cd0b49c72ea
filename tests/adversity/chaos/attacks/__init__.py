"""The attackers. Each strikes once and mends what doesn't mend itself; one at a time.

`rig.whole()` is the caller's to await.
"""

from typing import Final

from tests.adversity.chaos.attacks import connections, processes, servers
from tests.adversity.chaos.attacks.chance import Attack, Chance

__all__ = ["ATTACKS", "NEED_STATEMENTS", "NEED_TRAFFIC", "Attack", "Chance"]

ATTACKS: Final[dict[str, Attack]] = {
    "kill-worker": processes.kill_worker,
    "kill-maintenance": processes.kill_maintenance,
    "kill-merge-at-statement": processes.kill_merge_at_statement,
    "kill-backend": servers.kill_backend,
    "kill-primary": servers.kill_primary,
    "kill-replica": servers.kill_replica,
    "promote-replica": servers.promote_replica,
    "stop-worker": processes.stop_worker,
    "stop-maintenance": processes.stop_maintenance,
    "stop-primary": servers.stop_primary,
    "stop-replica": servers.stop_replica,
    "delay": connections.delay,
    "cut-copy": connections.cut_copy,
    "half-close": connections.half_close,
    "black-hole": connections.black_hole,
    "full-log-disk": servers.fill_the_log_disk,
    "full-buffer-disk": servers.fill_the_buffer_disk,
    "step-clock": processes.step_clock,
}

#: They wait for a COPY or for a rotation, which come only with impressions.
NEED_TRAFFIC: Final = frozenset({"kill-merge-at-statement", "cut-copy", "full-buffer-disk"})

#: They strike at a statement of the merge, and have to know which there are.
NEED_STATEMENTS: Final = frozenset({"kill-merge-at-statement"})
