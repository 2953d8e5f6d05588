# The variables of the experiment; sourced after local/env.sh. The environment wins over what the output folder
# remembers, that over the experiment's own file, that over conf/defaults.sh. All of them are exported.

load_experiment() {
  local recalled
  export OUTPUT_ROOT=${OUTPUT_ROOT:-exp_output}
  recalled=$("$python" local/stages.py recall)
  eval "$recalled"
  set -a
  source "$CONFIG"
  source conf/defaults.sh
  set +a
}
