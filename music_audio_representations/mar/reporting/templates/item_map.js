"use strict";

// The map: items as points, their labels, nearest neighbours and sound.

const data = JSON.parse($("data").textContent); // see item_map.build
const svg = $("points");
const circles = data.titles.map((title, item) => {
  const circle = make("circle", { r: 1.1, tabindex: item ? -1 : 0, role: "button", "aria-label": title });
  circle.addEventListener("focus", () => point(item));
  circle.addEventListener("blur", () => ($("tip").hidden = true));
  return circle;
});
svg.append(...circles);
let chosen = null; // item
let alone = null; // class that the legend shows alone

const shownLabel = () => data.labels[$("label").value];
const shown = () => data.representations[$("representation").value];
const place = (item) => shown().points[item].map((value, axis) => 100 * (axis ? 1 - value : value));

const withUnit = (label, value) => `${Number(value.toPrecision(6))} ${label.unit}`.trim();

// The least and the greatest of a label's numbers.
function limits(label) {
  const known = label.values.filter((value) => value !== "");
  return [Math.min(...known), Math.max(...known)];
}

function colour(label, value) {
  if (value === "") return "var(--quiet)"; // an item without this label
  if (!label.classes) {
    const [low, high] = limits(label);
    const share = (value - low) / (high - low || 1);
    return `oklch(${0.45 + 0.4 * share} 0.15 ${280 - 200 * share})`;
  }
  const place = label.classes.indexOf(value);
  return `oklch(${place % 2 ? 0.75 : 0.58} 0.16 ${(360 * place) / label.classes.length + 20})`;
}

function drawLegend() {
  const label = shownLabel();
  if (!label.classes) {
    const ends = limits(label);
    const stops = [0, 0.25, 0.5, 0.75, 1].map((s) => colour(label, ends[0] + s * (ends[1] - ends[0])));
    const ramp = make("span", { class: "ramp", style: `background: linear-gradient(90deg, ${stops})` });
    $("legend").replaceChildren(withUnit(label, ends[0]), ramp, withUnit(label, ends[1]));
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
  circles.forEach((circle, item) => {
    const [x, y] = place(item);
    circle.style.cx = `${x}px`;
    circle.style.cy = `${y}px`;
    circle.style.fill = colour(label, label.values[item]);
    circle.classList.toggle("dimmed", alone !== null && label.values[item] !== alone);
    circle.classList.toggle("neighbour", near.includes(item));
    circle.classList.toggle("selected", item === chosen);
  });
  svg.querySelectorAll("line, text").forEach((element) => element.remove());
  near.forEach((item, rank) => {
    const [[x1, y1], [x2, y2]] = [place(chosen), place(item)];
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
  const known = [...values.keys()].filter((item) => values[item] !== "");
  const shares = (list, item) => list.filter((other) => values[other] === values[item]).length / list.length;
  const others = (item) => known.filter((other) => other !== item);
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const found = mean(known.map((item) => shares(shown().nearest[item], item)));
  const chance = mean(known.map((item) => shares(others(item), item)));
  $("agreement").textContent =
    `Of the ${shown().nearest[0].length} nearest neighbours of each ${data.noun}, ${(100 * found).toFixed(0)} % share its ${name}; ` +
    `by chance ${(100 * chance).toFixed(0)} % would.`;
}

const shownValue = (label, value) => (value === "" || label.classes ? value : withUnit(label, value));
const facts = (item) =>
  data.labels.map((label) => shownValue(label, label.values[item])).filter((text) => text).join(" · ");

function drawChosen() {
  if (chosen === null) return;
  const title = make("h3", {}, data.titles[chosen]);
  const parts = [title, make("small", {}, facts(chosen))];
  if (data.clips && data.clips[chosen]) {
    const kept = $("chosen").querySelector("audio");
    const source = `data:audio/ogg;base64,${data.clips[chosen]}`;
    parts.push(kept && kept.src === source ? kept : make("audio", { controls: "", src: source }));
  }
  const { nearest, similarities } = shown();
  const list = make("ol", { class: "neighbours" });
  nearest[chosen].forEach((item, rank) => {
    const similarity = `similarity ${similarities[chosen][rank].toFixed(2)} · ${facts(item)}`;
    const button = make("button", { type: "button" }, `${rank + 1}. ${data.titles[item]}`, make("small", {}, similarity));
    button.addEventListener("click", () => choose(item));
    list.append(make("li", {}, button));
  });
  $("chosen").replaceChildren(...parts, make("h4", {}, "Nearest neighbours"), list);
}

function choose(item) {
  chosen = item;
  draw();
  const audio = $("chosen").querySelector("audio");
  if (audio) audio.play().catch(() => {}); // a browser that does not allow it leaves the controls
}

function point(item) {
  circles.forEach((circle, other) => circle.setAttribute("tabindex", other === item ? 0 : -1));
  const canvas = svg.getBoundingClientRect();
  const [left, top] = place(item).map((value, axis) => {
    const size = axis ? canvas.height : canvas.width;
    const scale = Math.min(canvas.width, canvas.height) / 106;
    return size / 2 + (value - 50) * scale;
  });
  const half = Math.min(canvas.width / 2, 128); // of the tip's greatest width, so that it stays inside
  $("tip").style.left = `${Math.min(Math.max(left, half), canvas.width - half)}px`;
  $("tip").style.top = `${top}px`;
  $("tip").replaceChildren(make("b", {}, data.titles[item]), make("br"), facts(item));
  $("tip").hidden = false;
}

// The nearest point within a finger's reach, so that nobody needs to hit it exactly.
function under(event) {
  const inverse = svg.getScreenCTM().inverse();
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
  const distances = circles.map((_, item) => Math.hypot(place(item)[0] - x, place(item)[1] - y));
  const item = distances.indexOf(Math.min(...distances));
  return distances[item] < 24 * inverse.a ? item : null;
}

svg.addEventListener("pointermove", (event) => {
  const item = under(event);
  if (item === null) $("tip").hidden = true;
  else point(item);
});
svg.addEventListener("pointerleave", () => ($("tip").hidden = true));
svg.addEventListener("click", (event) => {
  const item = under(event);
  if (item === null) return;
  circles[item].focus();
  choose(item);
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
  circles.forEach((circle, item) => {
    const [dx, dy] = [place(item)[0] - x, place(item)[1] - y];
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
