"""`trawl beat` and `trawl worker --beat` with real processes, that are killed, stopped and frozen."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from beat_brokers import KINDS, Broker, make_broker
from trawl_cli import BINARY, META_KAGGLE, Trawl

FAILOVER_S = 5
QUIET = """
beat_schedule:
  fetch-hf-datasets-daily: {enabled: false}
  fetch-kaggle-latest-daily: {enabled: false}
  generate-embeddings-every-30min: {enabled: false}
  enrich-kaggle-pending-hourly: {enabled: false}
  check-broken-links-hourly: {enabled: false}
  remove-old-cache-daily: {enabled: false}
  calculate-static-scores-daily: {enabled: false}
"""
SEED = f"task: kaggle.seed_initial, kwargs: {{path: {META_KAGGLE}}}"


def wait_until(condition: Callable[[], Any], what: str, timeout: float = 15) -> Any:
    """What the condition gives, as soon as it is true."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)
    return value


def seconds(slot: str) -> int:
    """A slot's time since 1970."""
    return int(datetime.fromisoformat(slot[:19] + "+00:00").timestamp())


def steps(slots: dict[str, str]) -> list[int]:
    """Seconds between each slot and the next one, in the order of sending."""
    times = [seconds(slot) for slot in slots]
    return [after - before for before, after in zip(times, times[1:])]


class Beats:
    """Beats of one broker and one trawl.yaml."""

    def __init__(self, trawl: Trawl, broker: Broker) -> None:
        self.trawl = trawl
        self.broker = broker
        self.log = trawl.home / "beat.log"
        self.started: list[subprocess.Popen[str]] = []
        trawl.data.mkdir(exist_ok=True)
        trawl.env["CELERY_BROKER_URL"] = broker.url

    def configure(self, *entries: str) -> None:
        """These entries, and none of the default schedule."""
        (self.trawl.home / "trawl.yaml").write_text(
            QUIET + "".join(f"  {entry}\n" for entry in entries))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A beat, or a worker; its log goes to a file."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [str(BINARY), *(words or ("beat",))], cwd=self.trawl.home, env=self.trawl.env,
                text=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def wait_for_leader(self, *pids: int) -> int:
        """The pid of the leader, when it is one of these."""
        return wait_until(lambda: (pid := self.broker.lead().pid) in pids and pid, "one leads")

    def task_ids(self, queue: str = "celery") -> list[str]:
        """Of the messages in the queue."""
        return [message["headers"]["id"] for message in self.broker.messages(queue)]

    def finish(self) -> None:
        """Whatever runs, also what is stopped."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait(timeout=10)
        self.broker.close()


@pytest.fixture(name="beats", params=KINDS)
def make_beats(request: pytest.FixtureRequest, trawl: Trawl) -> Iterator[Beats]:
    """On each broker; stopped when the test ends."""
    beats = Beats(trawl, make_broker(request.param, trawl.home))
    yield beats
    beats.finish()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def find_beat(worker: subprocess.Popen[str]) -> int:
    """The pid of a worker's beat; 0 when it has none."""
    for pid in children_of(worker.pid):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                if file.read().startswith("trawl\0beat\0"):
                    return pid
        except FileNotFoundError:
            pass
    return 0


def test_two_beats_under_kill_and_stop(beats: Beats) -> None:
    """30 seconds of SIGKILL and SIGSTOP: no slot twice, and none is lost that failover can save."""
    chance = random.Random(3)
    beats.configure(f"tick: {{{SEED}, schedule: 1, options: {{queue: ticks}}}}",
                    f"slow: {{{SEED}, schedule: 8}}")
    running = {process.pid: process for process in (beats.start(), beats.start())}
    leader = beats.wait_for_leader(*running)
    wait_until(lambda: beats.broker.slots("tick"), "the first tick")
    end = time.monotonic() + 30
    n_taken_over = 0
    while time.monotonic() < end:
        n_ticks = len(beats.broker.slots("tick"))
        victim = leader if chance.random() < 0.75 else next(p for p in running if p != leader)
        if chance.random() < 0.5:
            running[victim].kill()
            running.pop(victim).wait(timeout=10)
            process = beats.start()
            running[process.pid] = process
        else:
            running[victim].send_signal(signal.SIGSTOP)
            time.sleep(chance.choice((0.3, 1.5, 4)))
            running[victim].send_signal(signal.SIGCONT)
        leader_before, leader = leader, beats.wait_for_leader(*running)
        n_taken_over += leader != leader_before
        wait_until(lambda n=n_ticks: len(beats.broker.slots("tick")) > n + 1, "ticks go on")
        time.sleep(chance.random())
        leader = beats.wait_for_leader(*running)
    for process in running.values():
        process.terminate()
        assert process.wait(timeout=10) == 0

    ticks, slow = beats.broker.slots("tick"), beats.broker.slots("slow")
    assert n_taken_over >= 3
    assert len(set(ticks.values())) == len(ticks) and sorted(beats.task_ids("ticks")) == sorted(ticks.values())
    assert len(set(slow.values())) == len(slow) and sorted(beats.task_ids()) == sorted(slow.values())
    assert min(steps(ticks)) >= 1 and max(steps(ticks)) <= FAILOVER_S + 1
    assert set(steps(slow)) == {8}, "a slot of an entry slower than failover was not sent"
    log = beats.log.read_text()
    assert log.count(" sent: schedule=tick ") <= len(ticks)  # a kill may come before the log
    assert beats.broker.lead().owner == ""


def test_failover(beats: Beats) -> None:
    """Within 5 s of a kill; at once after an orderly end."""
    beats.configure(f"tick: {{{SEED}, schedule: 1}}")
    first = beats.start()
    beats.wait_for_leader(first.pid)
    second = beats.start()
    wait_until(lambda: "another beat leads, this one follows" in beats.log.read_text(), "followed")
    first.kill()
    begin = time.monotonic()
    beats.wait_for_leader(second.pid)
    assert time.monotonic() - begin < FAILOVER_S
    third = beats.start()
    wait_until(lambda: beats.log.read_text().count("this one follows") == 2, "followed")
    second.terminate()
    assert second.wait(timeout=10) == 0
    begin = time.monotonic()
    beats.wait_for_leader(third.pid)
    assert time.monotonic() - begin < 2
    assert beats.broker.lead().term == 3


def test_a_pause_costs_one_run(beats: Beats) -> None:
    """What was missed while no beat ran is sent once, and the grid goes on."""
    beats.configure(f"tick: {{{SEED}, schedule: 2}}")
    beat = beats.start()
    wait_until(lambda: len(beats.broker.slots("tick")) == 2, "two runs")
    beat.terminate()
    assert beat.wait(timeout=10) == 0
    n_before = len(beats.broker.slots("tick"))
    time.sleep(7)
    beats.start()
    wait_until(lambda: len(beats.broker.slots("tick")) >= n_before + 3, "it goes on")
    between = steps(beats.broker.slots("tick"))
    assert between[n_before - 1] >= 6 and between[n_before - 1] % 2 == 0
    assert between[:n_before - 1] + between[n_before:n_before + 2] == [2] * (n_before + 1)


def test_a_broker_that_is_away_is_waited_for(beats: Beats) -> None:
    """Said once; beat lives on, and each slot is sent once."""
    beats.configure(f"tick: {{{SEED}, schedule: 1}}")
    beat = beats.start()
    wait_until(lambda: beats.broker.slots("tick"), "the first run")
    with beats.broker.away():
        wait_until(lambda: "the broker does not work" in beats.log.read_text(), "said")
        time.sleep(3)
    wait_until(lambda: "the broker works again" in beats.log.read_text(), "back")
    n_before = len(beats.broker.slots("tick"))
    wait_until(lambda: len(beats.broker.slots("tick")) > n_before + 1, "it goes on")
    beat.terminate()
    assert beat.wait(timeout=10) == 0
    slots = beats.broker.slots("tick")
    assert sorted(beats.task_ids()) == sorted(slots.values())
    assert beats.log.read_text().count("the broker does not work") == 1


def test_the_message_is_celerys(beats: Beats) -> None:
    """Arguments, options and names as Celery's beat writes them."""
    beats.configure("add: {task: proj.add, foreign: true, schedule: 1, args: [2, x],"
                    " kwargs: {deep: {a: [1]}}, options: {queue: sums, expires: 1h}}")
    beats.start()
    message = wait_until(lambda: beats.broker.messages("sums"), "sent")[0]
    headers, properties = message["headers"], message["properties"]
    assert headers["task"] == "proj.add" and headers["argsrepr"] == "[2, 'x']"
    assert headers["kwargsrepr"] == "{'deep': {'a': [1]}}"
    assert headers["eta"] is None and headers["retries"] == 0
    assert headers["root_id"] == headers["id"] == properties["correlation_id"]
    assert 3590 <= seconds(headers["expires"]) - time.time() <= 3600
    assert properties["delivery_info"] == {"exchange": "", "routing_key": "sums"}
    assert properties["body_encoding"] == "base64" and properties["delivery_mode"] == 2


def test_dry_run(beats: Beats) -> None:
    """What is due and when, before and after a beat ran; nothing is sent."""
    trawl = beats.trawl
    (trawl.home / "trawl.yaml").write_text(
        "timezone: Europe/Berlin\nbeat_schedule:\n"
        "  fetch-hf-datasets-daily: {schedule: 6h}\n"
        "  kaggle-night: {task: kaggle.fetch_latest, schedule: '30 2 * * mon', args: [5]}\n"
        "  enrich-kaggle-pending-hourly: {enabled: false}\n"
        f"  tick: {{{SEED}, schedule: 1}}\n")
    plan = trawl.json("beat", "--dry-run", "--count", "2")
    rows = {row["name"]: row for row in plan["schedules"]}
    assert plan["leader"] is None and list(rows) == [
        "fetch-hf-datasets-daily", "generate-embeddings-every-30min", "fetch-kaggle-latest-daily",
        "check-broken-links-hourly", "remove-old-cache-daily",
        "calculate-static-scores-daily", "kaggle-night", "tick"]
    assert rows["fetch-hf-datasets-daily"]["schedule"] == "every 6h"
    assert rows["fetch-hf-datasets-daily"]["kwargs"] == {"limit": 1000}
    assert rows["fetch-hf-datasets-daily"]["origin"] == "trawl.yaml:3"
    assert rows["fetch-kaggle-latest-daily"]["origin"] == "default"
    assert all(row["n_runs"] == 0 and row["last_run"] is None for row in rows.values())
    night = rows["kaggle-night"]
    assert night["schedule"] == "crontab 30 2 * * mon" and len(night["next"]) == 2
    for run in night["next"]:
        local = datetime.fromisoformat(run["local"])
        assert (local.weekday(), local.hour, local.minute) == (0, 2, 30)
        assert local.timestamp() == seconds(run["utc"]) and run["in_s"] >= 0

    beat = beats.start()
    wait_until(lambda: beats.broker.slots("tick"), "the first run")
    beat.terminate()
    assert beat.wait(timeout=10) == 0
    slots = beats.broker.slots("tick")
    time.sleep(1.1)
    plan = trawl.json("beat", "--dry-run", "--count", "1")
    tick = next(row for row in plan["schedules"] if row["name"] == "tick")
    assert tick["n_runs"] == len(slots) and tick["last_slot"] == list(slots)[-1]
    assert seconds(tick["last_run"]) == int(
        datetime.fromisoformat(tick["last_run_local"]).timestamp())
    assert tick["last_task_id"] == list(slots.values())[-1] and tick["is_due"]
    text = trawl.run("beat", "--dry-run", "--count", "1").stdout
    assert "due now" in text and "crontab 30 2 * * mon" in text
    assert beats.broker.slots("tick") == slots


def test_worker_with_beat(beats: Beats) -> None:
    """Tasks are sent and run; beat is started again when it dies, and ends with its worker."""
    beats.configure(f"tick: {{{SEED}, schedule: 1}}")
    worker = beats.start("worker", "--beat", "-c", "1")

    def n_runs() -> int:
        try:
            return len(beats.trawl.query("SELECT 1 FROM runs WHERE state = 'SUCCESS'"))
        except sqlite3.OperationalError:  # no catalogue yet
            return 0
    wait_until(lambda: n_runs() >= 2, "two runs")
    first = find_beat(worker)
    assert beats.broker.lead().pid == first
    os.kill(first, signal.SIGKILL)
    second = beats.wait_for_leader(wait_until(
        lambda: (pid := find_beat(worker)) != first and pid, "started again"))
    n_before = n_runs()
    wait_until(lambda: n_runs() > n_before + 1, "it goes on")
    assert "beat died, it is started again: signal=SIGKILL" in beats.log.read_text()

    worker.terminate()
    assert worker.wait(timeout=10) == 0
    assert not os.path.exists(f"/proc/{second}")
    assert beats.broker.lead().owner == ""
    ids = set(beats.broker.slots("tick").values())
    done = {row[0] for row in beats.trawl.query("SELECT task_id FROM runs WHERE state = 'SUCCESS'")}
    assert done | set(beats.task_ids()) == ids


def test_beat_dies_with_its_worker(beats: Beats) -> None:
    """SIGKILL of the worker: its beat leaves in order."""
    beats.configure(f"tick: {{{SEED}, schedule: 5}}")
    worker = beats.start("worker", "--beat", "-c", "1")
    pid = wait_until(lambda: find_beat(worker), "beat")
    beats.wait_for_leader(pid)
    worker.kill()
    wait_until(lambda: beats.broker.lead().owner == "", "released")


def test_the_log_file_is_opened_again(beats: Beats) -> None:
    """The worker's SIGHUP reaches its beat: both go on in the new file."""
    beats.configure(f"tick: {{{SEED}, schedule: 1}}")
    log, old = beats.trawl.home / "both.log", beats.trawl.home / "both.log.1"
    worker = beats.start("worker", "--beat", "-c", "1", "--logfile", str(log))
    wait_until(lambda: log.exists() and "task succeeded" in log.read_text(), "a task was run")
    assert " sent: schedule=tick " in log.read_text()
    log.rename(old)
    worker.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and " sent: schedule=tick " in log.read_text() and
               "task succeeded" in log.read_text(), "both go on")
    assert " sent: " not in beats.log.read_text()
    worker.terminate()
    assert worker.wait(timeout=10) == 0


@pytest.mark.parametrize(("entry", "says"), [
    ("x: {task: enrich.fetch_kaggle_seed, schedule: 60}", "use 'kaggle.seed_initial'"),
    ("x: {task: kaggle.fetch_latst, schedule: 60}", "did you mean 'kaggle.fetch_latest'"),
    ("x: {task: kaggle.fetch_latest, schedule: 60, kwargs: {limit: 0}}",
     "limit must be between 1 and 10000, got 0"),
    ("x: {task: kaggle.fetch_latest, schedule: hourly}", "schedule must be whole seconds"),
    ("fetch-hf-dataset-daily: {enabled: false}", "'fetch-hf-datasets-daily'"),
])
def test_mistakes_are_refused_at_the_start(trawl: Trawl, entry: str, says: str) -> None:
    """Exit status 3, before anything runs; file and line are named."""
    (trawl.home / "trawl.yaml").write_text(f"beat_schedule:\n  {entry}\n")
    for words in (("beat",), ("beat", "--dry-run"), ("worker", "--beat")):
        done = trawl.run(*words, status=3)
        assert says in done.stderr and "trawl.yaml:2: " in done.stderr and done.stdout == ""
    assert not (trawl.data / "broker.db").exists()
    trawl.run("stats", status=1)  # a command that needs no schedule is not concerned


def test_a_broker_that_is_none(trawl: Trawl) -> None:
    """A URL of no broker is said at once."""
    done = trawl.run("beat", status=3, CELERY_BROKER_URL="ftp://x")
    assert "scheme 'ftp' is not supported" in done.stderr
    assert json.loads(trawl.run("config", "show", "--json").stdout)["beat_schedule"] == {
        "value": 7, "origin": "default"}
