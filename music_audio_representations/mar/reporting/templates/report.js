"use strict";

const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const svg = ["circle", "line", "text"].includes(tag);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---------------------------------------------------------------------------- tables

for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  headers.forEach((header, column) => {
    const button = make("button", { type: "button" }, ...header.childNodes);
    header.replaceChildren(button);
    button.addEventListener("click", () => sort(table, headers, column));
  });
}

function sort(table, headers, column) {
  const body = table.tBodies[0];
  const numeric = [...body.rows].some((row) => "value" in row.cells[column].dataset);
  const first = numeric ? "descending" : "ascending"; // the best scores, or the beginning of the alphabet
  const second = numeric ? "ascending" : "descending";
  const order = headers[column].getAttribute("aria-sort") === first ? second : first;
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  headers[column].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const number = (row) => Number(row.cells[column].dataset.value ?? -sign * Infinity); // empty cells come last
  const text = (row) => row.cells[column].textContent;
  const compare = numeric ? (a, b) => number(a) - number(b) || 0 : (a, b) => text(a).localeCompare(text(b));
  body.append(...[...body.rows].sort((a, b) => sign * compare(a, b)));
}
