"""README.md and README_zh.md: the shell blocks below a `<!-- run -->` are the same in both, and do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from recipe_copy import TOP, copy_recipe, environment

READMES = ("README.md", "README_zh.md")
MARKED = re.compile(r"^(?P<in> *)<!-- run -->\n(?P=in)```(?:bash|sh)\n(?P<code>.*?)^(?P=in)```$", re.DOTALL | re.MULTILINE)


def marked_blocks(text: str) -> list[str]:
    """The code of the marked blocks, in order."""
    return [textwrap.dedent(found["code"]) for found in MARKED.finditer(text)]


def without_comments(block: str) -> list[str]:
    """The commands of a block: its comments are for readers of one language."""
    lines = (re.sub(r"(^|\s+)#.*", "", line).rstrip() for line in block.splitlines())
    return [line for line in lines if line]


def run_block(block: str, top: Path) -> subprocess.CompletedProcess[str]:
    """As a user who pastes it, in whose environment `python` is the one that the recipe was installed for."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", block]
    return subprocess.run(command, cwd=top, env=environment(PATH=path), capture_output=True, text=True, timeout=1800)


def test_blocks_are_found_in_lists_too_and_others_are_not() -> None:
    text = "<!-- run -->\n```bash\na\n```\n```bash\nb\n```\n1. c\n\n   <!-- run -->\n   ```bash\n   d \\\n     e\n   ```\n"
    assert marked_blocks(text) == ["a\n", "d \\\n  e\n"]
    assert without_comments("# what\na#b c   # why\n\nd\n") == ["a#b c", "d"]


def test_both_files_have_the_same_marked_blocks() -> None:
    texts = [(TOP / name).read_text(encoding="utf-8") for name in READMES]
    one, other = ([without_comments(block) for block in marked_blocks(text)] for text in texts)
    assert one and one == other
    assert [text.count("<!-- run -->") for text in texts] == [len(one)] * 2, "a mark must stand right above its block"


@pytest.mark.slow
def test_the_marked_blocks_run_in_order(tmp_path: Path) -> None:
    top = copy_recipe(tmp_path)
    for block in marked_blocks((TOP / READMES[0]).read_text(encoding="utf-8")):
        done = run_block(block, top)
        assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
