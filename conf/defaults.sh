# Every variable of an experiment, with what holds when nobody says otherwise. Read last: the environment wins over
# the experiment's own file (conf/mini.sh, …), and that one over this. A name that is not here is an error there.
# Relative paths count from the top folder of the recipe.

# --- what the experiment is: remembered by its output folder ---
: "${MODEL=}"                  # folder with config.yaml and model.pt, or a name on the model hub (owner/name)
: "${INIT=trained}"            # trained: stage 3 goes on from stage 2; released: from MODEL, without stages 1 and 2
: "${SEED=1}"                  # of every draw: channel, order of batches, dropout, LoRA
: "${PROMPT=语音转写：}"       # FunASR's form for unpunctuated targets: 语音转写，不进行文本规整：
: "${KEYWORDS=}"               # file, one business keyword a line; empty = no keyword scores, no lists of them in training
: "${CHANNEL_PROFILE=default}" # simulated calls: a profile or a mix of conf/telephone_channel.yaml
: "${SIMULATE=}"               # offline: stage 0 simulates the training speech once; online: training does, anew each
                               # epoch; empty: as dataset_conf.simulate in the YAML files of stages 1 and 2 says
: "${STORAGE=wav}"            # how stage 0 keeps sound: wav; flac; mu-law: telephone speech as 8 kHz, 8 bit, a quarter
: "${NOISE_DIR=}"              # noise files, for profiles with noise_snr_db
: "${NEGATIVE_RATE=0}"         # training utterances without speech, for each that has some: against hallucination
: "${SILENCE=200}"             # utterances of the test set in which nobody speaks, to count false alarms; 0 = none
: "${CONTROLS=0}"              # 1: also train stage 1 on the clean wideband speech, as a control of what it gains
: "${DEV_CAP=300}"             # utterances of the dev set that are decoded after each epoch
: "${KNOWN_SPEAKERS=0}"        # 1: who speaks in a test set may speak in train too; the results then say so
: "${ORIGINALS=200}"           # utterances of the calls' test set that an unmodified AutoModel decodes from their original
                               # files, at the baseline and after stage 3, one by one; 0 = none

# Corpora: each in a form of data/corpora.py (JSON lines, Kaldi, WenetSpeech.json#M, FunASR, folders of calls …).
: "${GENERAL_TRAIN=}"          # 16 kHz wideband speech, to be sent through the simulated telephone
: "${GENERAL_DEV=}"
: "${GENERAL_TEST=}"           # also the guard: scored wideband, as it is; empty = no guard
: "${CALLS_TRAIN=}"            # real 8 kHz calls
: "${CALLS_DEV=}"
: "${CALLS_TEST=}"             # empty = the calls' dev set is divided, call by call

# What of the training sets is left out as implausible, and listed in rejected/; dev and test are never filtered
: "${RULES=}"                  # other bounds for the rules, or none: "too_fast=12 silent=off" (data/plausibility.py)
: "${MIN_CONFIDENCE=0}"        # WenetSpeech: least confidence of a training segment

# `++section.key=value …` over conf/stage1_….yaml, stage2_….yaml, stage3_….yaml
: "${STAGE1_SET=}"
: "${STAGE2_SET=}"
: "${STAGE3_SET=}"

# Utterances of the built-in corpora; empty = they are not made
: "${MINI_GENERAL_TRAIN=}"
: "${MINI_GENERAL_DEV=}"
: "${MINI_GENERAL_TEST=}"
: "${MINI_CALLS_TRAIN=}"
: "${MINI_CALLS_DEV=}"
: "${MINI_CALLS_TEST=}"

# --- where it runs: free to change between two runs ---
# CUDA_VISIBLE_DEVICES: the GPUs to use; not set = all idle ones. OUTPUT_ROOT (environment only): exp_output
: "${DEVICE=auto}"             # auto: the idle GPUs, or the CPU of a machine without NVIDIA device; cuda; cpu
: "${NPROC=}"                  # processes that train and score on this machine; empty = one a GPU, one on the CPU
: "${NNODES=1}"                # machines; with several, give one stage at a time on each of them
: "${NODE_RANK=0}"
: "${MASTER_ADDR=}"            # of machine 0
: "${MASTER_PORT=29500}"       # one machine finds a free port by itself
: "${JOBS=$(nproc)}"           # processes of stage 0
: "${ENGINE=local}"            # ray: stage 0 on the cluster that RAY_ADDRESS names
