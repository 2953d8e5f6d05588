"""The talkers of a plan: a pool of any size, looked up in the plan's file instead of being held."""

from __future__ import annotations

from data.babble import TalkerPool
from data.corpora import Utterance
from data.plan import Plan, as_utterance


class PlannedTalkers(TalkerPool):
    """Draws what a `TalkerPool` of the same utterances draws."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count = plan.ask("SELECT count(*) FROM talker").fetchone()[0]

    def knows(self, talker: str) -> bool:
        return self.plan.ask("SELECT 1 FROM talker WHERE name = ?", talker).fetchone() is not None

    def name(self, rank: int) -> str:
        return self.plan.ask("SELECT name FROM talker WHERE rank = ?", rank + 1).fetchone()[0]

    def says(self, talker: str) -> int:
        return self.plan.ask("SELECT count FROM talker WHERE name = ?", talker).fetchone()[0]

    def utterance(self, talker: str, number: int) -> Utterance:
        place = "SELECT first + ? FROM talker WHERE name = ?"
        question = f"SELECT {self.plan.columns} FROM utterance JOIN voice USING (id) WHERE place = ({place})"
        return as_utterance(self.plan.ask(question, number, talker).fetchone())
