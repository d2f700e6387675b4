// One stream of server-sent events: closed while the page is hidden, taken up again, and honest about its state.

const STALE_MS = 6000; // three of the server's beats
const AGAIN_MS = 1000;
const TROUBLE_MS = 5000;

/** Follows `url`; `heard` is told arrays of frames, `state` one of connected, reconnecting, stale, ended and refused, and since when. */
export function follow(url, { heard, state, after = 0 }) {
  let source = null;
  let last = after;
  let ended = false;
  let seen = Date.now();
  let said = "";

  const say = (what, detail = "") => {
    if (what + detail === said) return;
    said = what + detail;
    state(what, new Date(seen), detail);
  };
  const alive = () => {
    seen = Date.now();
    say("connected");
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (ended || source || document.hidden) return;
    source = new EventSource(`${url}${url.includes("?") ? "&" : "?"}after=${last}`);
    source.onopen = alive;
    source.onmessage = (message) => {
      alive();
      last = Number(message.lastEventId) || last;
      heard(JSON.parse(message.data));
    };
    source.addEventListener("beat", alive);
    source.addEventListener("end", () => {
      ended = true;
      close();
      say("ended");
    });
    source.addEventListener("problem", (message) => {
      close();
      say("refused", JSON.parse(message.data).error);
      setTimeout(open, TROUBLE_MS); // a database comes back, and then so does this
    });
    source.onerror = () => {
      close(); // a browser gives up on some answers for good; we do not
      say(Date.now() - seen > STALE_MS ? "stale" : "reconnecting");
      setTimeout(open, AGAIN_MS);
    };
  };
  setInterval(() => {
    if (!ended && !document.hidden && Date.now() - seen > STALE_MS) {
      say("stale");
      close();
      open();
    }
  }, 1000);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}

const WORDS = {
  connected: ["good", "● live"],
  reconnecting: ["warn", "◌ reconnecting"],
  stale: ["bad", "▲ stale since "],
  ended: ["dim", "■ ended"],
  refused: ["bad", "▲ "],
};

/** Shows a stream's state in the page's pill. */
export function pill(what, since, detail = "") {
  const shown = document.querySelector("[data-live]");
  if (!shown) return;
  const [mood, text] = WORDS[what];
  shown.className = `live ${mood}`;
  shown.textContent = text + (what === "stale" ? since.toISOString().slice(11, 19) : detail);
}

/** One quiet sentence for those who listen. */
export function announce(text) {
  const said = document.getElementById("said");
  if (said && said.textContent !== text) said.textContent = text;
}
