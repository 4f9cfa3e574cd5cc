// Labels that are taught by examples: which tracks have them, which have not.

import * as server from "./server.js";

const byId = (id) => document.getElementById(id);
const KEY = `taught ${location.pathname}`; // of this run of the server

export function createTeaching(page) {
  const labels = new Map(); // by name: {yes, no: sets of rows, score, uncertain, probabilities}
  let active = null;
  let trainings = 0;

  function kept() {
    const plain = [...labels].map(([name, { yes, no }]) => [name, [...yes], [...no]]);
    sessionStorage.setItem(KEY, JSON.stringify(plain));
  }

  function examples(name) {
    if (!labels.has(name)) labels.set(name, { yes: new Set(), no: new Set(), uncertain: [] });
    return labels.get(name);
  }

  async function train(name) {
    const label = examples(name);
    const training = (trainings += 1);
    if (!label.yes.size) return page.say(`${name}: needs a track that has it`);
    page.say(`Training ${name}…`);
    const { score, uncertain } = await server.teach(name, [...label.yes], [...label.no]);
    const probabilities = await server.probabilities(name);
    if (training !== trainings) return undefined; // there is a newer one
    Object.assign(label, { score, uncertain, probabilities });
    active = name;
    page.say("");
    show();
    return page.colourByLabel(name);
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

  async function answer(has) {
    const row = page.current();
    if (active === null || row === null) return;
    await add(active, [row], has);
    skip();
  }

  function skip() {
    const { uncertain } = labels.get(active) ?? { uncertain: [] };
    const next = uncertain.shift();
    if (next !== undefined) page.go(next);
    else page.say("Nothing more to ask about");
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
    const trained = [...labels].filter(([, label]) => label.probabilities).map(([label]) => label);
    const name = byId("head").value.trim() || byId("head").placeholder;
    page.tell(server.save(name, trained).then(({ file }) =>
      page.say(`Saved. Label with it: mar tag --head "${file}" --output tags.parquet …`)));
  };

  for (const [name, yes, no] of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) {
    labels.set(name, { yes: new Set(yes), no: new Set(no), uncertain: [] });
  }
  show();

  return {
    answer: (has) => page.tell(answer(has)),
    skip,
    selected: buttons,
    asked(text) { byId("asked").textContent = text; },
    active: () => active,
    names: () => [...labels].filter(([, label]) => label.probabilities).map(([name]) => name),
    probabilities: (name) => labels.get(name).probabilities,
  };
}
