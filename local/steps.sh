# The verbs of run_experiment.sh: each runs one program of the recipe, and says in $log where its story is written.
# They read the variables of the experiment, and $python $data $model $device $processes.

logged() {    # logged COMMAND …: what it prints, to the terminal and to $log; a progress bar stays on the terminal
  mkdir -p "$(dirname -- "$log")"
  if [[ -t 2 ]]; then "$@" | tee -a "$log"; else "$@" 2>&1 | tee -a "$log"; fi
}

why="" anew=""    # what a step found wrong, and the command that makes its stage anew once that is mended
say_why() {    # say_why STATUS: the last line of a run that stops; 75: a signal asked its training to, and it has saved
  local goes_on=${anew:-"the same command goes on from there: $again"}
  if (($1 == 75)); then
    echo "stopped in $doing as asked; $goes_on" >&2
  else
    complain "$doing ${why:-failed}${log:+, its log is $log}; once that is mended, $goes_on"
  fi
}

trainer="" asked=""    # the process that is training; whether a signal has asked it to stop
obeying() {    # obeying COMMAND …: trains in the background, where a signal can be passed on to it, and waits until it has saved
  local status
  "$@" &
  trainer=$!
  while status=0; wait "$trainer" || status=$?; ((status > 128)) && kill -0 "$trainer" 2>/dev/null; do :; done
  trainer=""
  return "$status"
}

stop_as_asked() {
  if [[ $trainer ]]; then
    asked=yes
    kill -TERM "$trainer" 2>/dev/null || true
  else
    say_why 75
    exit 75
  fi
}

interrupted() {    # Ctrl-C
  [[ -z $trainer ]] || { kill -TERM "$trainer" && wait "$trainer"; } 2>/dev/null || true
  echo "interrupted in $doing; the same command goes on from there: $again" >&2
  exit 130
}

make_built_in_corpora() {
  logged "$python" -m local.mini.corpus --output_dir "$OUTPUT_ROOT/mini" --seed "$SEED" --jobs "$JOBS" \
    --general_train "$MINI_GENERAL_TRAIN" --general_dev "$MINI_GENERAL_DEV" --general_test "$MINI_GENERAL_TEST" \
    --calls_train "$MINI_CALLS_TRAIN" --calls_dev "$MINI_CALLS_DEV" --calls_test "$MINI_CALLS_TEST"
}

simulate() {    # simulate SPLIT MANIFEST [option …]: wideband speech over the telephone; dev and test alike for every SEED
  [[ -z $2 ]] || logged "$python" data/data_simulation.py --manifest "$2" --split "$1" \
    --output_dir "$data/simulated_8k_telephone" --profile "$CHANNEL_PROFILE" ${NOISE_DIR:+--noise_dir "$NOISE_DIR"} \
    --prompt "$PROMPT" --storage "$STORAGE" --engine "$ENGINE" --jobs "$JOBS" "${@:3}"
}

simulate_train() {    # once and for all, or left clean for the training to do it anew in every epoch
  local online=()
  [[ $("$python" local/stages.py simulated) == offline ]] || online=(--online)
  simulate train "$GENERAL_TRAIN" --seed "$SEED" --negative_rate "$NEGATIVE_RATE" --min_confidence "$MIN_CONFIDENCE" \
    "${online[@]}" ${RULES:+--rule $RULES}
}

make_silence() {    # a test set in which nobody speaks, alike for every SEED
  logged "$python" data/data_simulation.py --silence "$SILENCE" --split test --output_dir "$data/silence_8k_telephone" \
    --profile "$CHANNEL_PROFILE" ${NOISE_DIR:+--noise_dir "$NOISE_DIR"} --prompt "$PROMPT" --storage "$STORAGE" \
    --engine "$ENGINE" --jobs "$JOBS"
}

convert() {    # convert ROWS MANIFEST [option …]: speech as it is, brought to 16 kHz
  [[ -z $2 ]] || logged "$python" data/prepare_training_data.py convert --manifest "$2" --output "$data/$1.jsonl" \
    --filter_annotation_error --prompt "$PROMPT" --storage "$STORAGE" --engine "$ENGINE" --jobs "$JOBS" "${@:3}"
}

convert_general_train() {    # the wideband speech as it is, of the utterances that are simulated
  convert general_16k/train "$GENERAL_TRAIN" --min_confidence "$MIN_CONFIDENCE" ${RULES:+--rule $RULES}
}

reads() {    # reads ROWS: whether a stage is trained or scored on them
  "$python" local/stages.py rows | grep -x "$1" >/dev/null
}

validate() {    # all rows that stage 0 made, a line a file where all is well; its page is to be read and listened to
  local known=()
  (($KNOWN_SPEAKERS == 0)) || known=(--known_speakers)
  logged "$python" data/prepare_training_data.py validate "$data"/*/*.jsonl "${known[@]}" \
    --summary "$data/report.json" --page "$data/report.html" | sed '/^  ✓/d; /^    [^ ]/d' || wrong_rows
}

wrong_rows() {    # they are as the corpora are: once those are mended, stage 0 makes all of them anew
  local last
  last=$(tail -n 1 "$log")
  if [[ $last == failed:* ]]; then
    why=$last anew="$("$python" local/stages.py command clean 0) && $again"
  fi
  return 1
}

check_settings() {    # check_settings STAGE …: a key that is wrong in stage 3 is said today, not after stages 1 and 2
  local line words
  [[ $1 != 0 || -z $RULES ]] || "$python" -m data.plausibility $RULES >/dev/null
  line=$("$python" local/stages.py settings "$@")
  read -ra words <<<"$line"
  ((${#words[@]} == 0)) || "$python" local/config.py "${words[@]}" >/dev/null
}

launcher() {    # launcher MACHINES: sets $launch, the words that start a program in all processes of so many machines
  launch=("$python")
  if (($1 > 1)); then
    launch+=(-m torch.distributed.run --nnodes "$1" --node_rank "$NODE_RANK" --nproc_per_node "$processes"
      --master_addr "$MASTER_ADDR" --master_port "$MASTER_PORT")
  elif ((processes > 1)); then
    launch+=(-m torch.distributed.run --standalone --nproc_per_node "$processes")    # on a free port
  fi
}

train() {    # train STAGE FOLDER START TRAIN_ROWS DEV_ROWS: nothing to do where only the scores are missing
  local line words replayed keywords launch before=0
  log=$2/train.log
  [[ ! -s $2/model.pt ]] || return 0
  [[ ! -f $log ]] || before=$(wc -c <"$log")
  replayed=$("$python" local/stages.py replays "$1")
  keywords=$("$python" local/stages.py hotwords "$1")
  line=$("$python" local/stages.py settings "$1")
  read -ra words <<<"$line"    # its YAML file and the ++key=value words over it
  launcher "$NNODES"
  obeying "${launch[@]}" local/train.py --config "${words[0]}" --model_dir "$model" --init "$3" --train "$data/$4.jsonl" \
    ${replayed:+--replay "$data/$replayed.jsonl"} ${keywords:+--keywords "$keywords"} --dev "$data/$5.jsonl" \
    --output_dir "$2" --device "$device" "${words[@]:1}" || stopped_with $? "$before"
}

stopped_with() {    # stopped_with STATUS BYTES: 75 where a signal asked for it; torchrun makes 1 of that. The log had so many bytes
  local last=""
  [[ ! -f $log ]] || last=$(tail -c "+$(($2 + 1))" "$log" | tail -n 1)
  if [[ $last == *"came: saved after update"* ]]; then return 75; fi
  if [[ $asked ]] && (($1 > 128 || ${#launch[@]} > 1)); then return 75; fi    # before its first update: nothing was to be saved
  return "$1"
}

score() {    # score FOLDER CHECKPOINT [option …]: on every set that stage 0 made; by all processes of machine 0
  local set sets=() train=() launch
  log=$1/train.log
  [[ ! -s $1/results.json && $NODE_RANK == 0 ]] || return 0
  for set in calls_dev=real_8k_telephone/dev calls_test=real_8k_telephone/test \
    telephone_test=simulated_8k_telephone/test guard=general_16k/test silence=silence_8k_telephone/test; do
    [[ ! -f $data/${set#*=}.jsonl ]] || sets+=(--set "${set%%=*}=$data/${set#*=}.jsonl")
  done
  for set in real_8k_telephone simulated_8k_telephone general_16k; do    # whatever any stage is trained on
    [[ ! -f $data/$set/train.jsonl ]] || train+=("$data/$set/train.jsonl")
  done
  (($KNOWN_SPEAKERS == 0)) || train+=(--known_speakers)
  mkdir -p "$1"
  launcher 1
  "${launch[@]}" local/evaluate.py --model_dir "$model" --checkpoint "$2" "${sets[@]}" --train "${train[@]}" \
    --output_dir "$1" --device "$device" \
    ${KEYWORDS:+--keywords "$KEYWORDS" --keywords_from "$data/real_8k_telephone/train.jsonl"} "${@:3}" | tee -a "$log"
}

has_work() {    # has_work STAGE: true, or false where it is finished; anything else ends the run
  local answer=0
  "$python" local/stages.py ask "$1" || answer=$?
  ((answer == 0 || answer == 10)) || exit "$answer"
  return "$answer"
}

model=""    # the folder of MODEL, once it is known to be sound
get_ready() {    # once, before the first stage that needs the model: what would waste its hours is said now
  [[ -z $model ]] || return 0
  log=""
  use_devices
  fetch_model
  why="has not begun, see ✗ above"
  "$python" local/preflight.py check "$first" "$last"
  why=""
}

use_devices() {    # torch must reach what was picked
  devices=$("$python" local/devices.py verify "$devices")    # anew: hours may have passed since the first lines
  read -r device processes gpus <<<"$devices"
  export CUDA_VISIBLE_DEVICES=$gpus CUDA_DEVICE_ORDER=PCI_BUS_ID    # as nvidia-smi counts them
}

fetch_model() {    # the model must be here
  model=$("$python" local/fetch_model.py "$MODEL")
}

show_results() {    # the table; and the page, where there is something new to tell
  local page=$exp/report.html
  doing="the report" log=""
  "$python" local/table.py "$OUTPUT_ROOT/exp"
  [[ -e $page && -z $(find "$OUTPUT_ROOT/exp" -name results.json -newer "$page") ]] || "$python" -m local.report "$OUTPUT_ROOT"
}
