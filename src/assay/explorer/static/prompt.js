// Keys and hints of the pages about a text: arrows in the heat map, an amount where a change takes one. The pages work without them.
"use strict";

const cellOf = (event) => event.target.closest?.(".heat [data-tip]");

for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const cell = cellOf(event);
    const tip = document.getElementById("heat-tip");
    if (cell && tip) tip.textContent = cell.dataset.tip;
  });
}

const askAmount = () => {
  for (const way of document.querySelectorAll("select[name=way]")) {
    const amount = way.form.elements.amount;
    amount.disabled = way.value === "out";
    amount.placeholder = { clamp: "its maximum", scale: "a factor" }[way.value] ?? "none";
  }
};
document.addEventListener("change", askAmount);
document.addEventListener("DOMContentLoaded", askAmount);
document.addEventListener("htmx:after:swap", askAmount);

// a long text: the part of the heat map whose prediction is asked about is seen first; where ablations change its rows, it stays where it was
let left;
const showAsked = (event) => {
  if (!["why", "heat"].includes(event.target.id)) left = undefined;
  const column = document.querySelector(".heat .asked, .heat thead th:last-child");
  if (column) column.closest(".scroll").scrollLeft = left ?? column.offsetLeft;
};
document.addEventListener("scroll", (event) => { if (event.target.closest?.("#heat")) left = event.target.scrollLeft; }, true);
document.addEventListener("DOMContentLoaded", showAsked);
document.addEventListener("htmx:after:swap", showAsked);

document.addEventListener("keydown", (event) => {
  const cell = cellOf(event);
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (!cell || !step || event.ctrlKey || event.metaKey || event.altKey) return;
  const rows = [...cell.closest("tbody").rows];
  const next = rows[rows.indexOf(cell.parentNode) + step[0]]?.cells[cell.cellIndex + step[1]];
  if (next?.matches("[data-tip]")) {
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  }
});
