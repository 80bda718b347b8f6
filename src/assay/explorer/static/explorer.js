// Small things of all pages. Every page works without it.
"use strict";
// the index that this page waits for is there: ask for the page itself
document.addEventListener("htmx:after:swap", () => {
  if (document.querySelector("main[data-unmade]") && document.querySelector("#making[data-there]")) location.reload();
});
