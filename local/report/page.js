
"use strict";
// Language and theme stand in the address (#zh-dark), so that a copied link shows the same page.
const root = document.documentElement;
const asked = location.hash.match(/^#(en|zh)(?:-(light|dark))?$/) || [];
let theme = asked[2] || "";
root.lang = asked[1] || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

function showTheme() {  // the dark colours stand in a rule for screens that prefer them
  const rule = [...document.styleSheets[0].cssRules].find(rule => rule.media && /color-scheme|^screen$|^not all$/.test(rule.media.mediaText));
  if (theme) rule.media.mediaText = theme === "dark" ? "screen" : "not all";
  root.style.colorScheme = theme || "";
}

function remember() {
  history.replaceState(null, "", "#" + root.lang + (theme ? "-" + theme : ""));
}

function isDark() {
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function figure(cell) {  // a number, or the words of a cell
  const text = cell.textContent.replaceAll(",", "").trim();
  return text === "–" || text === "n/a" ? -1 : text !== "" && isFinite(text) ? Number(text) : text;
}

function sort(heading) {
  const table = heading.closest("table"), place = heading.cellIndex, body = table.tBodies[0];
  const up = heading.getAttribute("aria-sort") === "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "zh");
  const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(figure(a.cells[place]), figure(b.cells[place])));
  body.append(...rows);
}

showTheme();
addEventListener("DOMContentLoaded", () => {
  document.querySelector(".buttons").hidden = false;
  document.getElementById("language").onclick = () => { root.lang = root.lang === "zh" ? "en" : "zh"; remember(); };
  document.getElementById("theme").onclick = () => { theme = isDark() ? "light" : "dark"; showTheme(); remember(); };
  for (const heading of document.querySelectorAll(".sortable th")) {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    button.onclick = () => sort(heading);
    heading.append(button);
  }
  for (const link of document.querySelectorAll("nav a")) {  // the address goes on saying language and theme
    link.onclick = event => { event.preventDefault(); document.querySelector(link.hash).scrollIntoView(); };
  }
  document.addEventListener("play", event => {  // one sound at a time
    for (const sound of document.querySelectorAll("audio")) if (sound !== event.target) sound.pause();
  }, true);
});
