# The Python environment; sourced with the top folder as working directory, after local/colour.sh; sets $python.
#   find_python        a bare Python 3.10-3.12: enough for local/stages.py
#   use_environment    the active environment when its packages lie in the tested ranges (local/packages.py), otherwise
#                      .venv with the exact pins of requirements.txt, made once. What a kill left half-installed is completed.
# PYTHON=/path/to/python names one. Nothing is ever installed into an environment that is not ours.

find_python() {
  local candidate found=()
  for candidate in ${PYTHON:+"$PYTHON"} python3 python python3.12 python3.11 python3.10; do
    python=$(type -P "$candidate") || continue
    "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && return
    found+=("$candidate is $({ "$python" -V 2>&1 || true; } | tail -n 1)")
    [[ -z ${PYTHON:-} ]] || break
  done
  complain "Python 3.10, 3.11 or 3.12 is needed (${found[*]:-none is installed}); install one, or name it: PYTHON=/path/to/python3.11"
  exit 1
}

use_environment() {
  local why venv=.venv/bin/python
  if why=$("$python" local/packages.py); then return; fi
  if [[ ! -x $venv ]] || ! "$venv" local/packages.py >/dev/null; then
    echo "environment making .venv from requirements.txt, about 6 GB, once (the active Python: $why)"
    make_venv
  fi
  python=$venv
}

make_venv() (
  mkdir -p .venv
  exec 8>.venv/.lock
  "$python" -c 'import fcntl; fcntl.flock(8, fcntl.LOCK_EX)'    # two runs at once: the second one waits, then finds it done
  "$python" -m venv .venv || fail_environment "$python cannot make environments (Debian and Ubuntu: install python3-venv)"
  for package in .venv/lib/python3*/site-packages/*.dist-info; do    # pip writes INSTALLER last: without it, half a package
    [[ -e $package/INSTALLER ]] || rm -rf -- "$package"
  done
  .venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt ||
    fail_environment "pip could not install requirements.txt, see above; the same command goes on from there"
)

fail_environment() {
  complain "$1"
  exit 1
}
