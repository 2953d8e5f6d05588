"""Sentences of the built-in experiment: slot grammars of daily life, in several manners, and one of a contact centre.

The calls' business keywords are words that the general grammar lacks although it has all their characters: a frozen embedding
cannot learn a new character, but LoRA can learn a new word. A sentence belongs to one split by its hash, so that train, dev
and test never share a sentence, however many are drawn.
"""
from __future__ import annotations

import hashlib
import random
import re

KEYWORDS: tuple[str, ...] = (
    "套餐", "流量", "话费", "宽带", "余额", "账单", "积分", "退款", "人工", "欠费", "停机", "副卡",
    "会员", "发票", "合约", "漫游", "充值", "密码", "专线", "来电显示", "移机", "销户", "实名", "过户",
)

_GENERAL: dict[str, tuple[str, ...]] = {
    "sentence": (
        "{please}把{room}的{device}{switch}", "{room}的{device}{switch}了吗", "{day}{city}的天气{how}", "{day}{city}会{weather}吗",
        "{please}订{day}{period}从{city}到{city}的{ticket}", "{day}{period}{number}点提醒我{event}", "{please}播放{name}的{song}",
        "给{name}打电话说{day}{event}", "{name}的电话是{digits}", "门牌是{digits}", "{please}买{number}{measure}{goods}",
        "{thing}和{thing}在{place}吗", "{name}{day}去{place}{event}", "我想要{adjective}的{thing}", "{place}的{thing}{how}",
        "{thing}不{adjective}但是{thing}很{adjective}", "{thing}{thing}{thing}", "{name}说{thing}是{adjective}的", "{time}以后{event}",
        "{question}{thing}", "{question}{event}", "{name}和{name}{event}", "{digits}", "{thing}{digits}元", "{please}找{adjective}的{thing}",
    ),
    "please": ("请", "请你", "帮我", "请帮我", "麻烦你", "你能", "现在", "我想"),
    "switch": ("打开", "关上", "调高", "调低", "检查一下"),
    "room": ("客厅", "卧室", "厨房", "书房", "阳台", "浴室", "车库", "门口"),
    "device": ("空调", "电灯", "风扇", "窗帘", "电视", "音响", "暖气", "洗衣机", "冰箱", "显示器"),
    "day": ("今天", "明天", "后天", "昨天", "周一", "周二", "周五", "周日", "下周", "这个月"),
    "period": ("早上", "上午", "中午", "下午", "晚上", "半夜"),
    "city": ("北京", "上海", "广州", "成都", "南京", "武汉", "西安", "重庆", "天津", "苏州"),
    "how": ("怎么样", "好不好", "是什么", "多少钱", "行不行"),
    "weather": ("下雨", "下雪", "刮风", "变冷", "转晴", "起雾"),
    "ticket": ("火车票", "机票", "船票", "门票"),
    "number": ("一", "两", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"),
    "event": ("开会", "吃药", "跑步", "上课", "接孩子", "做饭", "看电影", "游泳", "回家", "过生日", "移动桌子", "销售衣服", "分东西", "退出房间",
              "停车", "登山", "值班", "发信息", "约朋友", "查字典", "实习", "办手续", "取消活动", "申请签证"),
    "name": ("小{given}", "{family}{given}{given}", "{family}{given}", "老{family}"),
    "family": ("王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴"),
    "given": ("明", "红", "伟", "芳", "军", "丽", "强", "梅", "文", "春", "海", "云", "平", "华", "名", "金", "玉", "龙"),
    "song": ("老歌", "民歌", "新歌", "音乐", "故事", "广播"),
    "measure": ("斤", "个", "箱", "袋", "盒"),
    "goods": ("苹果", "香蕉", "西瓜", "牛奶", "面包", "鸡蛋", "大米", "白菜"),
    "thing": ("外套", "早餐", "河流", "音量", "笑话", "学费", "腰带", "宽度", "业余", "额头", "账本", "菜单", "面积", "分数", "后退", "新款", "工人",
              "手工", "欠条", "停车场", "手机", "副作用", "卡片", "社会", "成员", "头发", "钞票", "合作", "大约", "浪漫", "旅游", "充电器", "价值", "秘密",
              "号码", "专家", "直线", "来信", "来宾", "闪电", "明显", "示范", "移民", "飞机", "推销", "窗户", "果实", "姓名", "过去", "门户",
              "办公室", "理由", "开关", "通道", "问题", "查询", "服务", "员工", "情况", "客人", "消息", "变化", "扣子", "网球", "络子", "质量", "信号",
              "速度", "地址", "时间", "原因", "结果", "方法", "上限", "月亮", "优点", "惠州", "为人", "提前", "绑带", "定期", "开始", "升旗", "级别",
              "投篮", "诉说", "帮手", "更新", "对面", "业务员", "资料", "修理", "报纸", "故障", "到达", "没事", "已经", "还是", "能力", "用户", "能不能", "可以", "需要",
              "续集", "交通", "缴纳", "元旦", "收入", "据说", "单独", "短发", "接口", "听力", "转弯", "语言", "密度", "谢谢", "您好", "再见"),
    "place": ("学校", "医院", "公园", "车站", "商店", "银行", "图书馆", "饭店", "路口", "楼上", "楼下", "村里"),
    "adjective": ("便宜", "漂亮", "安静", "干净", "新鲜", "热闹", "简单", "重要", "聪明", "奇怪", "特别", "轻松"),
    "time": ("{number}分钟", "{number}个小时", "{number}天", "{number}年"),
    "question": ("为什么", "怎么", "什么时候", "谁在", "哪里有", "是不是", "有没有", "我要"),
    "digits": ("{digit}{digit}{digit}", "{digit}{digit}{digit}{digit}", "{digit}{digit}{digit}{digit}{digit}"),
    "digit": ("零", "一", "二", "三", "四", "五", "六", "七", "八", "九"),
}

_CALLS: dict[str, tuple[str, ...]] = {
    "sentence": (
        "{hello}我想{do}{keyword}", "{hello}我的{keyword}{trouble}", "{please}{do}一下{keyword}", "{keyword}和{keyword}{ask}",
        "为什么我的{keyword}{trouble}", "{hello}{keyword}{ask}", "{keyword}什么时候可以{do}", "{month}的{keyword}{trouble}",
        "我要{do}{keyword}号码是{digits}", "您的{keyword}已经{done}了", "{please}把{keyword}{done}", "{keyword}{done}以后{keyword}{trouble}",
        "我的号码是{digits}", "{hello}请问需要{do}什么业务", "没有{done}{keyword}", "谢谢再见",
    ),
    "hello": ("您好", "你好", "请问", "麻烦问一下", ""),
    "please": ("请帮我", "麻烦您", "能不能", "可以"),
    "do": ("查询", "办理", "取消", "变更", "申请", "开通", "续交", "升级"),
    "done": ("开通", "取消", "到账", "变更", "停用", "办好"),
    "trouble": ("有问题", "不对", "用不了", "没到", "变少了", "多扣了{number}元", "还没有开通", "怎么没有了"),
    "ask": ("怎么办理", "多少钱", "怎么收费", "怎么查", "能不能取消", "还有多少"),
    "month": ("这个月", "上个月", "{number}月"),
    "keyword": KEYWORDS,
    "number": _GENERAL["number"],
    "digits": _GENERAL["digits"],
    "digit": _GENERAL["digit"],
}

_SLOT = re.compile(r"\{(\w+)\}")
_SPLITS = ("train",) * 8 + ("dev", "test")


def split_of(sentence: str) -> str:
    """train, dev or test, by the sentence alone."""
    return _SPLITS[hashlib.sha256(sentence.encode()).digest()[0] % len(_SPLITS)]


def _expand(grammar: dict[str, tuple[str, ...]], slot: str, rng: random.Random) -> str:
    return _SLOT.sub(lambda match: _expand(grammar, match[1], rng), rng.choice(grammar[slot]))


def sentence(domain: str, split: str, rng: random.Random) -> str:
    """A random sentence of `domain` (a name of GRAMMARS) that belongs to `split`."""
    while True:
        drawn = _expand(GRAMMARS[domain], "sentence", rng)
        chance_keyword = domain != "calls" and any(word in drawn for word in KEYWORDS)  # where two words meet
        if split_of(drawn) == split and not chance_keyword:
            return drawn


def _characters(grammar: dict[str, tuple[str, ...]]) -> set[str]:
    return {character for options in grammar.values() for option in options for character in _SLOT.sub("", option)}


# Daily life with made-up words of its own characters in it: who hears these must listen, for no word can be guessed.
_MADE_UP = ("{character}{character}", "{character}{character}", "{character}{character}{character}")
_DRILLS = _GENERAL | {
    "sentence": _GENERAL["sentence"] + 8 * ("{thing}{thing}", "{thing}{thing}{thing}"),
    "character": tuple(sorted(_characters(_GENERAL))),
    **dict.fromkeys(("thing", "event", "place", "goods", "adjective", "device"), _MADE_UP),
}
# Its words, made-up ones and single characters in any order: who hears these must not expect a sentence either.
_SCRAMBLED = _DRILLS | {
    "sentence": tuple(count * "{piece}" for count in range(2, 8)),
    "piece": ("{known}", "{known}", "{please}", "{switch}", "{day}", "{how}", "{question}", "{number}", "{measure}", "{digits}", "{name}",
              "{place}", "{character}", "{character}", *"的了吗和把在不很会说是给有多我你没一到元点"),
    "known": (*_GENERAL["thing"], *_GENERAL["event"], *_GENERAL["adjective"]),
}  # fmt: skip
# How people ask at a counter or on the telephone, about things of daily life: the manner of the calls without their business.
_ENQUIRIES = _GENERAL | {
    "sentence": (
        "{hello}我想订{day}的{ticket}", "{hello}我要{do}{matter}", "{hello}我的{matter}{trouble}", "{hello}{matter}{ask}",
        "请帮我{do}{day}的{ticket}", "请帮我{do}一下{matter}", "能不能把{matter}移动到{place}", "可以{do}{matter}吗", "为什么{matter}{trouble}",
        "{matter}和{matter}{ask}", "{day}的{ticket}{ask}", "{day}{do}的{matter}{trouble}", "您的{matter}已经{arrived}了",
        "{place}的{matter}什么时候可以{do}", "没有收到{matter}", "{do}{matter}以后{trouble}", "我要找{place}的{name}号码是{digits}",
        "我是{name}号码是{digits}", "{matter}还要{time}", "谢谢{name}再见", "{hello}去{place}要{time}吗", "{day}还有没有{ticket}",
    ),
    "hello": ("您好", "你好", "请问", "麻烦您", "您好请问", ""),
    "matter": ("{thing}", "{thing}", "{thing}", "{device}", "{goods}", "{ticket}", "{room}的{device}", "{event}"),
    "do": ("查询", "办理", "取消", "申请", "更新", "修理", "检查", "提前"),
    "trouble": ("有问题", "不对", "用不了", "还没有到", "变少了", "怎么没有了", "出故障了", "多了{number}{measure}"),
    "arrived": ("到", "取消", "更新", "到{place}", "检查好"),
    "ask": ("怎么办", "多少钱", "怎么收费", "怎么查询", "能不能取消", "还有多少", "可以修理吗"),
}
DOMAINS = {"general": _GENERAL, "calls": _CALLS}
GRAMMARS = DOMAINS | {"enquiries": _ENQUIRIES, "drills": _DRILLS, "scrambled": _SCRAMBLED}


def characters(domain: str) -> set[str]:
    """All characters that a grammar can write."""
    return _characters(GRAMMARS[domain])
