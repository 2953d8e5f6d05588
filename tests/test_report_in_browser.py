"""The report is opened in a browser: no error, nothing asked for, sounds that play, both languages, on a phone too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from browser import browse, examine, needs_chromium
from report_tree import make_tree

from local.report import page as report
from local.tree import load


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = load(make_tree(tmp_path_factory.mktemp("report") / "out"))
    report.write_page(tree)
    return tree.page


LOOK = """() => {
  const root = document.documentElement, first = root.lang, seen = {};
  const visible = look => [...document.querySelectorAll("." + look)].filter(part => part.getClientRects().length).length;
  for (const lang of ["en", "zh"]) {
    root.lang = lang;
    document.querySelectorAll("details").forEach(part => part.open = true);
    seen[lang] = {en: visible("en"), zh: visible("zh"), width: root.scrollWidth};
  }
  const colour = () => getComputedStyle(document.body).backgroundColor, colours = [colour()];
  document.getElementById("theme").click(); colours.push(colour());
  document.getElementById("theme").click(); colours.push(colour());
  const table = document.querySelector(".sortable"), button = table.tHead.rows[0].cells[2].querySelector("button");
  const column = () => [...table.tBodies[0].rows].map(row => row.cells[2].innerText), columns = [column()];
  button.click(); columns.push(column());
  button.click(); columns.push(column());
  document.getElementById("language").click();
  const unnamed = document.querySelectorAll("svg:not([aria-labelledby])").length;
  return {first, seen, colours, columns, address: location.hash, unnamed};
}"""


@needs_chromium
def test_the_page_works_in_a_browser_without_an_error_or_a_request(page):
    done = browse(page, "--enable-logging=stderr")
    assert "CONSOLE" not in done.stderr, done.stderr  # a script or request that the page's policy refuses would stand there
    assert "<div class=\"buttons\">" in done.stdout, "its own script has run"

    found = examine(page, LOOK, "#zh-dark")
    assert found["wrong"] == [] and found["asked"] == []
    assert len(found["durations"]) == page.read_text(encoding="utf-8").count("<audio") == 10
    assert all(isinstance(seconds, (int, float)) and 1 < seconds < 2 for seconds in found["durations"])
    assert min(found["pictures"]) > 100
    assert found["width"][1] <= found["width"][0] == 390  # nothing sticks out of a telephone


@needs_chromium
def test_languages_themes_and_sorting(page):
    looked = examine(page, LOOK, "#zh-dark")["more"]
    assert looked["first"] == "zh"
    english, chinese = looked["seen"]["en"], looked["seen"]["zh"]
    assert english["zh"] == chinese["en"] == 0 and english["en"] == chinese["zh"] > 200
    assert english["width"] <= 390 and chinese["width"] <= 390
    dark, light, again = looked["colours"]
    assert dark == again == "rgb(21, 22, 26)" and light == "rgb(250, 249, 247)"
    before, down, up = (list(map(int, column)) for column in looked["columns"])
    assert down == sorted(before, reverse=True) and up == sorted(before) and len(set(before)) > 1
    assert looked["address"] == "#en-dark" and looked["unnamed"] == 0


@needs_chromium
def test_a_page_of_little_opens_too(tmp_path):
    root = make_tree(tmp_path / "out", ("baseline",), old=True)
    shutil.rmtree(root / "data")
    page = root / "exp" / "8k_telephone" / "report.html"
    report.write_page(load(root))
    done = browse(page, "--enable-logging=stderr")
    assert "CONSOLE" not in done.stderr, done.stderr
    assert json.dumps("Baseline to stage 3")[1:-1] in done.stdout
