"""Pages in a real browser, without a window: what it complains of, what loads, how wide it gets."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (Debian: apt-get install chromium)")

TESTER = """
<script>
const wrong = [];
addEventListener("error", event => wrong.push("error " + (event.message || event.target.outerHTML.slice(0, 99))), true);
addEventListener("securitypolicyviolation", event => wrong.push("refused " + event.blockedURI.slice(0, 99)));
addEventListener("load", () => {
  const sounds = [...document.querySelectorAll("audio")];
  const tell = () => {
    if (sounds.some(sound => !sound.error && !(sound.duration > 0))) return setTimeout(tell, 20);
    parent.postMessage(JSON.stringify({
      wrong, durations: sounds.map(sound => sound.error ? sound.error.message : sound.duration),
      pictures: [...document.images].map(image => image.naturalWidth),
      asked: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
      width: [innerWidth, document.documentElement.scrollWidth],
      more: (MORE)(),
    }), "*");
  };
  tell();
});
</script>
"""
FRAME = """<title>-</title><iframe src="{name}" style="width:390px;height:800px;border:0"></iframe>
<script>addEventListener("message", event => document.title = event.data)</script>"""


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The page's DOM after its scripts have run (stdout), and what the browser has to say (stderr)."""
    fixed = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [str(CHROMIUM), *fixed, profile, "--virtual-time-budget=20000", *options, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def examine(page: Path, more: str = "() => null", address: str = "") -> dict[str, Any]:
    """What loads and what goes wrong in a frame as wide as a telephone; `more`, a function of JavaScript, looks further.

    The page's own policy would refuse the examining script too, so that a copy is examined, whose policy lets scripts run.
    """
    content = page.read_text(encoding="utf-8")
    policy = re.search(r'content="(default-src [^"]*)"', content)[1]
    open_ = re.sub(r"; script-src [^;]*", "", policy) + "; script-src 'unsafe-inline'"
    content = content.replace(policy, open_, 1).replace("<title>", TESTER.replace("MORE", more) + "<title>", 1)
    page.with_name("tested.html").write_text(content, encoding="utf-8")
    page.with_name("frame.html").write_text(FRAME.format(name=f"tested.html{address}"), encoding="utf-8")
    title = re.search(r"<title>(.*?)</title>", browse(page.with_name("frame.html")).stdout, re.DOTALL)
    return json.loads(html.unescape(title[1]))
