#!/usr/bin/env bash
# All tests of the recipe, in an environment of its own where the active one does not fit. Arguments go to pytest:
#   bash tests/run.sh                    everything
#   bash tests/run.sh -m "not slow"      what takes seconds
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source local/colour.sh
source local/env.sh
find_python
use_environment
exec "$python" -m pytest "$@"
