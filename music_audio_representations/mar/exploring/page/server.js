// What the page asks the server. Addresses are relative: the page's own has the token.

async function ask(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const fallback = `the server answered ${response.status}`;
  throw new Error(typeof said.error === "string" ? said.error : fallback);
}

const json = async (path, options) => (await ask(path, options)).json();
const floats = async (path) => new Float32Array(await (await ask(path)).arrayBuffer());
const post = (body) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});
const part = encodeURIComponent;

export const about = () => json("about");
export const points = () => floats("points");
export const column = (id) => json(`columns/${id}`);
export const columnValues = (id) => floats(`columns/${id}/values`);
export const track = (row) => json(`tracks/${row}`);
export const sound = (row) => ask(`sound/${row}`, { headers: { range: "bytes=0-0" } });
export const names = (rows) => json("tracks", post(rows));
export const nearest = (row, k) => json(`nearest/${row}?k=${k}`);
export const between = (start, end) => json(`between/${start}/${end}`);
export const place = (file) => json("place", { method: "POST", body: file });
export const teach = (label, yes, no) => json("labels", post({ label, yes, no }));
export const probabilities = (label) => floats(`probabilities?label=${part(label)}`);
export const save = (name, labels) => json("heads", post({ name, labels }));
export const exported = async (rows, format, label) =>
  (await ask("export", post({ rows, format, label }))).blob();
export const search = async (text) =>
  new Uint32Array(await (await ask(`search?text=${part(text)}`)).arrayBuffer());
