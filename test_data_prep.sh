#!/usr/bin/env bash
# Stage 0 on ten utterances of every configured corpus, in about a minute: bash test_data_prep.sh
#
# Says ✓ or ✗ of each corpus: can it be read (the text of all of it is, so that every annotation error is counted), do its
# first ten utterances come through; and then of all that was made: is it as training wants it. What it saw and heard stands
# on a page to open in a browser, $OUTPUT_ROOT/test_data_prep/report.html, beside all that the programs said (stage0.log).
#
# CONFIG and the variables are those of run_experiment.sh, whose own data is left alone: what is made here goes to
# $OUTPUT_ROOT/test_data_prep, anew each time.
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

source local/colour.sh

case ${1:-} in
  -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' test_data_prep.sh; exit ;;
  ?*) complain "takes no argument, but variables: CONFIG=… bash test_data_prep.sh (-h explains)"; exit 2 ;;
esac

source local/env.sh
source local/variables.sh
find_python
load_experiment
use_environment

few=10
work=$OUTPUT_ROOT/test_data_prep
log=$work/stage0.log
made=()
failed=0
trap 'say 2 31 "✗" "stopped: see the line above"' ERR
rm -rf -- "$work"
mkdir -p "$work"

if [[ $MINI_GENERAL_TRAIN && ! -e $GENERAL_TRAIN ]]; then
  echo "built-in corpora"
  "$python" -m local.mini.corpus --output_dir "$work/mini" --seed "$SEED" --jobs "$JOBS" \
    --general_train $few --general_dev $few --general_test $few --calls_train $few --calls_dev $few --calls_test $few
  for name in {GENERAL,CALLS}_{TRAIN,DEV,TEST}; do
    printf -v "$name" %s "${!name/#"$OUTPUT_ROOT/mini"/"$work/mini"}"
  done
fi

check() {    # check WORDS COMMAND …: ✓ or ✗, and the words
  if "${@:2}"; then say 1 32 "  ✓" "$1"; else say 1 31 "  ✗" "$1"; failed=1; fi
}

prepare() {    # prepare VERB TITLE MANIFEST ROWS.jsonl COMMAND …: a corpus that fails does not stop the others
  local verb=$1 rows=$4 said lines marked
  echo "$2: $3"
  said=$("${@:5}" | tee -a "$log") || { check "$verb" false; return 0; }
  lines=$(sed -nE 's/.*: ([0-9,]+ lines, [0-9,]+ usable.*)/\1/p' <<<"$said")
  marked=$(sed -nE 's/^ *([0-9,]+ of [0-9,]+) marked as annotation errors.*/\1/p' <<<"$said")
  check "reading: $lines" test "$lines"
  [[ -z $marked ]] || check "annotation errors found: $marked" true
  came_through "$verb" "$rows"
}

came_through() {    # came_through VERB ROWS.jsonl: all but what is implausible; sound that cannot be used is a mistake
  local kept broken odd rejected=${2%/*}/rejected/${2##*/}
  local unusable='"reason": "((missing|unreadable|empty)_audio|unknown_length|bad_(samples|segment|rate)|no_channel)"'
  [[ -s $2 ]] || { check "$1" false; return 0; }
  made+=("$2")
  kept=$(wc -l <"$2")
  broken=$(grep -cE "$unusable" "$rejected" || true)
  odd=$(grep -c '"bound": [0-9-]' "$rejected" || true)
  check "$1 $kept/$((kept + broken))$( ((odd == 0)) || echo ", implausible: $odd")" test "$broken" -eq 0
  ((broken + odd == 0)) || echo "      why: $rejected"
}

simulate() {    # simulate SPLIT MANIFEST [option …]
  [[ -z $2 ]] || prepare simulation "general speech, $1" "$2" "$work/simulated_8k_telephone/$1.jsonl" \
    "$python" data/data_simulation.py --manifest "$2" --split "$1" --output_dir "$work/simulated_8k_telephone" \
    --profile "$CHANNEL_PROFILE" ${NOISE_DIR:+--noise_dir "$NOISE_DIR"} --seed "$SEED" --prompt "$PROMPT" --storage "$STORAGE" \
    --jobs "$JOBS" --limit $few "${@:3}"
}

convert() {    # convert FOLDER/SPLIT TITLE MANIFEST [option …]
  [[ -z $3 ]] || prepare conversion "$2" "$3" "$work/$1.jsonl" \
    "$python" data/prepare_training_data.py convert --manifest "$3" --output "$work/$1.jsonl" \
    --filter_annotation_error --prompt "$PROMPT" --storage "$STORAGE" --jobs "$JOBS" --limit $few "${@:4}"
}

check settings "$python" local/stages.py check 0 0
rules=(${RULES:+--rule $RULES})    # of training sets
simulate train "$GENERAL_TRAIN" --min_confidence "$MIN_CONFIDENCE" "${rules[@]}"
simulate dev "$GENERAL_DEV"
simulate test "$GENERAL_TEST"
convert general_16k/test "general speech, test, as it is" "$GENERAL_TEST"
convert real_8k_telephone/train "calls, train" "$CALLS_TRAIN" "${rules[@]}"
if [[ $CALLS_TEST ]]; then
  convert real_8k_telephone/dev "calls, dev" "$CALLS_DEV"
  convert real_8k_telephone/test "calls, test" "$CALLS_TEST"
else
  convert real_8k_telephone/dev "calls, dev, halved into dev and test" "$CALLS_DEV" --split_test "$work/real_8k_telephone/test.jsonl"
  [[ -z $CALLS_DEV ]] || came_through "conversion of the other half" "$work/real_8k_telephone/test.jsonl"
fi

validate() {    # all checks of all rows; those that found nothing are named in the log only
  local tokens=$MODEL/ctc_tokens.json known=()
  [[ -f $tokens ]] || tokens=""
  (($KNOWN_SPEAKERS == 0)) || known=(--known_speakers)
  "$python" data/prepare_training_data.py validate --check_audio "${known[@]}" ${tokens:+--token_list "$tokens"} \
    --summary "$work/report.json" --page "$work/report.html" "${made[@]}" | tee -a "$log" | sed '/^  ✓/d'
}

echo
[[ ${#made[@]} -gt 0 ]] || { complain "no corpus could be read; set GENERAL_TRAIN … in CONFIG"; exit 1; }
check validation validate
next=$("$python" local/stages.py command 0 0)
((failed)) && { say 1 31 "✗" "stage 0 would not succeed: mend what is marked ✗, then ${next%run_experiment.sh*}test_data_prep.sh"; exit 1; }
warnings=$(grep -c '^  ! ' "$log" || true)
say 1 32 "✓" "stage 0 is ready$( ((warnings == 0)) || echo "; warnings: $warnings, marked ! above and in $work/report.html")"
say 1 1 next: "$next"
