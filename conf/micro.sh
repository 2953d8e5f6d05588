# The built-in experiment on 40 utterances and one epoch a stage: tries the mechanics in half a minute, learns nothing.
: "${MINI_GENERAL_TRAIN:=40}"
: "${MINI_GENERAL_DEV:=8}"
: "${MINI_GENERAL_TEST:=8}"
: "${MINI_CALLS_TRAIN:=40}"
: "${MINI_CALLS_DEV:=8}"
: "${MINI_CALLS_TEST:=8}"
: "${SILENCE:=4}"
: "${CONTROLS:=0}"
: "${DEV_CAP:=4}"

micro="++train_conf.max_epoch=1 ++train_conf.log_interval=1 ++scheduler_conf.warmup_steps=2"
micro="$micro ++dataset_conf.batch_size_utts=8 ++dataset_conf.num_workers=0"
: "${STAGE1_SET:=$micro}"
: "${STAGE2_SET:=$micro}"
: "${STAGE3_SET:=$micro}"

source conf/mini.sh    # all else
