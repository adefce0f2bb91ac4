#!/usr/bin/env bash
# All that a GPU can show, in ten minutes at most: training, embedding and labelling, as one Markdown table.
#
#     bash benchmarks/gpu.sh [TABLE.md]
#
# PYTHON names the Python that has hubbub (default: .venv/bin/python, else python3), MINUTES the time there is (10). What
# there was no time for is said in the table. Without a GPU the processors are measured, and the table says so.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-gpu.md}
python=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
minutes=${MINUTES:-10}

export PYTHONPATH=${PYTHONPATH:-}
"$python" -c 'import hubbub' 2>/dev/null || export PYTHONPATH=lib:$PYTHONPATH
# A child that hangs is stopped by gpu.py; this is for gpu.py itself.
timeout --kill-after=10 "$((minutes * 60 + 30))" "$python" benchmarks/gpu.py --minutes "$minutes" -o "$out"
