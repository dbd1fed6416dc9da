#!/usr/bin/env bash
# Make a Python environment with a pinned release of Celery in DIR, once; prints its interpreter.  The
# tests that hold our messages against real Celery use it, and Flower, a pinned release too, where it can
# be had; exit status 1 when Celery cannot.
set -euo pipefail

dir=$1
release=${2:-5.7.0}
flower=2.2.0
python=$dir/bin/python
if ! "$python" -c "import celery, sys; sys.exit(celery.__version__ != '$release')" 2>/dev/null; then
    rm -rf "$dir"
    /usr/bin/python3 -m venv "$dir" >&2
    "$python" -m pip install --quiet --disable-pip-version-check "celery==$release" redis packaging >&2
fi
if ! "$python" -c "import sys; from importlib.metadata import version; sys.exit(version('flower') != '$flower')" \
    2>/dev/null; then
    "$python" -m pip install --quiet --disable-pip-version-check "flower==$flower" "celery==$release" >&2 ||
        echo "celery_venv: no Flower, the test with it will be skipped" >&2
fi
realpath -s "$python"
