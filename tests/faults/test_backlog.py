"""F20, F23: far more messages than a worker can hold, and far bigger ones than it should."""

from __future__ import annotations

import json
import time

import pytest

from fleet import IS_SANITIZED, Ledger, Place, envelope, peak_rss_kib, scale, wait_until

N_BACKLOG = scale(20000, 1000000)
BIG_MIB = scale(24, 100)
MIB = 1 << 20


def test_f20_backlog(place: Place, ledger: Ledger) -> None:
    """A long queue and one worker: memory stays bounded, sending stays as fast as it was."""
    spans = []
    for _ in range(10):
        counts = ledger.submit(N_BACKLOG // 10, "--batch", "1000", timeout=600)
        spans.append(counts["span_us"])
    assert place.depth()["ready"] == N_BACKLOG
    worker = place.start(n_children=1, PROBE_RUNNER="bare")
    end = time.monotonic() + scale(3, 60)
    while time.monotonic() < end and place.n_open():
        time.sleep(0.2)
    peak = peak_rss_kib(worker.pid)
    worker.process.terminate()
    assert worker.wait() == 0
    purged = place.json("purge", "celery", "--yes")["total"]
    done = ledger.n_done()
    print(f"backlog={N_BACKLOG} peak RSS {peak} KiB, a tenth sent in "
          f"{spans[0] / 1000:.0f} ms at first, {spans[-1] / 1000:.0f} ms at last, done={done}")
    assert done > 100 and done + purged == N_BACKLOG
    if not IS_SANITIZED:
        assert peak < 48 * 1024
    assert spans[-1] < 5 * max(spans[0], 20000)
    ledger.n_submitted -= purged
    ledger.check(max_repeated=0)


def test_f20_waiting_for_their_time(place: Place, ledger: Ledger) -> None:
    """Messages for later stay in the broker: a worker's memory does not know them."""
    worker = place.start(n_children=1)
    before = peak_rss_kib(worker.pid)
    ledger.submit(N_BACKLOG, "--batch", "1000", "--countdown-ms", "86000000", timeout=600)
    ledger.submit(50)
    moment = time.monotonic()
    wait_until(lambda: ledger.n_done() == 50, "those of now are done", scale(30, 300))
    print(f"those of now were done after {time.monotonic() - moment:.1f} s")
    after = peak_rss_kib(worker.pid)
    depth = place.depth()
    print(f"scheduled={depth['scheduled']} peak RSS {before} -> {after} KiB")
    assert depth["scheduled"] == N_BACKLOG
    assert (after - before) * 1024 <= 100 * N_BACKLOG + 8 * MIB
    ledger.check(max_repeated=0)


def big_message(task_id: str, n_bytes: int) -> dict[str, object]:
    """A call of probe.echo with so long a text."""
    return envelope("probe.echo", task_id, [], {"value": "x" * n_bytes})


def test_f23_at_the_limit(place: Place) -> None:
    """Arguments of just under 4 MiB pass; over it they are refused by who sends, and parked by who
    receives them from elsewhere."""
    place.start(n_children=1)
    place.inject(big_message("fits", 4 * MIB - 100), "fits")
    place.inject(big_message("over", 4 * MIB + 100), "over")
    wait_until(lambda: place.depth()["dead"] == 1, "one is dead")
    place.wait_settled()
    (dead,) = place.dead()
    assert dead["reason"].startswith("too-large"), dead
    fits = place.result("fits")
    assert fits["status"] in ("SUCCESS", "FAILURE"), fits  # its result is over the cap of results
    counts = Ledger(place).submit(1, task="probe.echo", status=None,
                                  extra={"value": "x" * 100000})
    assert counts["confirmed"] == 1


def test_f23_huge_message(place: Place) -> None:
    """A message of 100 MiB from a foreign client: parked, and the worker has not grown much beyond
    it."""
    worker = place.start(n_children=1)
    before = peak_rss_kib(worker.pid)
    place.inject(big_message("huge", BIG_MIB * MIB), "huge")
    wait_until(lambda: "too-large" in place.log_text() or place.depth()["dead"], "it is dead", 60)
    wait_until(lambda: place.n_open() == 0, "it is in the dead set")
    after = peak_rss_kib(worker.pid)
    print(f"{BIG_MIB} MiB: peak RSS {before} -> {after} KiB")
    assert place.json("call", "probe.add", "--x", "1", "--y", "1", "--wait")["status"] == "SUCCESS"
    (dead,) = place.dead()
    assert dead["reason"].startswith("too-large") and dead["n_bytes"] > BIG_MIB * MIB
    if not IS_SANITIZED:
        assert after - before < 3 * BIG_MIB * 1024


@pytest.mark.parametrize("n_bytes", [500000, 20 * MIB])
def test_f23_huge_result(place: Place, n_bytes: int) -> None:
    """A result within the cap is kept whole; one over it is a failure that says so, once."""
    place.start(n_children=1)
    document = json.loads(place.run("call", "probe.big", "--bytes", str(n_bytes), "--wait",
                                    "--json", status=None, timeout=60).stdout)
    if n_bytes < MIB:
        assert document["status"] == "SUCCESS" and len(document["result"]["text"]) == n_bytes
    else:
        assert document["status"] == "FAILURE", document["status"]
        assert "bytes, allowed are" in document["result"]["exc_message"][0], document
    place.wait_settled()
