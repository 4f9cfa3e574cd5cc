// The page: what is shown, selected and played, and how mouse and keys change it.

import * as server from "./server.js";
import * as colours from "./colours.js";
import { createMap } from "./map.js";
import { NO_TRACK, createTeaching } from "./teaching.js";
import { pauseOrPlay, playTrack, showFile, showList, showTrack, title } from "./tracks.js";

const byId = (id) => document.getElementById(id);
const NEIGHBOURS = 12;
const LISTED = 100;

const names = new Map(); // paths of tracks that the mouse was over
const visited = new Set();
let map = null;
let teaching = null;
let current = null;
let neighbours = [];
let selection = [];
let found = null; // rows that a search found, or null
let codes = null; // colour of each track
let hidden = new Set(); // of them
let start = null; // of a way
let hovered = null;

// ------------------------------------------------------------------------------------ messages

// Returns what takes it back, unless something else was said since.
function say(text, isError = false) {
  const status = byId("status");
  status.textContent = text;
  status.classList.toggle("error", isError);
  return () => { if (status.textContent === text) status.textContent = ""; };
}

const tell = (promise) => promise.catch((error) => say(error.message, true));

// -------------------------------------------------------------------------------------- tracks

async function go(row) {
  current = row;
  visited.add(row);
  mark();
  say("");
  teaching.ask(null, "…");
  playTrack(row, (reason) => say(`Not played: ${reason}`, true));
  const track = await server.track(row);
  if (current !== row) return;
  showTrack(track);
  byId("from").disabled = false;
  byId("to").disabled = start === null;
  teaching.ask(row, title(track.path));
  const nearest = await server.nearest(row, NEIGHBOURS);
  if (current !== row) return; // another one is chosen now
  neighbours = nearest;
  list(`Sounds like ${title(track.path)}`, neighbours);
}

function list(heading, tracks) {
  showList(heading, tracks, (row) => tell(go(row)));
  byId("select-list").onclick = () => select(tracks.map((track) => track.row));
}

async function way() {
  const tracks = await server.between(start, current);
  await map.way(tracks.map((track) => track.row));
  map.look(tracks.map((track) => track.row));
  list("The way", tracks);
}

async function place(file) {
  const unsay = say(`Listening to ${file.name}…`);
  const placed = await server.place(file).finally(unsay);
  current = null;
  mark();
  byId("from").disabled = byId("to").disabled = true;
  teaching.ask(null, NO_TRACK);
  showFile(file);
  await map.mark(placed);
  map.look(placed.nearest.map((track) => track.row));
  list(`Sounds like ${file.name}`, placed.nearest);
}

// ----------------------------------------------------------------------------------- selection

function mark() {
  map.select(current === null ? selection : [...selection, current]);
}

function select(rows) {
  selection = rows;
  mark();
  byId("count").textContent = rows.length
    ? `${rows.length.toLocaleString("en")} track${rows.length > 1 ? "s" : ""}` : "none";
  for (const id of ["csv", "m3u", "clear"]) byId(id).disabled = !rows.length;
  teaching.selected();
}

function shown() {
  const rows = found ? [...found] : Array.from({ length: map.count }, (_, row) => row);
  return hidden.size ? rows.filter((row) => !hidden.has(codes[row])) : rows;
}

const filter = () => map.filter(found || hidden.size ? shown() : null);

async function search(text) {
  const rows = text ? await server.search(text) : null;
  if (byId("search").value.trim() !== text) return; // there is a newer one
  found = rows;
  filter();
  if (!found) return;
  const tracks = await server.names([...found.slice(0, LISTED)]);
  if (found !== rows) return;
  const more = found.length > LISTED ? `, the first ${LISTED}` : "";
  list(`${found.length.toLocaleString("en")} tracks with “${text}”${more}`, tracks);
}

async function save(format) {
  const file = await server.exported(selection, format, format === "csv" ? teaching.active() : null);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `selection.${format}`;
  link.click();
  URL.revokeObjectURL(link.href);
}

// ------------------------------------------------------------------------------------- colours

async function paint({ codes: ofTracks, colours: ofCodes }) {
  codes = ofTracks;
  hidden = new Set();
  filter();
  await map.colour(ofTracks, ofCodes);
}

function hide(codesHidden) {
  hidden = codesHidden;
  filter();
}

async function colour(choice) {
  const legend = byId("legend");
  const [kind, id] = [choice.slice(0, 1), choice.slice(1)];
  if (kind === "n") {
    legend.replaceChildren();
    await paint(colours.plain(map.count));
  } else if (kind === "l") {
    await paint(colours.byNumber(teaching.probabilities(id), 0, 1));
    colours.numberLegend(legend, 0, 1, hide);
  } else {
    const [about, numbers] = await Promise.all([server.column(id), server.columnValues(id)]);
    if (byId("colour").value !== choice) return;
    if (about.categories) {
      const painted = colours.byCategory(numbers, about.categories.length);
      await paint(painted);
      colours.categoryLegend(legend, about.categories, about.counts, painted.colours, map.count,
        hide);
    } else {
      await paint(colours.byNumber(numbers, about.low, about.high));
      colours.numberLegend(legend, about.low, about.high, hide);
    }
  }
}

function option(group, value, text) {
  let element = [...byId("colour").children].find((each) => each.label === group);
  if (!element) {
    element = document.createElement("optgroup");
    element.label = group;
    byId("colour").append(element);
  }
  element.append(new Option(text, value));
}

async function colourByLabel(name) {
  const value = `l${name}`;
  if (![...byId("colour").options].some((each) => each.value === value)) {
    option("taught", value, name);
  }
  byId("colour").value = value;
  await colour(value);
}

async function uncolourByLabel(name) {
  const value = `l${name}`;
  const isShown = byId("colour").value === value;
  [...byId("colour").options].find((each) => each.value === value)?.remove();
  if (!isShown) return;
  byId("colour").value = "c0";
  await colour("c0");
}

// ------------------------------------------------------------------------------- mouse and keys

async function hover(row, position) {
  const tip = byId("tooltip");
  hovered = row;
  tip.hidden = true;
  if (row === null) return;
  if (!names.has(row)) {
    const [track] = await server.names([row]);
    names.set(row, track.path);
  }
  if (hovered !== row) return;
  tip.textContent = names.get(row);
  tip.hidden = false;
  const box = byId("plot").getBoundingClientRect();
  const [left, top] = position;
  tip.style.left = `${Math.max(4, Math.min(left + 12, box.width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(top + 12, box.height - tip.offsetHeight - 4))}px`;
}

function lasso(active) {
  byId("lasso").setAttribute("aria-pressed", String(active));
  map.lasso(active);
}

// The nearest track to the right, the left, above or below.
function step(dx, dy) {
  if (current === null) return tell(go(shown()[0]));
  let best = null;
  let least = Infinity;
  for (const row of shown()) {
    const [x, y] = [map.x[row] - map.x[current], map.y[row] - map.y[current]];
    const along = x * dx + y * dy;
    const across = Math.abs(x * dy) + Math.abs(y * dx);
    const distance = Math.hypot(x, y);
    if (along > across && distance < least) [best, least] = [row, distance];
  }
  return best === null ? undefined : tell(go(best));
}

function escape() {
  byId("search").value = "";
  lasso(false);
  select([]);
  map.mark(null);
  tell(search(""));
}

const KEYS = {
  ArrowLeft: () => step(-1, 0),
  ArrowRight: () => step(1, 0),
  ArrowUp: () => step(0, 1),
  ArrowDown: () => step(0, -1),
  " ": pauseOrPlay,
  n: () => {
    const next = neighbours.find((track) => !visited.has(track.row));
    if (next) tell(go(next.row));
  },
  "/": () => byId("search").focus(),
  "+": () => map.zoom(1.5),
  "-": () => map.zoom(1 / 1.5),
  0: () => map.reset(),
  l: () => byId("lasso").click(),
  a: () => { if (current !== null) select([...new Set([...selection, current])]); },
  w: () => byId("from").click(),
  e: () => byId("to").click(),
  y: () => teaching.answer(true),
  x: () => teaching.answer(false),
  s: () => teaching.skip(),
  "?": () => byId("keys").showModal(),
  Escape: escape,
};

function keyed(event) {
  const typing = event.target.matches("input, select, dialog, dialog *");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing && !(event.key === "Escape" && event.target.id === "search")) return;
  if (event.key === " " && event.target.matches("button, audio")) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function wire() {
  let waiting;
  byId("search").oninput = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => tell(search(byId("search").value.trim())), 150);
  };
  byId("colour").onchange = () => tell(colour(byId("colour").value));
  byId("help").onclick = () => byId("keys").showModal();
  byId("lasso").onclick = () => lasso(byId("lasso").getAttribute("aria-pressed") !== "true");
  byId("closer").onclick = () => map.zoom(1.5);
  byId("farther").onclick = () => map.zoom(1 / 1.5);
  byId("reset").onclick = () => map.reset();
  byId("file").onchange = () => {
    if (byId("file").files.length) tell(place(byId("file").files[0]));
    byId("file").value = "";
  };
  byId("from").onclick = () => {
    start = current;
    say(`A way begins at ${byId("title").textContent}; go to where it shall end`);
  };
  byId("to").onclick = () => tell(way());
  byId("select-shown").onclick = () => select(shown());
  byId("clear").onclick = () => select([]);
  byId("csv").onclick = () => tell(save("csv"));
  byId("m3u").onclick = () => tell(save("m3u"));
  document.addEventListener("keydown", keyed);
  for (const type of ["dragover", "dragleave", "drop"]) {
    window.addEventListener(type, (event) => {
      event.preventDefault();
      byId("drop").hidden = type !== "dragover";
      if (type === "drop" && event.dataTransfer.files.length) {
        tell(place(event.dataTransfer.files[0]));
      }
    });
  }
}

// --------------------------------------------------------------------------------------- start

async function begin() {
  const [about, points] = await Promise.all([server.about(), server.points()]);
  byId("name").textContent = about.name;
  document.title = `${about.name} – mar explore`;
  map = createMap(byId("canvas"), points, {
    hover: (row, position) => tell(hover(row, position)),
    click: (row) => tell(go(row)),
    lasso: select,
    lassoEnd: () => {
      lasso(false);
      mark(); // also where there was nothing in it
    },
  });
  teaching = createTeaching({
    say, tell, go: (row) => tell(go(row)), select, shown, colourByLabel, uncolourByLabel,
    current: () => current,
    selection: () => selection,
  });
  option("nothing", "n", "nothing");
  for (const { id, name, group } of about.columns) option(group, `c${id}`, name);
  byId("colour").value = "c0";
  wire();
  await colour("c0");
  byId("loading").hidden = true;
  document.body.dataset.ready = "true"; // for whoever drives the page
}

tell(begin());
