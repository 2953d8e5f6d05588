#!/usr/bin/env bash
# Stage 0 on ten utterances of every configured corpus, in under a minute: bash test_data_prep.sh
#
# The text of the whole manifests is read, so that every annotation error is counted; ten utterances of each are made
# and checked, ✓ or ✗. CONFIG and the variables are those of run_experiment.sh, whose own data is left alone:
# what is made here goes to $OUTPUT_ROOT/test_data_prep, anew each time.
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

case ${1:-} in
  -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' test_data_prep.sh; exit ;;
  ?*) echo "error: takes no argument, but variables: CONFIG=… bash test_data_prep.sh (-h explains)" >&2; exit 2 ;;
esac

source local/env.sh
source local/variables.sh
find_python
load_experiment
use_environment

few=10
work=$OUTPUT_ROOT/test_data_prep
made=()
failed=0
trap 'echo "✗ stopped: see the line above" >&2' ERR
rm -rf -- "$work"

if [[ $MINI_GENERAL_TRAIN && ! -e $GENERAL_TRAIN ]]; then
  echo "== built-in corpora, $few utterances a split"
  "$python" -m local.mini.corpus --output_dir "$work/mini" --seed "$SEED" --jobs "$JOBS" \
    --general_train $few --general_dev $few --general_test $few --calls_train $few --calls_dev $few --calls_test $few
  for name in {GENERAL,CALLS}_{TRAIN,DEV,TEST}; do
    printf -v "$name" %s "${!name/#"$OUTPUT_ROOT/mini"/"$work/mini"}"
  done
fi

step() {    # step TITLE ROWS.jsonl COMMAND …: a corpus that fails does not stop the others
  echo "== $1"
  if "${@:3}"; then made+=("$2"); else echo "  ✗ $1"; failed=1; fi
}

simulate() {    # simulate SPLIT MANIFEST
  [[ -z $2 ]] || step "simulated telephone, $1: $2" "$work/simulated_8k_telephone/$1.jsonl" \
    "$python" data/data_simulation.py --manifest "$2" --split "$1" --output_dir "$work/simulated_8k_telephone" \
    --profile "$CHANNEL_PROFILE" ${NOISE_DIR:+--noise_dir "$NOISE_DIR"} --seed "$SEED" --prompt "$PROMPT" --jobs "$JOBS" --limit $few
}

convert() {    # convert FOLDER/SPLIT MANIFEST [option …]
  [[ -z $2 ]] || step "$1: $2" "$work/$1.jsonl" \
    "$python" data/prepare_training_data.py convert --manifest "$2" --output "$work/$1.jsonl" \
    --filter_annotation_error --prompt "$PROMPT" --jobs "$JOBS" --limit $few "${@:3}"
}

simulate train "$GENERAL_TRAIN"
simulate dev "$GENERAL_DEV"
simulate test "$GENERAL_TEST"
convert general_16k/test "$GENERAL_TEST"
convert real_8k_telephone/train "$CALLS_TRAIN"
if [[ $CALLS_TEST ]]; then
  convert real_8k_telephone/dev "$CALLS_DEV"
  convert real_8k_telephone/test "$CALLS_TEST"
else
  convert real_8k_telephone/dev "$CALLS_DEV" --split_test "$work/real_8k_telephone/test.jsonl"
  [[ ! -e $work/real_8k_telephone/test.jsonl ]] || made+=("$work/real_8k_telephone/test.jsonl")
fi

echo "== checks"
[[ ${#made[@]} -gt 0 ]] || { echo "error: no corpus could be read; set GENERAL_TRAIN … in CONFIG" >&2; exit 1; }
"$python" data/prepare_training_data.py validate --check_audio "${made[@]}" || failed=1
((failed)) && { echo "✗ stage 0 would not succeed: mend what is marked ✗"; exit 1; }
echo "✓ stage 0 is ready: bash run_experiment.sh 0 0"
