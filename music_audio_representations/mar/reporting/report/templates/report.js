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

// ------------------------------------------------------------------------------- map

const data = JSON.parse($("data").textContent);
const svg = $("points");
const circles = data.titles.map((title, track) => {
  const circle = make("circle", { r: 1.1, tabindex: track ? -1 : 0, role: "button", "aria-label": title });
  circle.addEventListener("focus", () => point(track));
  circle.addEventListener("blur", () => ($("tip").hidden = true));
  return circle;
});
svg.append(...circles);
let chosen = null; // track
let alone = null; // class that the legend shows alone

const shownLabel = () => data.labels[$("label").value];
const shown = () => data.representations[$("representation").value];
const place = (track) => shown().points[track].map((value, axis) => 100 * (axis ? 1 - value : value));

function colour(label, value) {
  if (!label.classes) {
    const low = Math.min(...label.values);
    const share = (value - low) / (Math.max(...label.values) - low || 1);
    return `oklch(${0.45 + 0.4 * share} 0.15 ${280 - 200 * share})`;
  }
  const place = label.classes.indexOf(value);
  if (place < 0) return "var(--quiet)"; // a track without this label
  return `oklch(${place % 2 ? 0.75 : 0.58} 0.16 ${(360 * place) / label.classes.length + 20})`;
}

function drawLegend() {
  const label = shownLabel();
  if (!label.classes) {
    const ends = [Math.min(...label.values), Math.max(...label.values)];
    const stops = [0, 0.25, 0.5, 0.75, 1].map((s) => colour(label, ends[0] + s * (ends[1] - ends[0])));
    const ramp = make("span", { class: "ramp", style: `background: linear-gradient(90deg, ${stops})` });
    $("legend").replaceChildren(`${ends[0]} BPM`, ramp, `${ends[1]} BPM`);
    return;
  }
  const buttons = label.classes.map((name) => {
    const dot = make("i", { style: `background: ${colour(label, name)}` });
    const button = make("button", { type: "button", "aria-pressed": name === alone }, dot, name);
    button.addEventListener("click", () => {
      alone = alone === name ? null : name;
      draw();
    });
    return button;
  });
  $("legend").replaceChildren(...buttons);
}

function draw() {
  const label = shownLabel();
  const near = chosen === null ? [] : shown().nearest[chosen];
  circles.forEach((circle, track) => {
    const [x, y] = place(track);
    circle.style.cx = `${x}px`;
    circle.style.cy = `${y}px`;
    circle.style.fill = colour(label, label.values[track]);
    circle.classList.toggle("dimmed", alone !== null && label.values[track] !== alone);
    circle.classList.toggle("neighbour", near.includes(track));
    circle.classList.toggle("selected", track === chosen);
  });
  svg.querySelectorAll("line, text").forEach((element) => element.remove());
  near.forEach((track, rank) => {
    const [[x1, y1], [x2, y2]] = [place(chosen), place(track)];
    svg.prepend(make("line", { x1, y1, x2, y2 }));
    svg.append(make("text", { x: x2 + 1.4, y: y2 - 1 }, `${rank + 1}`));
  });
  drawLegend();
  drawAgreement();
  drawChosen();
}

function drawAgreement() {
  const { name, values, classes } = shownLabel();
  if (!classes) {
    $("agreement").textContent = "";
    return;
  }
  const known = [...values.keys()].filter((track) => values[track] !== "");
  const shares = (list, track) => list.filter((other) => values[other] === values[track]).length / list.length;
  const others = (track) => known.filter((other) => other !== track);
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const found = mean(known.map((track) => shares(shown().nearest[track], track)));
  const chance = mean(known.map((track) => shares(others(track), track)));
  $("agreement").textContent =
    `Of the ${shown().nearest[0].length} nearest neighbours of a track, ${(100 * found).toFixed(0)} % share its ${name}; ` +
    `by chance ${(100 * chance).toFixed(0)} % would.`;
}

const facts = (track) =>
  data.labels.map((l) => `${l.values[track]}${l.classes ? "" : " BPM"}`).filter((text) => text).join(" · ");

function drawChosen() {
  if (chosen === null) return;
  const title = make("h3", {}, data.titles[chosen]);
  const parts = [title, make("small", {}, facts(chosen))];
  if (data.clips) {
    const kept = $("chosen").querySelector("audio");
    const source = `data:audio/ogg;base64,${data.clips[chosen]}`;
    parts.push(kept && kept.src === source ? kept : make("audio", { controls: "", src: source }));
  }
  const { nearest, similarities } = shown();
  const list = make("ol", { class: "neighbours" });
  nearest[chosen].forEach((track, rank) => {
    const similarity = `similarity ${similarities[chosen][rank].toFixed(2)} · ${facts(track)}`;
    const button = make("button", { type: "button" }, `${rank + 1}. ${data.titles[track]}`, make("small", {}, similarity));
    button.addEventListener("click", () => choose(track));
    list.append(make("li", {}, button));
  });
  $("chosen").replaceChildren(...parts, make("h4", {}, "Nearest neighbours"), list);
}

function choose(track) {
  chosen = track;
  draw();
  const audio = $("chosen").querySelector("audio");
  if (audio) audio.play().catch(() => {}); // a browser that does not allow it leaves the controls
}

function point(track) {
  circles.forEach((circle, other) => circle.setAttribute("tabindex", other === track ? 0 : -1));
  const canvas = svg.getBoundingClientRect();
  const [left, top] = place(track).map((value, axis) => {
    const size = axis ? canvas.height : canvas.width;
    const scale = Math.min(canvas.width, canvas.height) / 106;
    return size / 2 + (value - 50) * scale;
  });
  const half = Math.min(canvas.width / 2, 128); // of the tip's greatest width, so that it stays inside
  $("tip").style.left = `${Math.min(Math.max(left, half), canvas.width - half)}px`;
  $("tip").style.top = `${top}px`;
  $("tip").replaceChildren(make("b", {}, data.titles[track]), make("br"), facts(track));
  $("tip").hidden = false;
}

// The nearest point within a finger's reach, so that nobody needs to hit it exactly.
function under(event) {
  const inverse = svg.getScreenCTM().inverse();
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
  const distances = circles.map((_, track) => Math.hypot(place(track)[0] - x, place(track)[1] - y));
  const track = distances.indexOf(Math.min(...distances));
  return distances[track] < 24 * inverse.a ? track : null;
}

svg.addEventListener("pointermove", (event) => {
  const track = under(event);
  if (track === null) $("tip").hidden = true;
  else point(track);
});
svg.addEventListener("pointerleave", () => ($("tip").hidden = true));
svg.addEventListener("click", (event) => {
  const track = under(event);
  if (track === null) return;
  circles[track].focus();
  choose(track);
});

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
svg.addEventListener("keydown", (event) => {
  const from = circles.indexOf(document.activeElement);
  if (from < 0) return;
  if (event.key === "Enter" || event.key === " ") choose(from);
  else if (event.key in DIRECTIONS) walk(from, DIRECTIONS[event.key]);
  else return;
  event.preventDefault();
});

// The nearest point within 45° of the direction.
function walk(from, [right, down]) {
  const [x, y] = place(from);
  let best = null;
  let least = Infinity;
  circles.forEach((circle, track) => {
    const [dx, dy] = [place(track)[0] - x, place(track)[1] - y];
    const ahead = dx * right + dy * down;
    const aside = Math.abs(dx * down) + Math.abs(dy * right);
    if (ahead > 0 && aside <= ahead && ahead + aside < least) [best, least] = [circle, ahead + aside];
  });
  if (best) best.focus();
}

$("representation").addEventListener("change", draw);
$("label").addEventListener("change", () => {
  alone = null;
  draw();
});
draw();
