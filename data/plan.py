"""What of a manifest is to be made, in a file: utterances and rejects by shard, and who could babble.

A corpus may have ten million lines, so none of them is held in memory: they stand in SQLite, of which every process
reads what it needs. A plan is written once, appears whole, and is never changed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from data.babble import talker_of
from data.components import Groups, halving, of_call
from data.corpora import Reject, Utterance
from data.files import whole_file
from data.reasons import Reasons

HASHES = 2**32  # of a call, else of a key: shards are ranges of them
AT_ONCE = 5000  # lines handed to SQLite together
ONLY_BABBLES = -1  # the part of an utterance that is not to be made, beyond a limit

_UTTERANCE = [field.name for field in fields(Utterance)]
_REJECT = [field.name for field in fields(Reject)]
_fields_of_utterance, _fields_of_reject = attrgetter(*_UTTERANCE), attrgetter(*_REJECT)
_SCHEMA = f"""
    CREATE TABLE utterance (id INTEGER PRIMARY KEY, part INTEGER, hash INTEGER, talker TEXT, "{'", "'.join(_UTTERANCE)}");
    CREATE TABLE reject (id INTEGER PRIMARY KEY, part INTEGER, hash INTEGER, "{'", "'.join(_REJECT)}");
    CREATE TABLE voice (place INTEGER PRIMARY KEY, id INTEGER);
    CREATE TABLE talker (rank INTEGER PRIMARY KEY, name TEXT, first INTEGER, count INTEGER);
    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT);
"""
_BY_SHARD = "CREATE INDEX utterance_shard ON utterance (part, hash); CREATE INDEX reject_shard ON reject (part, hash);"
# Sorted by name and key, so that draws do not depend on the order of the manifest.
_TALKERS = """
    INSERT INTO voice (id) SELECT id FROM utterance WHERE text != '' ORDER BY talker, key;
    INSERT INTO talker (name, first, count)
        SELECT talker, min(place), count(*) FROM voice JOIN utterance USING (id) GROUP BY talker ORDER BY talker;
    CREATE INDEX talker_name ON talker (name);
"""


@dataclass(frozen=True)
class Plan:
    """A plan in its file. `part` 0 is to be made here; 1 is the other half of a manifest that is divided."""

    path: Path
    part: int = 0
    columns = ", ".join(f'"{name}"' for name in _UTTERANCE)  # of the table `utterance`, as `as_utterance` wants them

    def other_half(self) -> Plan:
        return replace(self, part=1)

    def facts(self) -> dict[str, Any]:
        """What else was noted of the manifest."""
        return {name: json.loads(value) for name, value in self.ask("SELECT name, value FROM fact")}

    def utterances(self, first: int = 0, last: int = HASHES) -> Iterator[tuple[int, Utterance]]:
        """Number and utterance of those whose hash lies in first … last-1, in the order of the manifest."""
        rows = self.ask(f"SELECT id, {self.columns} FROM utterance WHERE part = ? AND hash >= ? AND hash < ? ORDER BY id",
                        self.part, first, last)  # fmt: skip
        return ((number, as_utterance(row)) for number, *row in rows)

    def rejects(self, first: int = 0, last: int = HASHES) -> Iterator[tuple[int, Reject]]:
        """The same of what cannot be used."""
        columns = ", ".join(f'"{name}"' for name in _REJECT)
        rows = self.ask(f"SELECT id, {columns} FROM reject WHERE part = ? AND hash >= ? AND hash < ? ORDER BY id",
                        self.part, first, last)  # fmt: skip
        return ((number, Reject(*row)) for number, *row in rows)

    def kept(self) -> int:
        """How many utterances are to be made."""
        return self.ask("SELECT count(*) FROM utterance WHERE part = ?", self.part).fetchone()[0]

    def rejected(self) -> int:
        """How many lines are rejected by their text."""
        return self.ask("SELECT count(*) FROM reject WHERE part = ?", self.part).fetchone()[0]

    def some(self, count: int) -> Iterator[Utterance]:
        """As many of the utterances that are to be made, those whose hashes are least."""
        rows = self.ask(f"SELECT {self.columns} FROM utterance WHERE part = ? ORDER BY hash, id LIMIT ?", self.part, count)
        return map(as_utterance, rows)

    def voices(self) -> Iterator[tuple]:
        """Who could babble, sorted by talker and key: key, talker, and where the sound lies."""
        columns = 'key, talker, audio, start, "end", channel'
        return iter(self.ask(f"SELECT {columns} FROM voice JOIN utterance USING (id) ORDER BY place"))

    def ask(self, question: str, *values: Any) -> sqlite3.Cursor:
        """Rows of the file as they are."""
        return self._connection.execute(question, values)

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        """Nobody writes: no lock is needed, on no file system."""
        return sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1", uri=True)

    def __reduce__(self) -> tuple:
        """Another process opens the file for itself."""
        return Plan, (self.path, self.part)


class Draft:
    """A plan that is being written: add every line, then divide or limit it, then finish."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.number = 0
        self.waiting: dict[str, list[tuple]] = {"utterance": [], "reject": []}
        self._run(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA} BEGIN")

    def add(self, item: Utterance | Reject) -> None:
        """The next line of the manifest."""
        self.number += 1
        known = (self.number, 0, hash_of(item))
        if isinstance(item, Reject):
            self._put("reject", (*known, *_fields_of_reject(item)))
        else:
            self._put("utterance", (*known, talker_of(item), *as_row(item)))

    def _put(self, table: str, row: tuple) -> None:
        rows = self.waiting[table]
        rows.append(row)
        if len(rows) == AT_ONCE:
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows = self.waiting[table]
        if rows:
            self.connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
            rows.clear()

    def flush(self) -> None:
        for table in self.waiting:
            self._flush(table)

    def texts(self) -> Iterator[tuple[int, Utterance]]:
        """All utterances so far; they may be rejected meanwhile."""
        self.flush()
        rows = self.connection.execute(f"SELECT id, {Plan.columns} FROM utterance ORDER BY id")
        return ((number, as_utterance(row)) for number, *row in rows)

    def reject(self, number: int, why: Reject) -> None:
        """Make a reject of an utterance that was added before."""
        self.connection.execute("DELETE FROM utterance WHERE id = ?", (number,))
        self._put("reject", (number, 0, hash_of(why), *_fields_of_reject(why)))

    def find_talkers(self) -> None:
        """Who could babble: all that were added so far."""
        self.flush()
        self._run(_TALKERS)

    def limit(self, count: int) -> None:
        """Only the first `count` utterances of a part are to be made, and only rejects in front of the last of them count."""
        self.flush()
        for part in (0, 1):
            nth = "SELECT id FROM utterance WHERE part = ? ORDER BY id LIMIT 1 OFFSET ?"
            last = self.connection.execute(nth, (part, count - 1)).fetchone()
            for table in ("utterance", "reject") if last else ():
                self.connection.execute(f"UPDATE {table} SET part = {ONLY_BABBLES} WHERE part = ? AND id > ?", (part, *last))

    def halve(self) -> str:
        """Divide into two parts so that no call and, where that can be, no speaker is in both. What had to be said of it."""
        self.flush()
        pairs = self.connection.execute("SELECT DISTINCT call, speaker FROM utterance")
        for group, note in ((Groups(pairs).of, ""), (of_call, "speakers join all calls: some speak in both halves")):
            self.connection.create_function("together", 4, group)
            names = self.connection.execute("SELECT DISTINCT together(call, speaker, key, line) FROM utterance")
            if half := halving(name for (name,) in names):
                self.connection.create_function("half", 1, half)
                self.connection.execute("UPDATE utterance SET part = half(together(call, speaker, key, line))")
                self.connection.execute("UPDATE reject SET part = half(together(call, NULL, key, line))")
                return note
        return ""

    def finish(self, facts: dict[str, Any]) -> None:
        self.flush()
        rows = [(name, json.dumps(value, ensure_ascii=False)) for name, value in facts.items()]
        self.connection.executemany("INSERT INTO fact VALUES (?, ?)", rows)
        self._run(f"{_BY_SHARD} COMMIT")

    def _run(self, statements: str) -> None:
        """One by one: `executescript` would end the transaction that makes this fast."""
        for statement in statements.split(";"):
            self.connection.execute(statement)

    def reasons(self) -> Reasons:
        """Why lines are rejected, so far."""
        self.flush()
        return Reasons(self.connection.execute("SELECT reason, value FROM reject ORDER BY id"))

    def count(self, table: str) -> int:
        self.flush()
        return self.connection.execute(f"SELECT count(*) FROM {table} WHERE part != {ONLY_BABBLES}").fetchone()[0]

    def first_reject(self) -> str | None:
        """What is wrong with the first line that is rejected."""
        self.flush()
        return next((detail for (detail,) in self.connection.execute("SELECT detail FROM reject ORDER BY id LIMIT 1")), None)


@contextmanager
def drafting(path: Path) -> Iterator[Draft]:
    """A draft that takes its place at `path` when the block has finished it."""
    with whole_file(path, flushed=False) as temporary, closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
        yield Draft(connection)


def hash_of(item: Utterance | Reject) -> int:
    """A call lies in one shard, whole; what has no call goes by its key, what has neither by its line."""
    name = item.call or item.key or str(item.line)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[1:5], "big")


def as_row(utterance: Utterance) -> tuple:
    """An utterance as SQLite takes it."""
    key, audio, *others = _fields_of_utterance(utterance)
    return (key, str(audio), *others)


def as_utterance(row: Iterable[Any]) -> Utterance:
    key, audio, *others = row
    return Utterance(key, Path(audio), *others)
