// Small things of all pages: Ctrl+Enter sends, / goes to the search, and a list of features is kept in the browser. Every page works without it.
"use strict";
// the index that this page waits for is there: ask for the page itself
// or an index of more of the text, and nobody is reading further down yet
const made = document.getElementById("making")?.dataset.made;
document.addEventListener("htmx:after:swap", () => {
  const making = document.querySelector("#making[data-there]");
  const more = making && made !== making.dataset.made && scrollY < 100;
  if (more || (making && document.querySelector("main[data-unmade]"))) location.reload();
});

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field?.form) return field.form.requestSubmit();
  if (event.key !== "/" || field || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector("#q:not(textarea), #find");
  if (search) event.preventDefault();
  search?.focus();
});

// the list of a dictionary's features: kept under its address, shown where there is script
const listed = (list) => (localStorage.getItem(`list:${list}`) ?? "").split(",").filter(Boolean);
const show = () => {
  for (const button of document.querySelectorAll("button.keep")) {
    const kept = listed(button.dataset.list).includes(button.dataset.feature);
    button.hidden = false;
    button.setAttribute("aria-pressed", kept);
    button.textContent = kept ? "kept ✓" : "keep";
  }
  for (const link of document.querySelectorAll("a.kept")) {
    const numbers = listed(link.dataset.list);
    link.hidden = !numbers.length;
    link.textContent = `list (${numbers.length})`;
    link.href = `${link.dataset.list}/list?features=${numbers}`;
  }
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.keep");
  if (!button) return;
  const { list, feature } = button.dataset;
  const numbers = listed(list);
  localStorage.setItem(`list:${list}`, numbers.includes(feature) ? numbers.filter((n) => n !== feature) : [...numbers, feature]);
  show();
});
document.addEventListener("htmx:after:swap", show);
show();
