// Keys of a feature's page: j, k and r go to other features, arrows from token to token. The page works without them.
"use strict";

// what was asked of the reader's own text is brought into view
document.addEventListener("htmx:after:swap", () => document.querySelector("#activation:not(:empty)")?.scrollIntoView({ block: "nearest" }));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = event.target;
  if (at.closest("input, textarea, select, [contenteditable]")) return;
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
  if (link) document.querySelector(link)?.click();
});
