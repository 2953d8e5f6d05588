#!/usr/bin/env bash
# Adapts Fun-ASR-Nano to 8 kHz Chinese telephone speech, in stages:
#
#   bash run_experiment.sh [STAGE [STOP_STAGE]]      stages STAGE to STOP_STAGE; without numbers 0 3, the whole experiment
#   bash run_experiment.sh --dry-run [STAGE [STOP]]  what that would do, need and take, from a few real steps; keeps nothing
#   bash run_experiment.sh status                    where each stage stands, how long it will take, what to type next
#   bash run_experiment.sh clean STAGE               give up what a stage made: 0, silence, baseline, 1, 2, 3, control, scores
#   bash run_experiment.sh report                    a page on all that came out; a run of stages makes it too
#   bash run_experiment.sh evaluate …                scores of any model folder: --model DIR --data FILE (-h: all options)
#   bash run_experiment.sh export [OUT]              the model so far, as a folder that an unmodified FunASR opens
#
#   0  telephone speech and training rows            simulated from 16 kHz speech; real 8 kHz calls
#   1  the audio encoder learns the telephone        on simulated speech
#   2  adaptor and CTC branch follow the encoder     on simulated speech
#   3  LoRA learns the words of the calls            on real calls
#
# The model is scored before stage 1 (baseline) and after each stage; a table and a page say at the end what each bought.
# A finished stage is skipped, an interrupted one goes on, and one whose inputs or settings have changed stops the run.
#
# The built-in experiment needs no data and no GPU: a quarter of an hour on two cores. The real one:
#   CONFIG=conf/wenetspeech_telephone.sh bash run_experiment.sh 0 3        two large GPUs, days; paths in conf/local.sh
# Every variable of conf/defaults.sh can be set in the environment, e.g. CUDA_VISIBLE_DEVICES=0 SEED=2 OUTPUT_ROOT=exp_2.
# The output folder remembers its CONFIG. Relative paths count from the folder of this script.
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

source local/colour.sh
source local/arguments.sh
source local/env.sh
source local/variables.sh
source local/steps.sh
read_arguments "$@"
find_python
load_experiment
hand_over "$@"    # status, clean, report, evaluate, export, --dry-run; what follows is the stages

# What is about to be done, on which devices: all that can be wrong with it is said now.
stages=$("$python" local/stages.py begin "$first" "$last")
devices="cpu 1"
[[ $stages == 0 ]] || devices=$("$python" local/devices.py) ||
  { devices="none 0"; echo "goes on without, up to the first stage that needs one" >&2; }
read -r device processes gpus <<<"$devices"
mkdir -p "$OUTPUT_ROOT"
exec 9>>"$OUTPUT_ROOT/.lock"
((NODE_RANK > 0)) || "$python" local/stages.py lock 9
use_environment
check_settings $stages
((NODE_RANK > 0)) || "$python" local/stages.py remember

data=$OUTPUT_ROOT/data
exp=$OUTPUT_ROOT/exp/8k_telephone
doing="the start" log="" again=$("$python" local/stages.py command "$first" "$last")
trap 'say_why $?' ERR
trap interrupted INT
trap stop_as_asked TERM USR1    # as Slurm sends them before a job's time is over

stage_0() {
  log=$data/stage0.log
  [[ -z $MINI_GENERAL_TRAIN ]] || make_built_in_corpora
  if reads simulated_8k_telephone/train; then simulate_train; fi
  if reads simulated_8k_telephone/dev; then simulate dev "$GENERAL_DEV"; fi
  if reads general_16k/train; then convert_general_train; fi
  simulate test "$GENERAL_TEST"
  if reads silence_8k_telephone/test; then make_silence; fi
  convert general_16k/test "$GENERAL_TEST"    # the guard: the wideband speech as it is
  convert real_8k_telephone/train "$CALLS_TRAIN" ${RULES:+--rule $RULES}
  if [[ $CALLS_TEST ]]; then
    convert real_8k_telephone/dev "$CALLS_DEV"
    convert real_8k_telephone/test "$CALLS_TEST"
  else
    convert real_8k_telephone/dev "$CALLS_DEV" --split_test "$data/real_8k_telephone/test.jsonl"
  fi
  validate
}

stage_baseline() {
  score "$exp/baseline" released --originals "$ORIGINALS"
}

stage_1() {
  train 1 "$exp/stage1_encoder" released simulated_8k_telephone/{train,dev}
  score "$exp/stage1_encoder" "$exp/stage1_encoder/model.pt"
}

stage_2() {
  train 2 "$exp/stage2_adapter" "$(<"$exp/stage1_checkpoint.txt")" simulated_8k_telephone/{train,dev}
  score "$exp/stage2_adapter" "$exp/stage2_adapter/model.pt"
}

stage_3() {
  local start=released    # INIT=released: your own calls only
  [[ $INIT == released ]] || start=$(<"$exp/stage2_checkpoint.txt")
  train 3 "$exp/stage3_lora" "$start" real_8k_telephone/{train,dev}
  score "$exp/stage3_lora" "$exp/stage3_lora/model.pt" --originals "$ORIGINALS"
}

stage_control() {    # CONTROLS=1: the same steps as stage 1 from the same start, but on the clean wideband speech
  local folder=$OUTPUT_ROOT/exp/controls/stage1_clean
  log=$folder/train.log
  convert_general_train
  train 1 "$folder" released general_16k/train simulated_8k_telephone/dev
  score "$folder" "$folder/model.pt"
}

for stage in $stages; do
  doing="stage $stage"
  if has_work "$stage"; then
    [[ $stage == 0 ]] || get_ready
    ((NODE_RANK > 0)) || "$python" local/stages.py open "$stage"
    "stage_$stage"
    ((NODE_RANK > 0)) || "$python" local/stages.py close "$stage"
  fi
done

((NODE_RANK == 0)) || exit 0
[[ $stages == 0 ]] || show_results
"$python" local/stages.py next "$first" "$last"
