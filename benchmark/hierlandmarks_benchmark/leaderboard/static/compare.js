
"use strict";
// Reads the scores of all entries from the page itself and shows two of them side by side.

const data = JSON.parse(document.getElementById("data").textContent);
const bytes = Uint8Array.from(atob(data.scores), (c) => c.charCodeAt(0));
const count = data.queries.length;
const MOST = 100; // rows of the table of queries
const FLIPS = 10000;

const score = (entry, query) => {
  const at = 2 * (entry * count + query);
  const value = bytes[at] + 256 * bytes[at + 1];
  return value === 65535 ? NaN : value / 65534;
};
const percent = (value) => (100 * value).toFixed(1).replace("-", "−");
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const row = (head, cells) => {
  const line = document.createElement("tr");
  const th = document.createElement("th");
  th.scope = "row";
  th.append(head);
  line.append(th);
  for (const [text, number] of cells) {
    const td = document.createElement("td");
    td.className = number ? "" : "words";
    td.append(text);
    line.append(td);
  }
  return line;
};

// Signs are flipped at random: how often is the sum as far from zero as the one observed?
const permutationTest = (differences) => {
  let state = 2463534242;
  const flip = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 1;
  };
  const observed = Math.abs(differences.reduce((sum, d) => sum + d, 0));
  let extreme = 1;
  for (let i = 0; i < FLIPS; i++) {
    let sum = 0;
    for (const d of differences) sum += flip() ? d : -d;
    if (Math.abs(sum) >= observed - 1e-9) extreme++;
  }
  return extreme / (FLIPS + 1);
};

const byLabel = (rows) => {
  const groups = new Map();
  for (const r of rows) groups.set(r.label, [...(groups.get(r.label) ?? []), r]);
  return [...groups]
    .map(([label, of]) => ({ label, n: of.length, a: mean(of.map((r) => r.a)), b: mean(of.map((r) => r.b)) }))
    .sort((x, y) => y.a - y.b - (x.a - x.b) || (x.label < y.label ? -1 : 1));
};

const [first, second] = ["entry-A", "entry-B"].map((id) => document.getElementById(id));

const show = () => {
  const [a, b] = [Number(first.value), Number(second.value)];
  const rows = data.queries
    .map((id, q) => ({ id, label: data.labels[data.label[q]] || "no label", a: score(a, q), b: score(b, q) }))
    .filter((r) => !Number.isNaN(r.a) && !Number.isNaN(r.b));
  const wins = rows.filter((r) => r.a > r.b).length;
  const losses = rows.filter((r) => r.a < r.b).length;
  const difference = mean(rows.map((r) => r.a - r.b));
  const p = permutationTest(rows.map((r) => r.a - r.b));
  document.getElementById("summary").textContent =
    `A, ${data.names[a]}, does better on ${wins} of ${rows.length} queries, B, ${data.names[b]}, on ${losses}; ` +
    `${rows.length - wins - losses} are equal. A − B is ${percent(difference)} points on average; ` +
    `paired permutation test: p = ${p.toPrecision(2)}, not corrected for how many pairs you look at.`;
  document.getElementById("labels").replaceChildren(
    ...byLabel(rows).map((l) =>
      row(l.label, [[String(l.n), true], [percent(l.a), true], [percent(l.b), true], [percent(l.a - l.b), true]]),
    ),
  );
  rows.sort((x, y) => Math.abs(y.a - y.b) - Math.abs(x.a - x.b) || (x.id < y.id ? -1 : 1));
  document.getElementById("shown").textContent =
    `In percent; the ${Math.min(MOST, rows.length)} queries of ${rows.length} on which the two differ most.`;
  document.getElementById("queries").replaceChildren(
    ...rows
      .slice(0, MOST)
      .map((r) => row(r.id, [[r.label, false], [percent(r.a), true], [percent(r.b), true], [percent(r.a - r.b), true]])),
  );
  history.replaceState(null, "", `#${data.names[a]},${data.names[b]}`);
};

const [askedFirst, askedSecond] = decodeURIComponent(location.hash.slice(1)).split(",");
const at = (name, otherwise) => (data.names.includes(name) ? data.names.indexOf(name) : otherwise);
first.value = at(askedFirst, 0);
second.value = at(askedSecond, first.value === "0" ? 1 : 0);
for (const select of [first, second]) select.addEventListener("change", show);
document.getElementById("no-script").hidden = true;
document.querySelector(".filters").hidden = false;
document.getElementById("result").hidden = false;
show();
