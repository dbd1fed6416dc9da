#!/usr/bin/python3
"""A local stand-in for the internet that Trawl reads: the Hugging Face Hub, the Kaggle API, and
the storage host their downloads lead to.

    python3 tests/hub/hub.py --port 0 --hf rows.jsonl --faults cut=0.02,503=0.01 --seed 7

It listens on 127.0.0.1 and, once ready, prints one line of JSON on standard output:
{"hf_endpoint":…,"kaggle_endpoint":…,"storage":…,"pid":…}; --announce writes the same to a file,
all at once. SIGTERM or SIGINT ends it with status 0. Python's standard library is all it needs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from standin.assembly import StandIn
from standin.options import parse_options


def announce(text: str, path: Path | None) -> None:
    """Tell where we listen; a reader of the file sees all of it or nothing."""
    if path is not None:
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, path)
    print(text, flush=True)


ENDING = (signal.SIGTERM, signal.SIGINT)


def stop_at_eof() -> None:
    """End the process, as a signal would, when standard input ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Run until a signal comes.

    Signals are waited for and not handled: a handler that sets an Event can meet the lock that the
    interrupted wait() holds, and then nobody ever ends.
    """
    options = parse_options(sys.argv[1:])
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # before any thread, which inherits it
    try:
        stand_in = StandIn(options)
    except (OSError, UnicodeDecodeError) as bad:
        print(f"hub: cannot start: {bad}", file=sys.stderr)
        return 1
    stand_in.start()
    if options.until_eof:
        threading.Thread(target=stop_at_eof, daemon=True).start()
    try:
        announce(json.dumps(stand_in.announcement(os.getpid())), options.announce)
        signal.sigwait(ENDING)
    finally:
        stand_in.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
