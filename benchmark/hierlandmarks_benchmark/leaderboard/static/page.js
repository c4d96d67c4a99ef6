
"use strict";
// The page reads the same without this. It lets tables be sorted, and opens an entry that a link leads to.

const value = (row, column, kind) => {
  const cell = row.cells[column].dataset.value;
  return kind === "number" ? Number(cell) : cell;
};

const compare = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);

// Cells of the body by header: headers stand in two rows, in the order of the columns.
const headers = (table) => {
  const [first, second] = table.tHead.rows;
  const single = [...first.cells].filter((cell) => cell.dataset.sort);
  return second ? [...single, ...second.cells] : single;
};

const sortBy = (table, header, column) => {
  const kind = header.dataset.sort;
  const best = kind === "number" ? "descending" : "ascending"; // what a reader wants first
  const other = best === "descending" ? "ascending" : "descending";
  const order = header.getAttribute("aria-sort") === best ? other : best;
  const sign = order === "descending" ? -1 : 1;
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => sign * compare(value(a, column, kind), value(b, column, kind)));
  body.append(...rows);
  headers(table).forEach((cell) => cell.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", order);
};

for (const table of document.querySelectorAll("table.ranking")) {
  headers(table).forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header, column));
    header.append(button);
  });
}

const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", openTarget);
openTarget();

// Which entries are shown: by track, by what they were trained on, by name or model.
const filters = document.querySelector(".filters");
const chosen = (name) => filters.querySelector(`[data-filter="${name}"]`)?.value ?? "";

const filter = () => {
  const [track, trained, text] = [chosen("track"), chosen("trained"), chosen("text").trim().toLowerCase()];
  let shown = 0;
  for (const section of document.querySelectorAll("section.track")) {
    section.hidden = track !== "" && section.dataset.track !== track;
    for (const row of section.querySelectorAll("table.ranking tbody tr")) {
      const fits = trained === "" || row.dataset.trained === trained;
      row.hidden = !(fits && row.cells[0].textContent.toLowerCase().includes(text));
      shown += section.hidden || row.hidden ? 0 : 1;
    }
  }
  filters.querySelector("output").textContent = shown === 1 ? "1 entry" : `${shown} entries`;
};
filters.addEventListener("input", filter);
filters.hidden = false;
filter();
