# What run_experiment.sh is asked for; sourced after local/colour.sh. Anything but stages is handed over to one program.

usage() { sed -n '2,/^set /{s/^# \{0,1\}//p}' run_experiment.sh; }
refuse() { complain "$1 (bash run_experiment.sh -h explains)"; exit 2; }

nearest_verb() {    # nearest_verb WORD: `; did you mean …?`
  find_python
  "$python" -c 'import sys; from data.spelling import nearest; print(nearest(sys.argv[1], sys.argv[2:]))' "$1" \
    status clean report evaluate export --dry-run
}

read_arguments() {    # read_arguments "$@": sets $asked, a verb or `stages`; for stages and --dry-run $first and $last
  [[ ${1:-} != [0-3] || ${!#} != --dry-run ]] || set -- --dry-run "${@:1:$#-1}"    # wherever it stands
  case ${1:-} in
    -h | --help) usage; exit ;;
    status | report) (($# == 1)) || refuse "$1 takes no argument" ;;
    clean) [[ $# == 2 && $2 =~ ^(0|silence|baseline|1|2|3|control|scores)$ ]] ||
      refuse "clean takes one of 0, silence, baseline, 1, 2, 3, control, scores" ;;
    export) (($# <= 2)) || refuse "export takes one argument at most, the folder to make" ;;
    evaluate) ;;
    --dry-run) read_stages "${@:2}" ;;
    *[a-z]*) refuse "STAGE is 0, 1, 2 or 3, not '$1'$(nearest_verb "$1")" ;;
    *) read_stages "$@"; asked=stages; return ;;
  esac
  asked=$1
}

read_stages() {    # read_stages [STAGE [STOP_STAGE]]
  (($# <= 2)) || refuse "at most two arguments, STAGE and STOP_STAGE"
  first=${1:-0} last=${2:-3}
  [[ $first =~ ^[0-3]$ ]] || refuse "STAGE is 0, 1, 2 or 3, not '$first'"
  [[ $last =~ ^[0-3]$ ]] || refuse "STOP_STAGE is 0, 1, 2 or 3, not '$last'"
  ((first <= last)) || refuse "STAGE $first comes after STOP_STAGE $last"
}

hand_over() {    # hand_over "$@": comes back only where stages are asked for
  local stage
  case $asked in
    status | clean) exec "$python" local/stages.py "$@" ;;
    --dry-run) use_environment; exec "$python" local/preflight.py plan "$first" "$last" ;;
    report) use_environment; exec "$python" -m local.report "$OUTPUT_ROOT" ;;
    evaluate) use_environment; exec "$python" -m local.evaluate --prompt "$PROMPT" "${@:2}" ;;
    export)
      stage=$("$python" local/stages.py final)    # whose model the experiment ends with, so far
      use_environment
      exec "$python" -m local.export "$stage" "${2:-$OUTPUT_ROOT/export/${stage##*/}}"
      ;;
  esac
}
