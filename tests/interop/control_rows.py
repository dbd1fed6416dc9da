"""Every command of remote control, one question per row, and how the answers of two workers compare.

"same"     equal, to the letter
"shape"    the same keys and types (reply_shape.py); `tables` are objects with keys of their own
"either"   an error is an answer too: what needs more libraries, or hangs on the moment
"null"     ours is null: what a Python worker says without gossip is no example
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A question; "{active}" and the like in the arguments become the id of each worker's own task."""

    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    how: str = "shape"
    tables: frozenset[str] = frozenset()
    only: str | None = None  # generation
    what: str = ""  # the row's name, where a method has several
    ok: str | None = None  # the text itself, besides

    def name(self) -> str:
        return f"{self.method}-{self.what}" if self.what else self.method


def same(method: str, what: str = "", only: str | None = None, ok: str | None = None,
         **arguments: Any) -> Row:
    return Row(method, arguments, "same", what=what, only=only, ok=ok)


def shape(method: str, what: str = "", tables: tuple[str, ...] = (), **arguments: Any) -> Row:
    return Row(method, arguments, "shape", frozenset(tables), what=what)


STATS = ("total",)
INSPECT = [
    same("ping", ok="pong"), shape("clock"),
    shape("active"), shape("active", "safe", safe=True), shape("dump_active"),
    shape("reserved"), shape("dump_reserved"),
    shape("scheduled"), shape("dump_schedule"),
    shape("revoked"), shape("dump_revoked"),
    shape("registered"), shape("dump_tasks"),
    shape("registered", "name", taskinfoitems=["name"]),
    shape("registered", "limits", taskinfoitems=["max_retries", "time_limit", "acks_late"]),
    shape("registered", "builtins", builtins=True),
    shape("query_task", "active", tables=("",), ids=["{active}"]),
    shape("query_task", "one", tables=("",), ids="{reserved}"),
    same("query_task", "unknown", ids=["no-such-id"]),
    shape("stats", tables=STATS), shape("active_queues"),
    shape("report"),
    Row("memsample", how="either"), Row("memdump", how="either"),
    Row("objgraph", {"num": 3, "max_depth": 1, "type": "Request"}, how="either"),
]

CONTROL = [
    shape("revoke", task_id="row-1"), shape("revoke", "several", task_id=["row-2", "row-3"]),
    same("revoke", "unknown", ok="terminate: tasks unknown", task_id="row-4", terminate=True),
    same("terminate", ok="terminate: tasks unknown", signal="TERM", task_id="row-5"),
    same("revoke", "bad-signal", task_id="{active}", terminate=True, signal="SIGBOGUS"),
    same("revoke_by_stamped_headers", only="current", headers={"mtag": ["x1"]},
         ok="headers {'mtag': ['x1']} flagged as revoked, but not terminated"),
    same("rate_limit", ok="new rate limit set successfully", task_name="probe.big", rate_limit="10/m"),
    same("rate_limit", "off", ok="rate limit disabled successfully", task_name="probe.big",
         rate_limit=0),
    same("rate_limit", "unknown", task_name="no.such.task", rate_limit="10/m"),
    same("rate_limit", "invalid", task_name="probe.big", rate_limit="ten"),
    same("time_limit", ok="time limits set successfully", task_name="probe.big", soft=30, hard=60),
    same("time_limit", "unknown", task_name="no.such.task", soft=30, hard=60),
    same("pool_grow", ok="pool will grow", n=1), Row("pool_shrink", {"n": 1}, "either"),
    same("autoscale", max=3, min=1), Row("pool_restart", how="either"),
    same("add_consumer", ok="add consumer more", queue="more"),
    same("cancel_consumer", ok="no longer consuming from more", queue="more"),
    same("enable_events", ok="task events enabled"),
    same("enable_events", "again", ok="task events already enabled"),
    same("disable_events", ok="task events disabled"),
    same("disable_events", "again", ok="task events already disabled"),
    same("heartbeat"),
    Row("election", {"id": "vote-1", "topic": "nothing", "action": "nothing"}, "null"),
    Row("no_such_command", how="either"),
    Row("rate_limit", {"nonsense": 1}, how="either", what="wrong-arguments"),
]

ROWS = INSPECT + CONTROL

# `conf` gives what was changed, of which two kinds of worker have little in common, and these always.
CONF_ALWAYS = {"deprecated_settings", "broker_url", "result_backend", "accept_content", "enable_utc",
               "timezone", "broker_heartbeat", "include", "worker_hijack_root_logger",
               "worker_log_color"}

# The command line's own words; each has to name both workers, with an answer that is no error.
SHELL = [
    ("inspect", "ping"), ("inspect", "clock"), ("inspect", "active"), ("inspect", "reserved"),
    ("inspect", "scheduled"), ("inspect", "revoked"), ("inspect", "registered"),
    ("inspect", "query_task", "no-such-id"), ("inspect", "stats"), ("inspect", "active_queues"),
    ("inspect", "conf"), ("inspect", "report"),
    ("control", "rate_limit", "probe.big", "10/m"), ("control", "time_limit", "probe.big", "30", "60"),
    ("control", "pool_grow", "1"), ("control", "pool_shrink", "1"),
    ("control", "add_consumer", "more"), ("control", "cancel_consumer", "more"),
    ("control", "enable_events"), ("control", "disable_events"),
]
