// What every page has: keys, themes, and parts that are fetched anew when something happened.
import { announce, follow, pill } from "./stream.js";

const root = document.documentElement;
const keys = document.getElementById("keys");
const find = (selector) => document.querySelector(selector);

function toggleTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `backstop_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Strict`;
  dispatchEvent(new Event("themechange"));
}

let going = 0; // when `g` was pressed

function step(by) {
  const all = [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  if (!all.length) return;
  const chosen = all.findIndex((row) => row.ariaSelected === "true");
  const next = Math.min(all.length - 1, Math.max(0, chosen + by));
  if (chosen >= 0) all[chosen].ariaSelected = null;
  all[next].ariaSelected = "true";
  all[next].scrollIntoView({ block: "nearest" });
}

const focus = (name) => find(`[data-focus="${name}"]`)?.focus(); // focus, never fire: a decision is pressed by hand

/** What a key does; a page's own script adds its own. */
export const KEYS = {
  "?": () => keys.showModal(),
  "/": () => focus("filter"),
  j: () => step(1),
  k: () => step(-1),
  Enter: () => find('[data-row][aria-selected="true"] a')?.click(),
  a: () => focus("approve"),
  r: () => focus("reject"),
  "[": () => find('a[rel="prev"]')?.click(),
  "]": () => find('a[rel="next"]')?.click(),
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open || target.closest("input, textarea, select")) return;
  if ((key === "Enter" || key === " ") && target.closest("a, button, summary")) return;
  const gone = Date.now() - going < 1500 && find(`[data-go="${CSS.escape(key)}"]`);
  going = key === "g" ? Date.now() : 0;
  const act = gone ? () => gone.click() : KEYS[key];
  if (!act) return;
  event.preventDefault();
  act();
});

/** Puts those parts of a page in place that have changed. One in which somebody types stays as it is. */
async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) throw new Error(answer.status);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-part]")) {
    const other = fresh.getElementById(part.id);
    if (!other || other.isEqualNode(part) || (busy(part) && other.dataset.part === part.dataset.part)) continue;
    for (const details of part.querySelectorAll("details[id]")) {
      const same = other.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    part.replaceWith(document.adoptNode(other));
    if (other.dataset.said) announce(other.dataset.said);
  }
  countdown();
}

function busy(part) {
  return part.contains(document.activeElement) || [...part.querySelectorAll("textarea, input")].some((field) => field.value !== field.defaultValue);
}

/** Counts down from `data-seconds`, from when the server said it. */
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

document.addEventListener("click", async ({ target }) => {
  if (target.closest("[data-theme-toggle]")) toggleTheme();
  if (target.closest("[data-keys]")) keys.showModal();
  const copy = target.closest("[data-copy]");
  if (!copy) return;
  await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
  copy.textContent = "Copied";
  announce("Copied");
});

/** Opens whatever the address's anchor lies in. */
function reveal() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = named; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  named?.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", reveal);
reveal();
root.classList.add("scripts"); // buttons that need them are shown

let pending = false;
let once = false;
let old = false;
async function fetchAnew() {
  once = true; // and once more, however often it is asked meanwhile
  if (pending) return;
  pending = true;
  while (once) {
    once = false;
    try {
      await refresh();
      if (old) pill("connected");
      old = false;
    } catch {
      old = true;
      pill("refused", null, "what is shown may be old");
      setTimeout(fetchAnew, 5000);
    }
  }
  pending = false;
}
addEventListener("partschange", fetchAnew); // what a page's own script noticed
const { stream, after = 0 } = document.body.dataset;
if (stream) follow(stream, { heard: fetchAnew, state: pill, after: Number(after) });
countdown();
