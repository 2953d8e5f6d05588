# The real experiment: WenetSpeech through a simulated telephone (stages 1 and 2), then your own labelled calls (stage 3).
# Say where your corpora lie: in the environment, here, or in conf/local.sh, which git does not see. For example
#     : "${CALLS_TRAIN=/data/calls/train.jsonl}"
[[ ! -f conf/local.sh ]] || source conf/local.sh

: "${MODEL:=FunAudioLLM/Fun-ASR-Nano-2512}"

: "${GENERAL_TRAIN=corpora/wenetspeech/train.jsonl}"    # 65,170 utterances, stated as ~1000 h
: "${GENERAL_DEV=corpora/wenetspeech/dev.jsonl}"        # 13,825
: "${GENERAL_TEST=corpora/wenetspeech/test.jsonl}"      # the guard
: "${CALLS_TRAIN=corpora/calls/train.jsonl}"            # 12,172 utterances, of which 571 are marked <ANNOTATION_ERROR>
: "${CALLS_DEV=corpora/calls/dev.jsonl}"                # 9,001; divided by call into dev and test while CALLS_TEST is empty
: "${KEYWORDS=conf/keywords.txt}"
