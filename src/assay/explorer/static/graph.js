// Graphs: a node that is pointed at or focused shows what it reads and who reads it. Everything can be seen without it.
"use strict";

for (const kind of ["pointerover", "focusin", "pointerout", "focusout"]) {
  document.addEventListener(kind, (event) => {
    const node = event.target.closest?.(".causal [data-node]");
    if (!node) return;
    const name = kind === "pointerover" || kind === "focusin" ? node.dataset.node : null;
    const graph = node.closest(".causal");
    graph.classList.toggle("asked", name !== null);
    graph.querySelectorAll("[data-from]").forEach((link) => link.classList.toggle("on", link.dataset.from === name || link.dataset.to === name));
  });
}
