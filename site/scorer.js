// Of pages with a word in a heading, or in their text, the page that is called so and guides come first; the history of Assay comes last.
const GUIDES = /^(README|docs\/(asking|check|cookbook|first-claim|judge|train-one|glossary))$/;
const HISTORY = /^(docs\/(decisions|what-was-wrong|replications)|catalogue\/(records|docs)|benchmarks|tests)/;
const ASKED = (new URLSearchParams(location.search).get("q") ?? "").trim().toLowerCase();
function worth(page, title) {
  if (page.startsWith("catalogue/docs/") && title.toLowerCase().includes(ASKED)) return -4;
  if (HISTORY.test(page)) return -12;
  return GUIDES.test(page) ? 2 : 0;
}
var Scorer = {
  score: ([page, title, , , score]) => score + worth(page, title) + (page.endsWith(`/${ASKED}`) ? 3 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 1: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
