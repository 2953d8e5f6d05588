"""When a text that does not end by itself is stopped, and what of it is kept. Pure functions over token ids.

An LLM that loses the thread goes round in a phrase until something stops it. What may stop it is what no mouth can do:

- No text is longer than its own sound could hold: 12 tokens a second, and 16 to spare. A token is a character or more;
  conversation runs at 4 to 6 characters a second, and hardly anybody keeps up 9.
- Nobody repeats for that long, that fast. The tongue repeats a syllable 6 to 7 times a second at most (oral
  diadochokinesis), so a phrase that stands 4 times or more in a row at the end of a text, over more tokens than fit
  into the whole sound at 8 a second, was not spoken. Below 32 tokens it may have been, however short the sound:
  对对对对, 哈哈哈哈, the eights of a telephone number (11 digits) or a card number (19).

A text that ends by itself before that is never touched, repeats and all: FunASR gives the same. A text that was stopped
at either bound loses the loop at its end, if there is one, but for its first round.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

TOKENS_A_SECOND, SPARE_TOKENS = 12, 16
LOOP_TOKENS_A_SECOND, LEAST_LOOP = 8, 32
ROUNDS = 4
LEAST_ROUND = 8  # units of a transcript
LOOK_EVERY = 8  # tokens: to look for a loop at each of them would cost more than it saves
LENGTH, LOOP = "length", "loop"  # why a text was cut


@dataclass
class Text:
    """A text as it grows, for so many `seconds` of sound: `open` until it ends by itself or is stopped, which `cut` says."""

    seconds: float
    tokens: list[int] = field(default_factory=list)
    open: bool = True
    cut: str = ""

    def add(self, token: int, ends: Collection[int]) -> None:
        """The next token, which may be one of those that end a text."""
        if token in ends:
            self.open = False
            return
        self.tokens.append(token)
        looks = len(self.tokens) % LOOK_EVERY == 0
        if len(self.tokens) >= limit(self.seconds) or (looks and is_lost(self.tokens, self.seconds)):
            self.open = False
            self._cut()

    def _cut(self) -> None:
        loop = loop_at_end(self.tokens)
        self.cut = LOOP if loop else LENGTH
        if loop:
            del self.tokens[sum(loop) :]


def limit(seconds: float) -> int:
    """The most tokens of a text for so much sound."""
    return SPARE_TOKENS + int(seconds * TOKENS_A_SECOND)


def loop_at_end(tokens: Sequence[int]) -> tuple[int, int] | None:
    """Where the loop at the end of a text begins, and the length of its phrase; None where there is no loop.

    Of all phrases that fill the end at least ROUNDS times (the last round may be cut short) the one that fills most of
    it, and of several the shortest.
    """
    loops = []
    for phrase in range(1, len(tokens) // ROUNDS + 1):
        begin = len(tokens) - phrase
        while begin > 0 and tokens[begin - 1] == tokens[begin - 1 + phrase]:
            begin -= 1
        if len(tokens) - begin >= ROUNDS * phrase:
            loops.append((begin, phrase))
    return min(loops, default=None)


def is_lost(tokens: Sequence[int], seconds: float) -> bool:
    """Whether a text has gone round for longer than its sound allows."""
    most = max(LEAST_LOOP, seconds * LOOP_TOKENS_A_SECOND)
    loop = loop_at_end(tokens) if len(tokens) > most else None
    return loop is not None and len(tokens) - loop[0] > most


def goes_round(units: Sequence[str]) -> bool:
    """Whether a text that has ended, of tokens or other units, says a phrase ROUNDS times or more in a row anywhere, over
    LEAST_ROUND units or more: 对对对对 is within reason."""
    for phrase in range(1, len(units) // ROUNDS + 1):
        needed = max(phrase * ROUNDS, LEAST_ROUND) - phrase
        again = 0  # units in a row that are what stood one phrase before
        for place in range(phrase, len(units)):
            again = again + 1 if units[place] == units[place - phrase] else 0
            if again == needed:
                return True
    return False
