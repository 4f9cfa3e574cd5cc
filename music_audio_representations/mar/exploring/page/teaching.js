// Labels that are taught by examples: which tracks have them, which have not.

import * as server from "./server.js";

const byId = (id) => document.getElementById(id);
export const NO_TRACK = "Skip goes to a track that it is unsure of.";
const KEY = `taught ${location.pathname}`; // of this run of the server

export function createTeaching(page) {
  const labels = new Map(); // by name: {yes, no: sets of rows, score, uncertain, probabilities}
  const wanted = new Set(); // names of labels that are to be trained
  let active = null;
  let asked = null; // the track that the question is about
  let trained = Promise.resolve(); // once all is that was wanted

  function kept() {
    const plain = [...labels].map(([name, { yes, no }]) => [name, [...yes], [...no]]);
    sessionStorage.setItem(KEY, JSON.stringify(plain));
  }

  function examples(name) {
    if (!labels.has(name)) labels.set(name, { yes: new Set(), no: new Set(), uncertain: [] });
    return labels.get(name);
  }

  // One at a time, on the examples that there are by then.
  function queued(work) {
    const done = trained.then(work);
    trained = done.catch(() => {});
    return done;
  }

  function train(name) {
    wanted.add(name);
    return queued(() => wanted.delete(name) && trainNow(name));
  }

  async function trainNow(name) {
    if (!labels.get(name).yes.size) {
      await forget(name);
      page.say(`${name}: needs a track that has it`);
      return;
    }
    await learn(name);
    active = name;
    show();
    await page.colourByLabel(name);
  }

  async function learn(name) {
    const label = labels.get(name);
    const unsay = page.say(`Training ${name}…`);
    try {
      const { score, uncertain } = await server.teach(name, [...label.yes], [...label.no]);
      Object.assign(label, { score, uncertain, probabilities: await server.probabilities(name) });
    } catch (error) {
      await forget(name);
      throw new Error(`${name}: ${error.message}`);
    } finally {
      unsay();
    }
  }

  // What it said before is not of the examples that it has now.
  function forget(name) {
    delete labels.get(name).probabilities;
    if (active === name) active = null;
    show();
    return page.uncolourByLabel(name);
  }

  // All labels that the list shows, also those that were taught before the page was loaded anew.
  async function save(head) {
    for (const [name, { yes, probabilities }] of labels) {
      if (yes.size && !probabilities) await learn(name);
    }
    const [taught, others] = [[], []];
    for (const [name, { probabilities }] of labels) (probabilities ? taught : others).push(name);
    const { file } = await server.save(head, taught);
    const without = others.length ? ` without ${others.join(", ")}, which no track has` : "";
    page.say(`Saved${without}. Label with it: mar tag --head "${file}" --output tags.parquet …`);
  }

  function show() {
    byId("labels").replaceChildren(...[...labels].map(([name, { yes, no }]) => {
      const button = document.createElement("button");
      button.textContent = `${name}: ${yes.size} yes, ${no.size} no`;
      button.setAttribute("aria-pressed", String(name === active));
      button.onclick = () => page.tell(train(name));
      return button;
    }));
    const label = labels.get(active);
    byId("taught").hidden = !label?.probabilities;
    if (!label) return;
    byId("asked-label").textContent = active;
    byId("score").textContent = label.score === null
      ? "Too few examples to tell how good it is: five of a kind are needed."
      : `Tells examples it was not trained on from others in ${Math.round(100 * label.score)} % ` +
        "of the pairs (50 % is chance).";
    byId("head").placeholder = active; // what it is called unless one says otherwise
    byId("yes").disabled = byId("no").disabled = asked === null;
    byId("skip").disabled = next() === undefined;
  }

  // Which track, without an answer yet, it is least sure of.
  function next() {
    const { yes, no, uncertain } = labels.get(active);
    return uncertain.find((row) => row !== asked && !yes.has(row) && !no.has(row));
  }

  // The track that is asked about, or null; and its name.
  function ask(row, text) {
    asked = row;
    byId("asked").textContent = text;
    show();
  }

  function likely() {
    const least = byId("threshold").value / 100;
    const { probabilities } = labels.get(active);
    return page.shown().filter((row) => probabilities[row] >= least);
  }

  // Examples that have the label or not; one that was the other is corrected.
  async function add(name, rows, has) {
    const { yes, no } = examples(name);
    for (const row of rows) {
      (has ? no : yes).delete(row);
      (has ? yes : no).add(row);
    }
    kept();
    show();
    await train(name);
  }

  // The next question need not wait for the training.
  async function answer(has) {
    if (active === null) return;
    if (asked === null) {
      page.say(`No track is asked about. ${NO_TRACK}`); // to keys: the buttons are off
      return;
    }
    const training = add(active, [asked], has);
    skip();
    await training;
  }

  function skip() {
    if (active === null) return;
    const row = next();
    if (row === undefined) {
      page.say("Nothing more to ask about");
      return;
    }
    const { uncertain } = labels.get(active);
    uncertain.splice(uncertain.indexOf(row), 1);
    page.go(row);
  }

  const named = () => byId("label").value.trim();
  const buttons = () => {
    const ready = named() !== "" && page.selection().length > 0;
    byId("teach").disabled = byId("unteach").disabled = !ready;
  };
  byId("label").oninput = buttons;
  byId("naming").onsubmit = (event) => {
    event.preventDefault();
    if (!byId("teach").disabled) page.tell(add(named(), page.selection(), true));
  };
  byId("unteach").onclick = () => page.tell(add(named(), page.selection(), false));
  byId("yes").onclick = () => page.tell(answer(true));
  byId("no").onclick = () => page.tell(answer(false));
  byId("skip").onclick = skip;
  byId("threshold").oninput = () => { byId("percent").textContent = byId("threshold").value; };
  byId("select-likely").onclick = () => page.select(likely());
  byId("saving").onsubmit = (event) => {
    event.preventDefault();
    const name = byId("head").value.trim() || byId("head").placeholder;
    page.tell(queued(() => save(name)));
  };

  for (const [name, yes, no] of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) {
    labels.set(name, { yes: new Set(yes), no: new Set(no), uncertain: [] });
  }
  ask(null, NO_TRACK);

  return {
    answer: (has) => page.tell(answer(has)),
    skip,
    selected: buttons,
    ask,
    active: () => active,
    probabilities: (name) => labels.get(name).probabilities,
  };
}
