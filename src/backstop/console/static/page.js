// What every page has: keys, themes, and parts that are fetched anew when something happened.
import { announce, follow, pill } from "./stream.js";

const root = document.documentElement;
const keys = document.getElementById("keys");

function toggleTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `backstop_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Strict`;
  dispatchEvent(new Event("themechange"));
}

function button(selector, act) {
  const found = document.querySelector(selector);
  if (!found) return;
  found.hidden = false;
  found.addEventListener("click", act);
}
button("[data-theme-toggle]", toggleTheme);
button("[data-keys]", () => keys.showModal());

let going = 0; // when `g` was pressed

function typing(target) {
  return target.closest?.("input, textarea, select, [contenteditable]");
}

function rows() {
  return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const chosen = all.findIndex((row) => row.getAttribute("aria-selected") === "true");
  const next = Math.min(all.length - 1, Math.max(0, chosen + by));
  all.forEach((row, place) => (place === next ? row.setAttribute("aria-selected", "true") : row.removeAttribute("aria-selected")));
  all[next].scrollIntoView({ block: "nearest" });
}

function openRow() {
  document.querySelector('[data-row][aria-selected="true"] a')?.click();
}

function focus(name) {
  document.querySelector(`[data-focus="${name}"]`)?.focus(); // focus, never fire: a decision is pressed by hand
}

const PLAIN = {
  "?": () => keys.showModal(),
  "/": () => focus("filter"),
  j: () => step(1),
  k: () => step(-1),
  Enter: openRow,
  a: () => focus("approve"),
  r: () => focus("reject"),
  "[": () => document.querySelector('a[rel="prev"]')?.click(),
  "]": () => document.querySelector('a[rel="next"]')?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || keys.open) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  const gone = Date.now() - going < 1500 && document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
  going = event.key === "g" ? Date.now() : 0;
  const act = gone ? () => gone.click() : PLAIN[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** Puts those parts of a page in place that have changed. One in which somebody types stays as it is. */
async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.isEqualNode(part) || (busy(part) && other.dataset.part === part.dataset.part)) continue;
    keepOpen(part, other);
    part.replaceWith(document.adoptNode(other));
    if (other.dataset.said) announce(other.dataset.said);
  }
  countdown();
}

function busy(part) {
  return part.contains(document.activeElement) || [...part.querySelectorAll("textarea, input")].some((field) => field.value !== field.defaultValue);
}

function keepOpen(part, other) {
  for (const details of part.querySelectorAll("details[id]")) {
    const same = other.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = details.open;
  }
}

/** Counts down to `data-until`, in the machine's own time from when the server said how long it was. */
let ticking = 0;
function countdown() {
  clearInterval(ticking);
  const shown = document.querySelectorAll("[data-seconds]");
  if (!shown.length) return;
  const began = performance.now();
  const tick = () => {
    for (const one of shown) {
      const left = Math.max(0, Math.round(Number(one.dataset.seconds) - (performance.now() - began) / 1000));
      one.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    }
  };
  tick();
  ticking = setInterval(tick, 1000);
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (!copy) return;
  await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
  copy.textContent = "Copied";
  announce("Copied");
});

/** Opens whatever the address's anchor lies in, and shows buttons that need scripts. */
function reveal() {
  const named = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = named; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  if (named) named.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", reveal);
reveal();
root.classList.add("scripts");

let pending = false;
let once = false;
async function fetchAnew() {
  if (pending) {
    once = true; // once more when this one is there, however often it was asked meanwhile
    return;
  }
  pending = true;
  try {
    await refresh();
  } catch {
    // the stream's own state says that the server is away
  } finally {
    pending = false;
    if (once) {
      once = false;
      fetchAnew();
    }
  }
}
addEventListener("partschange", fetchAnew); // what a page's own script noticed
if (document.body.dataset.stream) {
  follow(document.body.dataset.stream, { heard: fetchAnew, state: pill, after: Number(document.body.dataset.after || 0) });
}
countdown();
