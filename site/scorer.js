// Of pages with a word in their title, or in their text, guides come first and the history of Assay last.
const GUIDES = /^(README|docs\/(asking|check|cookbook|first-claim|judge|train-one|glossary))$/;
const HISTORY = /^(docs\/decisions|docs\/what-was-wrong|catalogue\/records|catalogue\/docs|benchmarks|tests)/;
var Scorer = {
  score: ([page, , , , score]) => score + (GUIDES.test(page) ? 2 : HISTORY.test(page) ? -4 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 1: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
