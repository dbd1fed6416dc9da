"""What happens to a task, and the events that monitors hear of it.

Each row runs on a Python worker and on Trawl's, which must tell the same in the same order, with the
same fields.
"""

from __future__ import annotations

from dataclasses import dataclass

COMMON = {"type", "hostname", "utcoffset", "pid", "clock", "timestamp"}
WORKER = COMMON | {"freq", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys"}
FIELDS = {
    "task-received": COMMON | {"uuid", "name", "args", "kwargs", "root_id", "parent_id", "retries", "eta",
                               "expires"},
    "task-started": COMMON | {"uuid"},
    "task-succeeded": COMMON | {"uuid", "result", "runtime"},
    "task-failed": COMMON | {"uuid", "exception", "traceback"},
    "task-retried": COMMON | {"uuid", "exception", "traceback"},
    "task-revoked": COMMON | {"uuid", "terminated", "signum", "expired"},
    "worker-online": WORKER, "worker-heartbeat": WORKER, "worker-offline": WORKER,
}
NULLABLE = {"eta", "expires", "root_id", "parent_id", "signum"}


@dataclass(frozen=True)
class Row:
    """One call, and the types of its events without their "task-"; "|" between what is right as well."""

    name: str
    task: str
    events: str
    args: str = "()"
    kwargs: str = "{}"
    options: str = "{}"
    revoke: str = ""  # after this event, or once it is sent


ROWS = [
    Row("success", "probe.add", "received started succeeded", "(2, 3)"),
    Row("shadow", "probe.noop", "received started succeeded", options="{'shadow': 'nick'}"),
    Row("countdown", "probe.noop", "received started succeeded", options="{'countdown': 0.3}"),
    Row("failure", "probe.fail", "received started failed", kwargs="{'kind': 'invalid'}"),
    Row("retry", "probe.fail", "received started retried received started succeeded",
        kwargs="{'kind': 'network', 'times': 1, 'after_ms': 50, 'path': '{record}'}"),
    Row("last-retry", "probe.fail", "received started failed", options="{'retries': 3}",
        kwargs="{'kind': 'network', 'after_ms': 50}"),
    Row("expired", "probe.noop", "revoked", options="{'expires': -5}"),
    Row("revoked", "probe.noop", "received revoked|revoked",  # Trawl receives what is due
        options="{'countdown': 0.5}", revoke="sent"),
    Row("terminated", "probe.sleep", "received started revoked", args="(60,)", revoke="started"),
]
