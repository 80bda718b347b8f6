// Heat maps and graphs of small models: what a cell says, by pointer and by arrow keys, and what is linked to what. All is seen without it.
"use strict";

const read = new WeakMap(); // what a map holds, read when it is first asked

const held = (map) => {
  if (!read.has(map)) {
    const { values, rows, columns, say, first, left, top } = map.dataset;
    read.set(map, {
      values: values.split(";").map((row) => row.split(" ")), rows: JSON.parse(rows), columns: JSON.parse(columns), say,
      first: Number(first), left: Number(left), top: Number(top), cell: Number(map.querySelector("g").getAttribute("transform").match(/scale\((\d+)\)/)[1]),
    });
  }
  return read.get(map);
};

const mapOf = (event) => event.target.closest?.("svg.map");

// every map that is told with this one: of the same shape, and seen
const together = (map) => {
  const all = [...(map.closest("[data-together]")?.querySelectorAll("svg.map") ?? [map])];
  const { rows, columns } = held(map);
  return all.filter((other) => other.checkVisibility() && held(other).rows.length === rows.length && held(other).columns.length === columns.length);
};

const sentence = (of, r, c) => {
  const value = of.values[r]?.[c];
  if (!value) return "";
  const said = { row: of.rows[r], column: of.columns[c], r: of.first + r, c: of.first + c, value: value.replace("-", "−") };
  return of.say.replace(/\{(row|column|r|c|value)\}/g, (_, name) => said[name]);
};

const tell = (map, r, c) => {
  for (const each of together(map)) {
    const of = held(each);
    const text = sentence(of, r, c);
    const cursor = each.querySelector(".cursor");
    cursor.classList.toggle("on", Boolean(text));
    cursor.setAttribute("x", c);
    cursor.setAttribute("y", r);
    each.querySelectorAll(".down").forEach((name, i) => name.classList.toggle("on", Boolean(text) && i === r));
    each.querySelectorAll(".across").forEach((name, i) => name.classList.toggle("on", Boolean(text) && i === c));
    each.closest("figure").querySelector(".tip").textContent = text;
    each.dataset.at = text ? `${r} ${c}` : "";
  }
};

const cellAt = (map, event) => {
  const of = held(map);
  const box = map.getBoundingClientRect();
  const scale = map.viewBox.baseVal.width / box.width;
  const c = Math.floor(((event.clientX - box.left) * scale - of.left) / of.cell);
  const r = Math.floor(((event.clientY - box.top) * scale - of.top) / of.cell);
  return of.rows[r] !== undefined && of.columns[c] !== undefined ? [r, c] : null;
};

for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, (event) => {
    const map = mapOf(event);
    const cell = map && cellAt(map, event);
    if (cell && map.dataset.at !== cell.join(" ")) tell(map, ...cell);
  });
}

document.addEventListener("focusin", (event) => {
  const map = mapOf(event);
  if (map && !map.dataset.at && map.matches(":focus-visible")) tell(map, held(map).rows.length - 1, 0);
});

document.addEventListener("keydown", (event) => {
  const map = mapOf(event);
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (!map || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return tell(map, -1, -1);
  if (!step) return;
  event.preventDefault();
  const at = map.dataset.at ? map.dataset.at.split(" ").map(Number) : [held(map).rows.length - 1, 0];
  const next = map.dataset.at ? [at[0] + step[0], at[1] + step[1]] : at;
  if (sentence(held(map), ...next)) tell(map, ...next);
});

// a node of a graph that is pointed at or focused shows what it reads and who reads it
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

// which input and head are chosen stands behind the # of the address, so that a link shows the same
const chosen = ["input", "head"];
document.addEventListener("change", (event) => {
  if (!event.target.matches("#attention input[type=radio]")) return;
  const now = chosen.map((name) => [name, document.querySelector(`#attention input[name=${name}]:checked`)?.value ?? "0"]);
  history.replaceState(null, "", `#${new URLSearchParams(now.filter(([, value]) => value !== "0")) || "attention"}`);
});
const asked = new URLSearchParams(location.hash.slice(1));
for (const name of chosen) {
  const value = asked.get(name);
  const choice = /^\d+$/.test(value ?? "") && document.getElementById(`${name}-${value}`);
  if (choice) {
    choice.checked = true;
    document.getElementById("attention").scrollIntoView();
  }
}
