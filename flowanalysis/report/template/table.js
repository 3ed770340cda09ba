"use strict";
// Sorts, searches and folds the tables of a page. Without it every row is simply there.
const FOLD = 25;
const plural = (n) => n.toLocaleString("en") + (n === 1 ? " row" : " rows");
const key = (cell, kind) => {
  const mark = cell.querySelector("[data-sort]");
  const text = mark ? mark.dataset.sort : cell.querySelector(".fa-na") ? "" : cell.textContent.trim();
  if (kind === "text") return text === "" ? null : text.toLowerCase();
  const value = parseFloat(text.replace(/,/g, ""));
  return Number.isNaN(value) ? null : value;
};
// What is not known sorts last in either direction.
const compare = (a, b, way) => {
  if (a === null || b === null) return (a === null) - (b === null);
  return way * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
};
for (const figure of document.querySelectorAll(".fa-table")) {
  const body = figure.querySelector("tbody");
  const rows = [...body.rows];
  const heads = [...figure.querySelectorAll("thead th")];
  // On a narrow screen every row stands as a card, and each cell says what it is.
  figure.classList.add("fa-cards");
  for (const row of rows) for (const [n, cell] of [...row.cells].entries()) cell.dataset.head = heads[n].textContent;
  if (rows.length < 2) continue;
  let open = rows.length <= FOLD + 5;
  let wanted = "";
  const tools = document.createElement("div");
  tools.className = "fa-tools";
  const label = document.createElement("label");
  label.textContent = "Search";
  const input = document.createElement("input");
  input.type = "search";
  label.append(input);
  const count = document.createElement("output");
  tools.append(label, count);
  if (rows.length > 5) figure.querySelector(".fa-scroll").before(tools);
  const more = document.createElement("button");
  more.type = "button";
  let foot = figure.querySelector(".fa-foot");
  if (!foot) {
    foot = document.createElement("p");
    foot.className = "fa-foot";
    figure.append(foot);
  }
  if (!open) foot.prepend(more);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const draw = () => {
    let met = 0;
    for (const row of body.rows) {
      const fits = !wanted || texts.get(row).includes(wanted);
      met += fits;
      row.hidden = !fits || (!open && !wanted && met > FOLD);
    }
    count.textContent = wanted ? plural(met) + " of " + rows.length.toLocaleString("en") : "";
    more.hidden = Boolean(wanted);
    more.textContent = open ? "Show fewer" : "Show all " + plural(rows.length);
    more.setAttribute("aria-expanded", String(open));
  };
  more.addEventListener("click", () => { open = !open; draw(); });
  input.addEventListener("input", () => { wanted = input.value.trim().toLowerCase(); draw(); });
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const kind = head.dataset.kind;
      const keyed = [...body.rows].map((row) => [key(row.cells[column], kind), row]);
      keyed.sort((a, b) => compare(a[0], b[0], way));
      body.append(...keyed.map((pair) => pair[1]));
      draw();
    });
  });
  draw();
}
// A link to some of a table's rows: it is searched for them.
for (const link of document.querySelectorAll("a[data-find]")) {
  link.addEventListener("click", () => {
    const figure = document.querySelector(link.getAttribute("href"));
    const input = figure && figure.querySelector("input[type=search]");
    if (!input) return;
    const there = figure.querySelector("tbody").textContent.toLowerCase().includes(link.dataset.find.toLowerCase());
    input.value = there ? link.dataset.find : "";
    input.dispatchEvent(new Event("input"));
  });
}
