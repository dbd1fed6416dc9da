"""One call per row: how a Python program sends it, and what it must see of it.

`args`, `kwargs` and `options` are Python source, read by the client (see celery_client.py); "{record}" in
it becomes the path of a file of the test's own.  `value` is the `repr` of what `get` gives; where releases
differ it is a table by generation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

REVOKED = r"TaskRevokedError\('expired'\)"


@dataclass(frozen=True)
class Case:
    """What is sent, then what is expected."""

    name: str
    task: str
    args: str = "()"
    kwargs: str = "{}"
    options: str = "{}"
    conf: dict[str, Any] = field(default_factory=dict)

    state: str = "SUCCESS"
    value: str | dict[str, str] | None = None
    raised: str | None = None  # a regular expression for the exception's repr
    module: str | None = None  # of the exception's class
    traceback: str | None = None  # a regular expression, found somewhere
    states: frozenset[str] = frozenset()  # seen on the way
    at_least_s: float = 0  # from sending to the end
    only: str | None = None  # generation

    def value_for(self, generation: str) -> str | None:
        return self.value[generation] if isinstance(self.value, dict) else self.value


def gives(name: str, source: str, value: str | dict[str, str] | None = None,
          **more: Any) -> Case:
    """A value that is sent and comes back; `value` where it does not look like its source."""
    def wrap(text: str) -> str:
        return f"{{'value': {text}}}"

    if isinstance(value, dict):
        expected: Any = {generation: wrap(text) for generation, text in value.items()}
    else:
        expected = wrap(value or source)
    return Case(f"value-{name}", "probe.value", args=f"({source},)", value=expected, **more)


def fails(kind: str, exception: str) -> Case:
    """A task whose own error is final."""
    text = f"{exception}\\('failed as told: {kind}'\\)"
    return Case(f"error-{kind}", "probe.fail", kwargs=repr({"kind": kind}), state="FAILURE",
                raised=text, module="builtins", traceback=f"{exception}: failed as told: {kind}")


CALLS = [
    Case("noop", "probe.noop", value="None"),
    Case("positional", "probe.add", args="(2, 3)", value="{'sum': 5}"),
    Case("named", "probe.add", kwargs="{'x': 2, 'y': -3}", value="{'sum': -1}"),
    Case("mixed", "probe.add", args="(40,)", kwargs="{'y': 2}", value="{'sum': 42}"),
    Case("defaults", "probe.add", value="{'sum': 0}"),
    Case("text", "probe.echo", args="('grüße, 世界 \U0001f30d',)",
         value="{'value': 'grüße, 世界 \U0001f30d', 'length': 20}"),
    Case("null", "probe.echo", args="(None,)", value="{'value': None, 'length': 0}"),
    Case("own-id", "probe.add", args="(1, 1)", options="{'task_id': 'not a UUID, ü'}",
         value="{'sum': 2}"),
    Case("parents", "probe.noop", options="{'root_id': 'r', 'parent_id': 'p'}", value="None"),
    Case("shadow", "probe.noop", options="{'shadow': 'nick'}", value="None"),
    Case("headers", "probe.add", args="(1, 2)", value="{'sum': 3}",
         options="{'headers': {'xh': 1, 'deep': {'a': [None, 1.5]}}}"),
    Case("hidden-repr", "probe.add", args="(1, 2)", value="{'sum': 3}",
         options="{'argsrepr': '<secret>', 'kwargsrepr': '<secret>'}"),
    Case("other-queue", "probe.add", args="(1, 2)", options="{'queue': 'other'}",
         value="{'sum': 3}"),
    Case("routing-key", "probe.add", args="(1, 2)", value="{'sum': 3}",
         options="{'exchange': '', 'routing_key': 'other'}"),
    Case("transient", "probe.noop", options="{'delivery_mode': 1}", value="None"),
    Case("progress", "probe.sleep", kwargs="{'ms': 1200, 'steps': 4}",
         value="{'slept_ms': 1200}", states=frozenset({"PROGRESS"}), at_least_s=1.2),
    Case("protocol-1", "probe.add", args="(2,)", kwargs="{'y': 3}", conf={"task_protocol": 1},
         value="{'sum': 5}"),
    Case("protocol-1-countdown", "probe.add", args="(2, 3)", conf={"task_protocol": 1},
         options="{'countdown': 0.5}", value="{'sum': 5}", at_least_s=0.5),
    Case("protocol-1-expired", "probe.noop", options="{'expires': now - timedelta(seconds=5)}",
         conf={"task_protocol": 1}, state="REVOKED", raised=REVOKED),
]

PRIORITIES = [
    Case(f"priority-{n}", "probe.add", args=f"({n}, 1)", options=f"{{'priority': {n}}}",
         value=f"{{'sum': {n + 1}}}")
    for n in (0, 1, 3, 5, 6, 9)
]

TIMES = [
    Case("countdown", "probe.noop", options="{'countdown': 0.7}", value="None", at_least_s=0.7),
    Case("countdown-0", "probe.noop", options="{'countdown': 0}", value="None"),
    Case("eta", "probe.noop", options="{'eta': now + timedelta(seconds=0.7)}", value="None",
         at_least_s=0.69),
    Case("eta-whole-second", "probe.noop", value="None",
         options="{'eta': (now + timedelta(seconds=1)).replace(microsecond=0)}"),
    Case("eta-naive", "probe.noop", value="None", at_least_s=0.49,
         options="{'eta': (now + timedelta(seconds=0.5)).replace(tzinfo=None)}"),
    Case("eta-past", "probe.noop", options="{'eta': now - timedelta(days=400)}", value="None"),
    Case("eta-tokyo", "probe.noop", options="{'countdown': 0.5}", conf={"timezone": "Asia/Tokyo"},
         value="None", at_least_s=0.5),
    Case("eta-local-time", "probe.noop", options="{'countdown': 0.5}", value="None",
         conf={"timezone": "Asia/Tokyo", "enable_utc": False}, at_least_s=0.5),
    Case("eta-priority", "probe.noop", options="{'countdown': 0.4, 'priority': 9}", value="None",
         at_least_s=0.4),
    Case("expires", "probe.noop", options="{'expires': 30}", value="None"),
    Case("expires-date", "probe.noop", options="{'expires': now + timedelta(hours=1)}",
         value="None"),
    Case("expired", "probe.noop", options="{'expires': now - timedelta(seconds=5)}",
         state="REVOKED", raised=REVOKED, module="celery.exceptions"),
    Case("expired-before-eta", "probe.noop", options="{'countdown': 0.8, 'expires': 0.2}",
         state="REVOKED", raised=REVOKED),
    Case("soft-limit", "probe.sleep", args="(30,)", options="{'soft_time_limit': 1}",
         state="FAILURE", raised="SoftTimeLimitExceeded", module="billiard.exceptions"),
    Case("hard-limit", "probe.sleep", args="(30,)", options="{'time_limit': 1}", state="FAILURE",
         raised=r"TimeLimitExceeded\(1(\.0)?,?\)", module="billiard.exceptions"),
    Case("limits-not-met", "probe.noop", options="{'time_limit': 20, 'soft_time_limit': 10}",
         value="None"),
]

ERRORS = [
    fails("invalid", "ValueError"),
    fails("io", "OSError"),
    fails("not_found", "LookupError"),
    Case("retried", "probe.fail", value="{'runs': 3}", states=frozenset({"RETRY"}),
         kwargs="{'kind': 'network', 'times': 2, 'after_ms': 50, 'path': '{record}'}"),
    Case("retried-with-expiry", "probe.fail", value="{'runs': 2}", states=frozenset({"RETRY"}),
         kwargs="{'kind': 'network', 'times': 1, 'after_ms': 50, 'path': '{record}'}",
         options="{'expires': 60, 'priority': 6, 'headers': {'xh': 1}}", only="current"),
    Case("retries-used-up", "probe.fail", state="FAILURE", states=frozenset({"RETRY"}),
         kwargs="{'kind': 'timeout', 'after_ms': 50}",
         raised=r"TimeoutError\('failed as told: timeout'\)", module="builtins"),
    Case("retry-out-of-time", "probe.fail", kwargs="{'kind': 'network', 'after_ms': 1500}",
         options="{'expires': 1}", state="REVOKED", raised=REVOKED, only="current"),
    Case("last-retry", "probe.fail", kwargs="{'kind': 'network', 'after_ms': 50}",
         options="{'retries': 3}", state="FAILURE",
         raised=r"ConnectionError\('failed as told: network'\)"),
    Case("unknown-argument", "probe.add", kwargs="{'z': 1}", state="FAILURE",
         raised=r"TypeError\(", module="builtins"),
    Case("too-many-arguments", "probe.add", args="(1, 2, 3)", state="FAILURE",
         raised=r"TypeError\("),
    Case("unregistered", "no.such.task", state="FAILURE", raised="Task of kind 'no.such.task' never",
         module="celery.exceptions"),
]

VALUES = [
    gives("null", "None"),
    gives("booleans", "[True, False]"),
    gives("integers", "[0, -1, 9223372036854775807, -9223372036854775808]"),
    gives("big-integer", "2 ** 200 + 1", str(2 ** 200 + 1)),
    gives("floats", "[0.1, -0.0, 1e+308, 5e-324, 1.0]"),
    gives("nan", "[nan, inf, -inf]"),
    gives("empty", "[[], {}, '']"),
    gives("nested", "{'a': [{'b': {'c': [1, None, 'x']}}], '': {'__type__': 1}}"),
    gives("deep", "nest(200)", "[" * 200 + "]" * 200),
    gives("unicode", "'\\x00\\t\"\\\\/é\\u2028\U0001f30d'", "'\\x00\\t\"\\\\/é\\u2028\U0001f30d'"),
    gives("lone-surrogate", "'a\\ud800b'"),
    gives("tuple", "(1, (2,))", "[1, [2]]"),
    gives("number-keys", "{1: 'a'}", "{'1': 'a'}"),
    gives("datetime", "datetime(2020, 1, 2, 3, 4, 5, 678, UTC)",
          {"debian": "'2020-01-02T03:04:05.000678Z'",
           "current": "datetime.datetime(2020, 1, 2, 3, 4, 5, 678, "
                      "tzinfo=datetime.timezone.utc)"}),
    gives("naive-datetime", "datetime(2020, 1, 2)",
          {"debian": "'2020-01-02T00:00:00'", "current": "datetime.datetime(2020, 1, 2, 0, 0)"}),
    gives("date", "date(2020, 1, 2)",
          {"debian": "'2020-01-02T00:00:00'", "current": "datetime.date(2020, 1, 2)"}),
    gives("decimal", "Decimal('1.10')", {"debian": "'1.10'", "current": "Decimal('1.10')"}),
    gives("uuid", "UUID(int=5)",
          {"debian": "'00000000-0000-0000-0000-000000000005'",
           "current": "UUID('00000000-0000-0000-0000-000000000005')"}),
    gives("bytes", "[b'abc', b'\\xff\\x00']", only="current"),
]

SIZES = [
    Case("large-argument", "probe.echo", args="('ä' * 150000,)",
         value=repr({"value": "ä" * 150000, "length": 300000})),
    Case("large-result", "probe.big", args="(900000,)", value=repr({"text": "x" * 900000})),
    Case("gzip", "probe.add", args="(1, 2)", options="{'compression': 'gzip'}",
         value="{'sum': 3}"),
    Case("bzip2", "probe.add", args="(1, 2)", options="{'compression': 'bzip2'}",
         value="{'sum': 3}"),
    Case("gzip-large", "probe.echo", args="('ab' * 400000,)", options="{'compression': 'gzip'}",
         value=repr({"value": "ab" * 400000, "length": 800000})),
    Case("gzip-retried", "probe.fail", options="{'compression': 'gzip'}", value="{'runs': 2}",
         kwargs="{'kind': 'network', 'times': 1, 'after_ms': 50, 'path': '{record}'}"),
    Case("results-compressed", "probe.value", args="(['x'] * 1000,)",
         conf={"result_compression": "gzip"}, value=repr({"value": ["x"] * 1000})),
]

CASES = CALLS + PRIORITIES + TIMES + ERRORS + VALUES + SIZES
