// Keys of the rating page: 1, 2 and 3 answer, w goes to the words, b goes back. The page works without them.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input")) {
    if (event.key === "Enter") event.preventDefault(); // which of the three it would answer is not said
    if (event.key === "Escape" || event.key === "Enter") event.target.blur();
    return;
  }
  if (event.key === "w") {
    event.preventDefault();
    document.querySelector("input[name=words]")?.focus();
  }
  if (event.key === "b") document.querySelector("a[rel=prev]")?.click();
  document.querySelector(`button[name=score][value="${CSS.escape(event.key)}"]`)?.click();
});
