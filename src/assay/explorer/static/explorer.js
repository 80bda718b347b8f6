// Small things of all pages: Ctrl+Enter sends, / goes to the search, and commands can be copied. Every page works without it.
"use strict";
// the index that this page waits for is there: ask for the page itself
// or an index of more of the text, and nobody is reading further down yet
const made = document.getElementById("making")?.dataset.made;
document.addEventListener("htmx:after:swap", () => {
  const making = document.querySelector("#making[data-there]");
  const more = making && made !== making.dataset.made && scrollY < 100;
  if (more || (making && document.querySelector("main[data-unmade]"))) location.reload();
});

const offerCopies = () => {
  for (const command of document.querySelectorAll("pre.command:not(:has(button))")) {
    const text = command.textContent;
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    });
    command.append(button);
  }
};
if (navigator.clipboard) {
  document.addEventListener("DOMContentLoaded", offerCopies);
  document.addEventListener("htmx:after:swap", offerCopies);
}

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field?.form) return field.form.requestSubmit();
  if (event.key !== "/" || field || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector("#q:not(textarea), #find");
  if (search) event.preventDefault();
  search?.focus();
});
