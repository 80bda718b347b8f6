// Keys of a feature's page: j, k and r go to other features, arrows from token to token. The page works without them.
// A token that is pointed at for a moment, or focused, tells below its line what the feature does there to the next token.
"use strict";

const DWELL = 350; // milliseconds, so that a pointer on its way asks nothing
const told = { panel: null, token: null, timer: 0 };

const tokenOf = (event) => event.target.closest?.("[data-ask] .context[data-at] [data-tip]");

const hide = () => {
  clearTimeout(told.timer);
  told.panel?.remove();
  told.panel = told.token = null;
};

const tell = (token, load) => {
  if (!window.htmx || !token.isConnected) return; // in one file without a server there is nobody to ask
  hide();
  const line = token.closest(".context");
  const [first, part] = line.dataset.at.split(":"); // of the reader's own text there is no window
  const position = Number(first) + [...line.querySelectorAll(".context > :not(i), .context > i > *")].indexOf(token);
  const said = document.createElement("p");
  const answer = document.createElement("div");
  said.textContent = token.dataset.tip;
  told.token = token;
  told.panel = document.createElement("div");
  told.panel.className = "told";
  told.panel.setAttribute("role", "status");
  told.panel.append(said, answer);
  (token.closest("li") ?? line).append(told.panel);
  const place = part === undefined ? { text: line.dataset.text } : { window: part };
  const asked = new URLSearchParams({ ...place, position, ...(load ? { load: 1 } : {}) });
  window.htmx.ajax("GET", `${line.closest("[data-ask]").dataset.ask}?${asked}`, { target: answer, select: "#token", swap: "innerHTML" });
};

for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const token = tokenOf(event);
    if (!token || token === told.token) return;
    hide();
    told.timer = setTimeout(tell, DWELL, token, false);
  });
}

for (const kind of ["mouseout", "focusout"]) {
  document.addEventListener(kind, (event) => {
    if (tokenOf(event) && !tokenOf(event).matches(":hover, :focus")) hide();
  });
}

document.addEventListener("click", (event) => {
  if (tokenOf(event)) tell(tokenOf(event), true);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  if (at.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "Escape") return hide();
  if (event.key === "Enter" && tokenOf(event)) return tell(tokenOf(event), true);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step && at.matches(".context [data-tip]")) {
    const tokens = [...at.closest(".context").querySelectorAll("[data-tip]")];
    const next = tokens[tokens.indexOf(at) + step];
    if (next) {
      next.focus();
      event.preventDefault();
    }
    return;
  }
  const link = { j: "a[rel=next]", k: "a[rel=prev]", r: ".steps .random" }[event.key];
  const here = document.querySelector("main:target") ?? document; // a file with many features shows one of them
  if (link) here.querySelector(link)?.click();
});
