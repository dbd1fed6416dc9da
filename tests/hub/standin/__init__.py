"""The parts of the local stand-in for the Hugging Face Hub, the Kaggle API and their storage hosts.

Read `hub.py` beside this package first: it binds the parts together.

    wire.py       bytes <-> requests and responses (HTTP/1.1)
    server.py     one listening origin: threads, keep-alive, faults on delivery
    faults.py     which request fails, and how
    limits.py     fixed-window quotas
    stats.py      what the tests ask about afterwards
    signing.py    signed download URLs        storage.py   the host that honours them
    hf_*.py       the Hugging Face Hub        kaggle_*.py  the Kaggle API
    control.py    /_hub/: faults, mutations, scripted answers, counters
"""
