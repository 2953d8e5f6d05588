# The built-in experiment: Mandarin made by a speech synthesiser, a small Fun-ASR-Nano that plays the released model.
# Needs no data and no GPU. It shows that the recipe works and what each stage is for, not what the real model reaches.
: "${MODEL:=local/mini/model}"
: "${MINI_GENERAL_TRAIN:=5000}"
: "${MINI_GENERAL_DEV:=80}"
: "${MINI_GENERAL_TEST:=150}"
: "${MINI_CALLS_TRAIN:=1000}"
: "${MINI_CALLS_DEV:=80}"
: "${MINI_CALLS_TEST:=240}"
: "${GENERAL_TRAIN:=$OUTPUT_ROOT/mini/general/train.jsonl}"
: "${GENERAL_DEV:=$OUTPUT_ROOT/mini/general/dev.jsonl}"
: "${GENERAL_TEST:=$OUTPUT_ROOT/mini/general/test.jsonl}"
: "${CALLS_TRAIN:=$OUTPUT_ROOT/mini/calls/train.jsonl}"
: "${CALLS_DEV:=$OUTPUT_ROOT/mini/calls/dev.jsonl}"
: "${CALLS_TEST:=$OUTPUT_ROOT/mini/calls/test.jsonl}"
: "${KEYWORDS:=$OUTPUT_ROOT/mini/keywords.txt}"
: "${SILENCE:=60}"
: "${NEGATIVE_RATE:=0.05}"
: "${CONTROLS:=1}"
: "${DEV_CAP:=60}"

# A model of a few million parameters takes larger steps and smaller batches than one of 868.9 million.
small="++dataset_conf.batch_size_utts=16 ++dataset_conf.num_workers=1 ++train_conf.log_interval=20 ++scheduler_conf.warmup_steps=20"
# Against forgetting, stages 1 and 2 replay wideband speech, stage 3 general speech over the telephone.
wideband="++dataset_conf.replay_share=0.15"
: "${STAGE1_SET:=$small $wideband ++train_conf.max_epoch=1 ++optim_conf.lr=1e-3}"
: "${STAGE2_SET:=$small $wideband ++train_conf.max_epoch=2 ++optim_conf.lr=1.5e-3}"
: "${STAGE3_SET:=$small ++train_conf.max_epoch=3 ++optim_conf.lr=2e-3 ++train_conf.accum_grad=1 ++dataset_conf.replay_share=0.8 ++dataset_conf.hotword_rate=0.25}"
