
"use strict";
// The page is whole without this: it adds search, and opens or closes everything at once.
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const plain = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
const labels = all(".label").map((node) => ({
  node,
  name: plain(node.querySelector(".name").textContent),
  types: [...node.querySelectorAll(".type")].map((type) => ({ node: type, text: plain(type.textContent) })),
}));

const search = () => {
  const wanted = plain(byId("search").value.trim());
  let shownLabels = 0;
  let shownTypes = 0;
  for (const label of labels) {
    const named = label.name.includes(wanted);
    let hits = 0;
    for (const type of label.types) {
      const hit = wanted !== "" && type.text.includes(wanted);
      hits += hit;
      type.node.hidden = wanted !== "" && !named && !hit;
      type.node.open = hit && !named;
    }
    label.node.hidden = wanted !== "" && !named && hits === 0;
    label.node.open = wanted !== "" && hits > 0;
    shownLabels += !label.node.hidden;
    shownTypes += hits;
  }
  for (const kind of all(".kind")) {
    kind.hidden = wanted !== "" && !kind.querySelector(".label:not([hidden])");
    kind.open = true;
  }
  const words = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;
  byId("found").textContent = wanted && `${words(shownLabels, "label")}, ${words(shownTypes, "type")}`;
};

byId("search").addEventListener("input", search);
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    byId("search").value = "";
    search();
  }
});
byId("open").addEventListener("click", () => all(".kind, .label:not([hidden])").forEach((node) => { node.open = true; }));
byId("close").addEventListener("click", () => all(".kind, .label, .type").forEach((node) => { node.open = false; }));
const follow = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.matches(".label")) {
    target.parentElement.closest("details").open = true;
    target.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", follow);
byId("tools").hidden = false;
follow();
