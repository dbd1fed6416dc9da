"""`trawl worker` with real processes: what becomes of each message, also when they are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

from trawl_cli import META_KAGGLE, Trawl
from workers import PROBE, Workers, children_of, envelope, wait_until

SEED = {"path": str(META_KAGGLE)}
FETCH = "enrich.fetch_hf_datasets"


def test_each_end_has_its_state(workers: Workers) -> None:
    """Success, failure, bad arguments, positional arguments, expired: stored, then settled."""
    workers.send("kaggle.seed_initial", SEED, prefix="good")
    workers.send("kaggle.seed_initial", {"path": "/nowhere"}, prefix="bad")
    workers.send("kaggle.seed_initial", {"pat": "x"}, prefix="typo")
    workers.send("raw", envelope("kaggle.seed_initial", "by-place", [50, False, SEED["path"]]))
    workers.send("raw", envelope("kaggle.seed_initial", "late", [],
                                 expires="2020-01-01T00:00:00+00:00"))
    worker = workers.start()
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    worker.terminate()
    assert worker.wait(timeout=10) == 0

    good = workers.result("good-0")
    assert good["status"] == "SUCCESS" and good["result"]["total_fetched"] == 117
    bad = workers.result("bad-0")
    assert bad["status"] == "FAILURE" and bad["result"]["exc_type"] == "LookupError"
    assert "/nowhere" in bad["result"]["exc_message"][0] and "LookupError" in bad["traceback"]
    typo = workers.result("typo-0")["result"]
    assert typo["exc_type"] == "TypeError" and "did you mean 'path'" in typo["exc_message"][0]
    assert workers.result("by-place")["status"] == "SUCCESS"
    late = workers.result("late")
    assert late["status"] == "REVOKED" and late["result"]["exc_message"] == ["expired"]

    runs = {run["task_id"]: run for run in workers.trawl.json("runs")}
    assert runs["good-0"]["state"] == "SUCCESS" and runs["bad-0"]["state"] == "FAILURE"
    assert runs["by-place"]["arguments"] == {
        "batch_size": 50, "force_redownload": False, "path": SEED["path"]}
    assert "late" not in runs and "typo-0" not in runs


def test_what_cannot_be_run_is_kept(workers: Workers) -> None:
    """Unknown and removed tasks, and what is no message: in the dead set, with the reason.  Who waits
    for a result is told where Celery would tell."""
    workers.send("kaggle.seed_initia", {}, prefix="unknown")
    workers.send("enrich.fetch_kaggle_seed", {}, prefix="removed")
    workers.send("raw", {"no": "message"}, prefix="foreign")
    workers.send("raw", envelope("kaggle.seed_initial", "no-list", {"a": 1}))
    workers.send("raw", envelope("kaggle.seed_initial", "no-time", [], eta="soon"), prefix="no-time")
    workers.start(n_children=1)
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    dead = {row[0]: row[1:] for row in
            workers.query("broker.db", "SELECT task_id, reason, body FROM dead")}
    assert "did you mean 'kaggle.seed_initial'" in dead["unknown-0"][0]
    assert "use 'kaggle.seed_initial'" in dead["removed-0"][0]
    assert dead["foreign-0"][0].startswith("missing-field: ")
    assert json.loads(dead["foreign-0"][1]) == {"no": "message"}
    assert dead["no-time-0"][0].startswith("bad-time: ") and len(dead) == 5

    unknown = workers.result("unknown-0")
    assert unknown["status"] == "FAILURE" and unknown["traceback"] is None
    assert unknown["result"] == {"exc_type": "NotRegistered", "exc_module": "celery.exceptions",
                                 "exc_message": ["kaggle.seed_initia"]}
    assert unknown["children"] == [] and unknown["date_done"].endswith("+00:00")
    assert workers.result("removed-0")["result"]["exc_message"] == ["enrich.fetch_kaggle_seed"]
    no_list = workers.result("no-list")
    assert no_list["status"] == "FAILURE"
    assert no_list["result"]["exc_type"] == "InvalidTaskError"
    assert no_list["result"]["exc_message"] == ["args must be a list, got object"]
    assert workers.states() == {"FAILURE": 3}


def test_nothing_is_lost_when_workers_are_killed(workers: Workers) -> None:
    """200 calls, three power cuts in their midst."""
    ids = workers.send("kaggle.seed_initial", SEED, count=200)
    n_left = [len(ids)]
    for share in (0.2, 0.45, 0.7):
        worker = workers.start()
        wait_until(lambda limit=200 * (1 - share): workers.n_messages() <= limit, "some are done")
        workers.kill(worker)
        n_left.append(workers.n_messages())
    assert 0 < n_left[-1] < n_left[1] < 200, f"not killed in the midst: {n_left}"
    workers.start()
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert workers.states() == {"SUCCESS": 200}
    assert workers.query("broker.db", "SELECT count(*) FROM dead") == [(0,)]
    done = workers.trawl.query("SELECT DISTINCT task_id FROM runs WHERE state = 'SUCCESS'")
    assert {row[0] for row in done} == set(ids)


def test_shutdown_gives_messages_back(workers: Workers, silence: dict[str, str]) -> None:
    """Warm: what waits goes back untouched, what runs goes on.  Cold: that goes back, too."""
    workers.send(FETCH, {}, prefix="hangs")
    worker = workers.start(n_children=1, **silence)
    wait_until(lambda: workers.result("hangs-0").get("status") == "STARTED", "started")
    workers.send("kaggle.seed_initial", SEED, count=5)
    wait_until(lambda: workers.query("broker.db", "SELECT count(*) FROM claims")[0][0] > 2,
               "some are prefetched")
    worker.terminate()
    wait_until(lambda: workers.query("broker.db", "SELECT count(*) FROM ready") == [(5,)],
               "all that waited are back")
    assert workers.query("broker.db", "SELECT sum(attempt) FROM ready") == [(0,)]
    assert worker.poll() is None and workers.result("hangs-0")["status"] == "STARTED"
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    assert workers.query("broker.db", "SELECT count(*), sum(attempt) FROM ready") == [(6, 1)]
    assert workers.query("broker.db", "SELECT count(*) FROM claims") == [(0,)]


def test_a_task_that_kills_its_process_is_parked(workers: Workers,
                                                 silence: dict[str, str]) -> None:
    """Three times, then it is dead, and whoever waits for it hears of it."""
    workers.send(FETCH, {}, prefix="poison")
    workers.start(n_children=1, **silence)
    killed: set[int] = set()
    for _ in range(3):
        def find_pid() -> int:
            document = workers.result("poison-0")
            pid = document["result"].get("pid", 0) if document else 0
            return pid if pid not in killed else 0
        pid = wait_until(find_pid, "started in a new process")
        killed.add(pid)
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: workers.result("poison-0")["status"] == "FAILURE", "given up")
    assert workers.result("poison-0")["result"]["exc_type"] == "WorkerLostError"
    assert workers.query("broker.db", "SELECT task_id, n_crashes FROM dead") == [("poison-0", 3)]
    assert workers.n_messages() == 0


def test_time_limits(workers: Workers, silence: dict[str, str]) -> None:
    """The worker's soft limit, and a message's own hard limit: final failures."""
    workers.send(FETCH, {}, prefix="soft")
    workers.send("raw", envelope(FETCH, "hard", [], timelimit=[0.5, None]))
    workers.start("--soft-time-limit", "1", **silence)
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert workers.result("soft-0")["result"]["exc_type"] == "SoftTimeLimitExceeded"
    assert workers.result("hard")["result"]["exc_type"] == "TimeLimitExceeded"
    assert workers.states() == {"FAILURE": 2}


def test_what_a_retry_can_help_is_tried_again(workers: Workers) -> None:
    """Nobody listens at first: the message goes round with retries + 1 and state RETRY."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
    workers.send(FETCH, {}, prefix="net")
    worker = workers.start(n_children=1, HF_ENDPOINT=origin, TRAWL_TRUSTED_ORIGINS=origin)
    document = wait_until(
        lambda: (d := workers.result("net-0")).get("status") == "RETRY" and d, "tried again", 25)
    assert document["result"]["exc_type"] == "ConnectionError"
    worker.terminate()
    assert workers.n_messages() == 1
    workers.kill(worker)


def test_bad_options_are_refused(trawl: Trawl) -> None:
    """Exit status 2, and the help has an example."""
    assert "must be prefork, threads or solo" in trawl.run("worker", "--pool", "thread", status=2).stderr
    assert "empty name" in trawl.run("worker", "-Q", "a,,b", status=2).stderr
    assert "trawl worker -c 2" in trawl.run("worker", "--help").stdout


def test_solo(workers: Workers) -> None:
    """Tasks in the worker's own process."""
    workers.send("kaggle.seed_initial", SEED, count=3)
    worker = workers.start("--pool", "solo", n_children=1)
    assert children_of(worker.pid) == []
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert workers.states() == {"SUCCESS": 3}
    worker.terminate()
    assert worker.wait(timeout=10) == 0


def test_threads(workers: Workers, silence: dict[str, str]) -> None:
    """Tasks side by side in the worker's own process, each with its own log lines and lease."""
    workers.send("kaggle.seed_initial", SEED, count=40)
    worker = workers.start("--pool", "threads", n_children=4, **silence)
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert children_of(worker.pid) == [] and workers.states() == {"SUCCESS": 40}
    owners = workers.trawl.query("SELECT DISTINCT worker_id FROM runs")
    assert len(owners) == 4
    log = workers.log.read_text()
    assert all(f"kaggle.seed_initial[t-{i}] " in log for i in range(40))

    # One that hangs is told to end at its soft limit; the others go on meanwhile.
    workers.send("raw", envelope(FETCH, "soft", [], timelimit=[None, 1]))
    workers.send("kaggle.seed_initial", SEED, count=10, prefix="more")
    wait_until(lambda: workers.n_messages() == 0, "all messages settled")
    assert workers.result("soft")["result"]["exc_type"] == "SoftTimeLimitExceeded"
    worker.terminate()
    assert worker.wait(timeout=10) == 0


def test_threads_cannot_be_killed(workers: Workers) -> None:
    """A cold shutdown does not wait for them: the message is back, the process is gone."""
    workers.send("probe.crash", {"how": "spin"}, prefix="loops")
    worker = workers.start("--pool", "threads", n_children=2, program=PROBE)
    wait_until(lambda: workers.result("loops-0").get("status") == "STARTED", "started")
    worker.terminate()
    worker.terminate()
    start = time.monotonic()
    worker.send_signal(signal.SIGQUIT)
    assert worker.wait(timeout=10) == 0
    assert time.monotonic() - start < 2
    assert workers.query("broker.db", "SELECT count(*) FROM ready") == [(1,)]
