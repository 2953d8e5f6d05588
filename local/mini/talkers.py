"""Who speaks in the built-in experiment: a list fixed before any test set was decoded.

A talker is one of espeak-ng's voice variants with a pitch, a rate and a pitch range of its own. Variants are disjoint
between the groups below, so a talker of a test set differs in timbre, and not only in pitch, from all that were trained on.
Left out are whispering, robot and near-unintelligible variants (Alicia, Andrea, Marco, travis, the robosoft and klatt
families …): they would measure the synthesiser and not the recogniser. So would f3 and
f5, which sound a little different in every process.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass

VARIANTS: dict[str, tuple[str, ...]] = {
    "general_train": (
        "Alex", "Andy", "Annie", "Denis", "Gene", "Henrique", "Hugo", "Mike", "Mr serious", "Nguyen", "Reed", "adam", "antonio",
        "aunty", "belinda", "benjamin", "boris", "david", "ed", "edward", "f1", "f4", "grandpa", "ian", "iven3", "john", "m1",
        "m3", "m4", "m6", "m8", "max", "miguel", "norbert", "pablo", "pedro", "rob", "steph", "zac",
    ),
    "base_only": ("f2", "sandro", "victor"),  # differ from process to process too: only for the base, which hears nothing twice
    "general_dev": ("Gene2", "edward2", "m7"),
    "general_test": ("Lee", "Michael", "caleb", "m5", "steph2"),
    "calls_train": (
        "Diogo", "Mario", "anika", "gustave", "iven4", "linda", "michel", "mike2", "quincy", "robert", "steph3", "marcelo",
    ),
    "calls_dev": ("announcer", "grandma", "m2", "shelby"),
    "calls_test": ("Jacky", "iven2", "kaukovalta", "paul", "fast"),
}
VOICES_A_VARIANT = 5


@dataclass(frozen=True)
class Talker:
    """`rate` in words a minute, `pitch` and `range` in espeak-ng's 0–99."""

    variant: str
    pitch: int
    rate: int
    range: int

    @property
    def name(self) -> str:
        return f"{self.variant.replace(' ', '_')}_p{self.pitch}_r{self.rate}"


def _voice(variant: str, number: int) -> Talker:
    draw = hashlib.sha256(f"{variant}/{number}".encode()).digest()
    return Talker(variant, pitch=30 + draw[0] % 41, rate=135 + draw[1] % 51, range=40 + draw[2] % 31)


def talkers(group: str) -> list[Talker]:
    """The talkers of one group of `VARIANTS`, always the same ones in the same order."""
    return [_voice(variant, number) for variant in VARIANTS[group] for number in range(VOICES_A_VARIANT)]
