#!/usr/bin/env bash
# Holds engine=vllm to its contract and to its tests on a GPU: the same files that run on a CPU in
# `tox run -e vllm`. In the root of a checkout, where vllm, the `testing` extra and this package can
# be imported:
#
#   bash benchmarks/gpu/engine_kit.sh [ARGUMENTS OF PYTEST]
set -euo pipefail
cd "$(dirname "$0")/../.."
export QRAG_TEST_DEVICE=${QRAG_TEST_DEVICE:-cuda}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
# The tests measure nothing: what is compiled for speed is not worth the wait.
export TORCH_COMPILE_DISABLE=${TORCH_COMPILE_DISABLE:-1}
# Warnings of what only a GPU uses are not ours to mend, and no failure here.
exec python3 -m pytest -p no:cacheprovider -W default tests/engines/vllm "$@"
