"""F01 to F05: processes of the worker are killed, or told to end, in the midst of their work."""

from __future__ import annotations

import os
import random
import signal
import time
from bisect import bisect
from collections import Counter

import pytest

from fleet import Ledger, Place, Worker, scale, wait_until

N_TASKS = scale(800, 8000)
N_LIVES = scale(8, 100)
N_CHILDREN = 4
RECOVERY_S = 10.0


def wait_started(ledger: Ledger, token: str, count: int = 1, timeout: float = 15) -> int:
    """Until a task has started so often; the process of its last start."""
    def find() -> int:
        pids = [pid for kind, name, pid, _ in ledger.lines() if (kind, name) == ("start", token)]
        return pids[-1] if len(pids) >= count else 0
    return int(wait_until(find, f"start {count} of task {token}", timeout))


def test_f01_child_killed_in_a_task(place: Place, ledger: Ledger) -> None:
    """The task is tried again in a new child; the parent lives, the other child does not notice."""
    worker = place.start()
    ledger.submit(1, ms=1500)
    ledger.submit(1, ms=3000)
    victim = wait_started(ledger, "0")
    bystander = wait_started(ledger, "1")
    before = set(worker.children())
    os.kill(victim, signal.SIGKILL)
    moment = time.monotonic()
    wait_until(lambda: len(set(worker.children()) - {victim}) == len(before), "a new child", 5)
    print(f"slot refilled after {(time.monotonic() - moment) * 1000:.0f} ms")
    again = wait_started(ledger, "0", 2)
    assert again not in (victim, bystander)
    place.wait_settled()
    assert ledger.count("start") == {"0": 2, "1": 1} and worker.process.poll() is None
    ledger.check(max_repeated=1)
    assert ledger.states() == {"SUCCESS": 2}


def test_f01_child_killed_each_time(place: Place, ledger: Ledger) -> None:
    """A task that kills its child three times is dead, with the signal's name; its caller knows."""
    place.start(n_children=1)
    task_id = place.call("probe.crash", "--how", "kill", "--path", str(ledger.path))
    ledger.submit(20)
    wait_until(lambda: place.depth()["dead"] == 1, "given up")
    place.wait_settled()
    (dead,) = place.dead()
    assert dead["n_crashes"] == 3 and "SIGKILL" in dead["reason"] and dead["task_id"] == task_id
    assert place.result(task_id)["result"]["exc_type"] == "WorkerLostError"
    assert ledger.count("start").pop("-") == 3
    assert ledger.n_done() == 20


def live_and_die(place: Place, ledger: Ledger, number: int, n_tasks: int) -> tuple[float, int]:
    """One life of a worker: work arrives, and it is killed.  The moment when nothing of it lived
    any more, and how many messages were in flight then."""
    worker = place.spawn(n_children=N_CHILDREN)
    if number % 5:
        worker.wait_ready()
    else:
        time.sleep(random.uniform(0, 0.05))  # in the midst of its start
    ledger.submit(n_tasks, ms=random.choice((0, 2, 10)))
    time.sleep(random.uniform(0, 0.6))
    if number % 2:
        worker.kill_group()
    else:
        worker.kill_parent()
    return time.monotonic(), place.depth()["claimed"]


def test_f02_worker_group_killed(place: Place, ledger: Ledger) -> None:
    """Killed again and again under load: nothing is lost, and what ran twice was in flight."""
    kills = []
    n_held = 0
    for number in range(N_LIVES):
        moment, n_claimed = live_and_die(place, ledger, number, N_TASKS // N_LIVES)
        kills.append(moment)
        n_held += n_claimed
    n_left = place.n_open()
    moment = time.monotonic()
    place.start()
    place.wait_settled(timeout=120)
    print(f"lives={N_LIVES} held={n_held} left={n_left} drained after {time.monotonic() - moment:.1f} s")
    balance = ledger.check(max_repeated=n_held)
    assert balance["done"] == N_TASKS
    assert ledger.states() == {"SUCCESS": N_TASKS}
    lives = Counter((token, bisect(kills, at)) for kind, token, _, at in ledger.lines()
                    if kind == "start")
    assert set(lives.values()) == {1}, "a task ran twice in one life of a worker"


def test_f02_recovery_elsewhere(place: Place, ledger: Ledger) -> None:
    """What a killed worker held starts in another one within 10 s; orphans do not live on."""
    first = place.start(n_children=4)
    ledger.submit(4, ms=60000)
    for token in "0123":
        wait_started(ledger, token)
    second = place.start(n_children=8)
    moment = first.kill_parent()
    for token in "0123":
        wait_started(ledger, token, 2, timeout=RECOVERY_S + 5)
    starts = [at for kind, _, _, at in ledger.lines() if kind == "start"]
    print(f"recovered after {max(starts) - moment:.2f} s")
    assert max(starts) - moment <= RECOVERY_S
    assert set(ledger.count("start").values()) == {2}
    second.signal(signal.SIGTERM)
    time.sleep(0.1)  # two at once would be one
    second.signal(signal.SIGTERM)
    assert second.wait() == 0
    assert place.depth()["ready"] == 4
    ledger.check(max_repeated=4)


def test_f02_live_task_is_never_stolen(place: Place, ledger: Ledger) -> None:
    """A task that runs for longer than the lease stays with its worker, beside idle ones."""
    place.start(n_children=1)
    ledger.submit(1, ms=scale(12000, 25000))
    wait_started(ledger, "0")
    place.start(n_children=2)
    place.start(n_children=2)
    place.wait_settled(timeout=60)
    assert ledger.count("start") == {"0": 1} and ledger.count("done") == {"0": 1}
    ledger.check(max_repeated=0)


def test_f04_sigterm_during_a_burst(place: Place, ledger: Ledger) -> None:
    """Told to end again and again: running tasks end, the rest goes back, nothing runs twice."""
    slowest = 0.0
    for number in range(N_LIVES):
        worker = place.spawn()
        worker.wait_ready()
        ledger.submit(N_TASKS // N_LIVES, ms=random.choice((0, 2, 10, 50)))
        time.sleep(random.uniform(0, 0.25))
        moment = time.monotonic()
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0, f"life {number}: {place.log_text()[-2000:]}"
        slowest = max(slowest, time.monotonic() - moment)
        assert place.depth()["claimed"] == 0, f"life {number}"
    place.start()
    place.wait_settled(timeout=120)
    print(f"lives={N_LIVES} slowest farewell {slowest * 1000:.0f} ms")
    assert slowest <= 6
    balance = ledger.check(max_repeated=0)
    assert balance["done"] == N_TASKS
    assert ledger.states() == {"SUCCESS": N_TASKS}


def test_f04_grace(place: Place, ledger: Ledger) -> None:
    """Tasks that do not end within the grace go back, and the worker is gone a second later."""
    worker = place.start("--grace", "1")
    ledger.submit(3, ms=60000)
    ledger.submit(1, ms=60000)
    wait_until(lambda: ledger.count("start").total() == 2, "two are running")
    moment = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    span = time.monotonic() - moment
    print(f"gone after {span:.2f} s")
    assert 0.9 < span < 3
    assert place.depth() == {"ready": 4, "scheduled": 0, "claimed": 0, "dead": 0}
    ledger.check(max_repeated=0)


@pytest.mark.parametrize("signals", [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGQUIT,),
], ids=["term-term", "int-int", "quit"])
def test_f05_hard_stop(place: Place, ledger: Ledger, signals: tuple[int, ...]) -> None:
    """Running tasks are ended and go back at once; nothing is left behind."""
    worker = place.start()
    ledger.submit(6, ms=60000)
    wait_started(ledger, "0")
    wait_started(ledger, "1")
    moment = time.monotonic()
    for number in signals:
        worker.signal(number)
        time.sleep(0.1)
    assert worker.wait() == 0
    span = time.monotonic() - moment - 0.1 * len(signals)
    print(f"hard stop after {span * 1000:.0f} ms")
    assert span <= 1.5
    assert place.depth() == {"ready": 6, "scheduled": 0, "claimed": 0, "dead": 0}
    ledger.check(max_repeated=0)


def test_f05_stop_of_an_idle_worker(place: Place) -> None:
    """Nothing to end: it is gone at once."""
    worker: Worker = place.start()
    worker.signal(signal.SIGTERM)
    assert worker.wait(timeout=3) == 0
