"""All that the report says, in English and in Chinese. What comes from data is never translated."""

from __future__ import annotations

from collections.abc import Sequence

from data.page_parts import words as safe

WORDS: dict[str, tuple[str, str]] = {
    # first look
    "title": ("8 kHz telephone speech: results", "8 kHz 电话语音：实验结果"),
    "gain": (
        "On the calls {after} % of the characters are wrong now, {before} % before.",
        "通话的字错误率现在是 {after} %，之前是 {before} %。",
    ),
    "interval": (
        "{low} to {high} points less, with 95 % confidence, on the same utterances.",
        "在相同的句子上，以 95 % 的置信度降低了 {low} 到 {high} 个百分点。",
    ),
    "unsure": (
        "On the calls {after} % of the characters are wrong, {before} % before: that this is a gain, this test set cannot show.",
        "通话的字错误率是 {after} %，之前是 {before} %：这个测试集还不能证明有进步。",
    ),
    "no gain": (
        "On the calls {after} % of the characters are wrong, no fewer than the {before} % before.",
        "通话的字错误率是 {after} %，并不比之前的 {before} % 低。",
    ),
    "price": (
        "Wideband speech pays for it: {after} % of its characters are wrong now, {before} % before.",
        "代价在宽带语音上：字错误率现在是 {after} %，之前是 {before} %。",
    ),
    "nothing scored": ("Nothing has been scored yet.", "目前还没有任何评分。"),
    "no baseline": (
        "On the calls {after} % of the characters are wrong. No baseline was scored to compare that with.",
        "通话的字错误率是 {after} %。没有给基线打过分，无从比较。",
    ),
    "only baseline": (
        "The model that the experiment starts from: {before} % of the characters of the calls are wrong.",
        "实验的起点模型：通话的字错误率是 {before} %。",
    ),
    "built in": (
        "The built-in experiment: its speech is synthesised, its calls go over a simulated line, and its model is a small one.",
        "内置实验：语音是合成的，通话线路是模拟的，模型是小模型。",
    ),
    "tells of": ("{config}, up to {stage}", "{config}，进行到{stage}"),
    "before": ("{rate} % before", "之前 {rate} %"),
    "language": ("中文", "English"),
    "theme": ("Light / dark", "浅色 / 深色"),
    # stages
    "stage baseline": ("baseline", "基线"),
    "stage 1": ("stage 1", "阶段 1"),
    "stage 2": ("stage 2", "阶段 2"),
    "stage 3": ("stage 3", "阶段 3"),
    "stage control": ("stage 1 on clean audio", "阶段 1（干净语音对照）"),
    "stage 0": ("stage 0", "阶段 0"),
    # verdict
    "verdict": ("Verdict", "结论"),
    "all met": ("All {count} gates are met", "{count} 项门槛全部达到"),
    "some met": ("{met} of {count} gates are met", "{count} 项门槛达到 {met} 项"),
    "no gates": ("No stage with a gate has been scored", "还没有带门槛的阶段被评分"),
    "gates explained": (
        "Gates are judged on dev, the guard on its own test set. One that is missed stops nothing; it says what to try next.",
        "门槛在开发集上判定，守护集用它自己的测试集。没有达到也不会中断实验，只会说明下一步可以试什么。",
    ),
    "gate loss": (
        "{name} loss on dev {before} → {found} ({change} %), wanted down by {wanted} %",
        "开发集 {name} 损失 {before} → {found}（{change} %），要求下降 {wanted} %",
    ),
    "gate rate": (
        "{measure} on the calls’ dev set {found} %, wanted below {wanted} %",
        "通话开发集 {measure} {found} %，要求低于 {wanted} %",
    ),
    "gate listening": (
        "with the texts of other utterances, the CER on the calls’ dev set differs by {found} [{low}, {high}]",
        "换成其他语音的文本，通话开发集 CER 相差 {found} [{low}, {high}]",
    ),
    "gate unmeasured": ("{measure} gate: not measured", "{measure} 门槛：未测"),
    "try": ("Try: ", "可以试："),
    "guard kept": (
        "guard: CER on wideband speech {before} → {found} %, at most {bound} % wanted",
        "守护集：宽带语音 CER {before} → {found} %，要求不超过 {bound} %",
    ),
    "guard lost": (
        "guard: CER on wideband speech {before} → {found} %, above the {bound} % that a stage may cost there",
        "守护集：宽带语音 CER {before} → {found} %，超过允许的 {bound} %",
    ),
    "normalisers differ": (
        "The stages were scored by different normalisers ({names}): do not compare them, score them again",
        "各阶段用了不同的文本归一化（{names}）：不能互相比较，请重新评分",
    ),
    "too few keywords": (
        "{set}: {total} keywords are not enough to show a KWER below {wanted} %: without a single miss they would show {least} %",
        "{set}：{total} 个关键词不足以证明 KWER 低于 {wanted} %：即使一个都不漏，也只能证明低于 {least} %",
    ),
    "no keyword said": (
        "{set}: nobody says any of the keywords: nothing is known of KWER",
        "{set}：没有人说到任何关键词：KWER 无从得知",
    ),
    "known speakers": (
        "{count} speakers of {set} are in train too (KNOWN_SPEAKERS=1)",
        "{set} 中有 {count} 位说话人也在训练集中（KNOWN_SPEAKERS=1）",
    ),
    # table
    "scores": ("Baseline to stage 3", "从基线到阶段 3"),
    "scores explained": (
        "All rates in percent on test sets, each looked at once a stage. Below a rate: its 95 % interval, "
        "by bootstrap over calls.",
        "均为测试集上的百分比，每个阶段只看一次。数值下方是 95 % 置信区间（按通话自助抽样）。",
    ),
    "few calls": ("of {calls} calls", "仅 {calls} 通"),
    "few explained": (
        "An interval “of N calls” is too narrow: a bootstrap over fewer than {few} calls (or utterances, where they name none) "
        "has seen too little of how calls differ.",
        "标有“仅 N 通”的区间偏窄：通话（没有通话编号时是句子）少于 {few} 时，自助抽样看不全通话之间的差别。",
    ),
    "scored on": (
        "Calls: {utterances} utterances, {ref} characters. Normaliser: {normaliser}.",
        "通话：{utterances} 条，{ref} 字。文本归一化：{normaliser}。",
    ),
    "not in": ("Not measured in these results: ", "这些结果中没有测："),
    "not measured": ("not measured", "未测"),
    "measure": ("measure", "指标"),
    "group calls": ("Calls", "通话"),
    "group telephone": ("General speech over the telephone", "通用语音（模拟电话）"),
    "group guard": ("General speech, wideband: the guard", "通用语音（宽带）：守护集"),
    "group hotwords": ("Calls, with hotwords in the prompt", "通话，提示词中带热词"),
    "group errors": ("What kind of errors, calls", "错误类型，通话"),
    "group silence": ("Silence", "静音"),
    "group controls": ("Controls, calls", "对照，通话"),
    "cer llm": ("CER, LLM", "CER（LLM）"),
    "cer ctc": ("CER, CTC", "CER（CTC）"),
    "difference llm": ("against the baseline, LLM", "与基线之差（LLM）"),
    "difference ctc": ("against the baseline, CTC", "与基线之差（CTC）"),
    "kwer": ("KWER, LLM", "KWER（LLM）"),
    "false alarms": ("keywords heard that nobody said", "误报的关键词"),
    "inside": ("CER inside keywords", "关键词内 CER"),
    "outside": ("CER outside keywords", "关键词外 CER"),
    "kwer hotwords": ("KWER, true words and others listed", "KWER，列表含真实词与其他词"),
    "cer hotwords": ("CER, the same list", "CER，同一列表"),
    "alarms distractors": ("listed words heard that nobody said", "列表中的词，没有说却被识别"),
    "kwer distractors": ("KWER, none of the listed words is said", "KWER，列表中的词都没有说"),
    "cer distractors": ("CER, none of the listed words is said", "CER，列表中的词都没有说"),
    "sub": ("substitutions", "替换"),
    "del": ("deletions", "删除"),
    "ins": ("insertions", "插入"),
    "empty": ("empty texts, %", "空文本，%"),
    "repeated": ("texts that repeat themselves, %", "自我重复的文本，%"),
    "cut": ("texts cut as runaway", "因失控被截断的文本"),
    "alarms llm": ("false alarms an hour, LLM", "每小时误报，LLM"),
    "alarms ctc": ("false alarms an hour, CTC", "每小时误报，CTC"),
    "other audio": ("CER on another utterance’s audio", "换成别的语音时的 CER"),
    "listening": ("CER points more with the texts of others, as long", "换成等长的其他文本，CER 高出的百分点"),
    "clean audio": ("CER after stage 1 on clean audio", "阶段 1 改用干净语音后的 CER"),
    "blind": ("KWER of a blind guess", "盲猜的 KWER"),
    "originals": ("CER of the original 8 kHz files, AutoModel", "原始 8 kHz 文件经 AutoModel 的 CER"),
    # curves
    "curves": ("Curves", "曲线"),
    "curves explained": (
        "Loss: training is the thin line, dev the bold one. CER is that of dev. Rest the pointer on a dot to read it.",
        "损失：细线是训练，粗线是开发集。CER 都是开发集的。指针停在点上可以看到数值。",
    ),
    "no curves": ("No training has written metrics yet.", "还没有训练写出指标。"),
    "curve loss": ("loss", "损失"),
    "curve cer": ("CER, %", "CER，%"),
    "curve lr": ("learning rate", "学习率"),
    "updates": ("updates", "更新次数"),
    "key train": ("train", "训练"),
    "key dev": ("dev", "开发集"),
    # sounds
    "sounds": ("Before and after the telephone", "电话前后"),
    "sounds explained": (
        "Utterances chosen by chance, the same ones each time, at most {seconds} seconds of each.",
        "随机选出的句子，每次都相同，每句最多 {seconds} 秒。",
    ),
    "no sounds": ("The recordings are no longer where the rows name them.", "录音已经不在数据所写的位置。"),
    "frames lost": ("frames lost: {count}", "丢失帧数：{count}"),
    "clean": ("Before the channel", "经过信道之前"),
    "telephone": ("After: as the model hears it", "之后：模型听到的样子"),
    "call file": ("A call, as it was recorded", "通话，原始录音"),
    "call row": ("The same at 16 kHz: as the model hears it", "升到 16 kHz：模型听到的样子"),
    # keywords
    "keywords": ("Keywords", "关键词"),
    "keywords explained": (
        "On the test calls, by the LLM. A hit is a keyword recognised whole. A click on a heading sorts.",
        "测试通话，LLM 结果。命中指关键词完整识别。点击表头可以排序。",
    ),
    "no keywords": ("No keywords were scored.", "没有对关键词评分。"),
    "keyword": ("keyword", "关键词"),
    "class": ("class", "类别"),
    "said": ("said", "出现"),
    "hits": ("hits", "命中"),
    "alarms": ("false alarms", "误报"),
    "kwer before": ("KWER before, %", "之前 KWER，%"),
    "kwer now": ("KWER now, %", "现在 KWER，%"),
    "kwer list": ("with a list, %", "带热词，%"),
    # confusions
    "confusions": ("What is confused", "混淆"),
    "confusions explained": (
        "The most frequent errors of {stage} on the test calls, by character, LLM.",
        "测试通话上最常见的字错误：{stage}，LLM。",
    ),
    "none": ("none", "无"),
    # worst
    "worst": ("Where it is still wrong", "还错在哪里"),
    "worst explained": (
        "The {count} test calls’ utterances with the most errors, {stage}, LLM. Above, what was said; below, what was written.",
        "测试通话中错误最多的 {count} 条，{stage}，LLM。上行是参考文本，下行是识别结果。",
    ),
    "errors of": ("{errors} errors in {ref} characters", "{ref} 字中 {errors} 处错误"),
    "baseline wrote": ("baseline: {text}", "基线：{text}"),
    "sound gone": ("the recording is no longer there", "录音已不在"),
    "sound cut": ("the first {seconds} s", "前 {seconds} 秒"),
    "no worst": ("No calls have been decoded.", "还没有解码过通话。"),
    "reference": ("said", "参考"),
    "written": ("written", "识别"),
    # buckets
    "buckets": ("By kind of speech", "分组结果"),
    "buckets explained": (
        "CER of the LLM, in percent. The pale bar is the baseline, the full one {stage}.",
        "LLM 的 CER（百分比）。浅色是基线，深色是{stage}。",
    ),
    "no buckets": ("These results have no scores by kind of speech.", "这些结果没有分组评分。"),
    "below": ("below {edge}", "低于 {edge}"),
    "and above": ("{edge} and more", "{edge} 及以上"),
    "no loss": ("none", "无"),
    "bucket duration": ("duration", "时长"),
    "bucket snr_db": ("SNR drawn, dB", "信噪比，dB"),
    "bucket loss_rate": ("frames lost, drawn", "丢帧率"),
    "bucket profile": ("call profile", "通话类型"),
    "bucket speaker": ("speaker", "说话人"),
    "utterances": ("utterances", "条数"),
    "speakers chosen": (
        "Worst and best of those with enough speech; among many partly luck. Without a pale bar: not among the baseline’s.",
        "语音足够多的说话人中最差和最好的；人数多时，极端值有运气成分。没有浅色条的不在基线的这些人里。",
    ),
    "and more": ("… and {count} more", "……另有 {count} 项"),
    # data
    "data": ("Data", "数据"),
    "no data": ("Stage 0 has left no figures here.", "这里没有阶段 0 的统计。"),
    "rows": ("rows", "数据集"),
    "hours": ("hours", "小时"),
    "characters": ("characters", "字数"),
    "speakers": ("speakers", "说话人"),
    "calls": ("calls", "通话"),
    "rejected": ("left out", "剔除"),
    "reason": ("reason", "原因"),
    "lines": ("lines", "行数"),
    "first": ("the first", "第一例"),
    "rejects": ("Left out, by reason", "剔除原因"),
    # setup
    "setup": ("How it was made", "如何得到"),
    "time": ("Time and devices", "时间与设备"),
    "step": ("stage", "阶段"),
    "finished": ("finished", "完成于"),
    "elapsed": ("begun to finished", "从开始到完成"),
    "training": ("training", "训练用时"),
    "devices": ("devices", "设备"),
    "gpu hours": ("GPU hours", "GPU 小时"),
    "memory": ("GB of memory", "内存，GB"),
    "speed": ("× real time", "× 实时"),
    "not recorded": ("not recorded", "未记录"),
    "not finished": ("not finished", "未完成"),
    "time explained": (
        "Training is the time of updates and of scoring on dev, over all runs. GPU hours are that times the number of GPUs.",
        "训练用时是更新与开发集评分的时间，多次续跑合计。GPU 小时是它乘以 GPU 数。",
    ),
    "gpu total": ("GPU hours in all: {hours}", "GPU 小时合计：{hours}"),
    "configuration": ("Configuration", "配置"),
    "given": ("given in the environment", "由环境变量给出"),
    "nothing given": ("nothing", "无"),
    "hands on": ("hands on", "交出"),
    "versions": ("versions", "版本"),
    "normaliser": ("normaliser", "文本归一化"),
    "settings of": ("Settings of {stage}", "设置：{stage}"),
    "fingerprints of": ("Fingerprints of {stage}", "指纹：{stage}"),
    "entry": ("entry", "项"),
    "value": ("value", "值"),
}

LANGUAGES = ("en", "zh")


def both(texts: Sequence[str], tag: str = "span", look: str = "", more: str = "") -> str:
    """HTML in both languages, of which the page shows one. `look` is a class, `more` further attributes."""
    pairs = zip(LANGUAGES, texts, strict=True)
    return "".join(f"<{tag} class='{f'{code} {look}'.strip()}' lang='{code}'{more}>{text}</{tag}>" for code, text in pairs)


def tr(key: str, tag: str = "span", look: str = "", more: str = "", **values: object) -> str:
    """What `key` says, in both languages. `values` are made safe; `stage` is a stage's name, and becomes its title."""
    texts = []
    for place, form in enumerate(WORDS[key]):
        shown = {name: WORDS[f"stage {value}"][place] if name == "stage" else safe(value) for name, value in values.items()}
        texts.append(safe(form).format(**shown).replace(" %", "&nbsp;%"))
    return both(texts, tag, look, more)


def note(key: str, **values: str | int) -> str:
    """A soft line under a heading, or in the place of what is not there."""
    return tr(key, tag="p", look="soft", more="", **values)
