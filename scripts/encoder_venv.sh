#!/usr/bin/env bash
# Make a Python environment with the engines that the encoder is measured against in DIR, once; prints
# its interpreter.  Takes some gigabytes; exit status 1 when it cannot be had.  TRAWL_ENCODER_PYTHON
# names an interpreter that has them already.
set -euo pipefail

if [ -n "${TRAWL_ENCODER_PYTHON:-}" ]; then
    echo "$TRAWL_ENCODER_PYTHON"
    exit 0
fi
dir=$1
python=$dir/bin/python
wanted="torch==2.15.0 transformers==4.57.6 tokenizers==0.22.2 sentence-transformers==5.7.0 numpy==2.4.6
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 ctranslate2==4.8.5"
if [ ! -f "$dir/complete" ]; then
    rm -rf "$dir"
    "${PYTHON:-/usr/bin/python3}" -m venv "$dir" >&2
    # shellcheck disable=SC2086
    "$python" -m pip install --quiet --disable-pip-version-check $wanted >&2
    touch "$dir/complete"
fi
realpath -s "$python"
