// From values to the colours of points, and the legend that says which is which.

const KINDS = [ // told apart by most eyes (Tol's bright and muted schemes), on light and dark
  "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#44aa99",
  "#882255", "#999933", "#7788ee", "#cc8899",
];
const SCALE = ["#31287a", "#3b5fa8", "#2f8f9d", "#45b37c", "#a4cf4a", "#f4e04d"];
const NONE = "#9a9a94";
const STEPS = 64;

const mixed = (share) => {
  const place = share * (SCALE.length - 1);
  const first = Math.min(Math.floor(place), SCALE.length - 2);
  const [a, b] = [SCALE[first], SCALE[first + 1]].map((colour) =>
    [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const hex = (value) => Math.round(value).toString(16).padStart(2, "0");
  return "#" + a.map((from, i) => hex(from + (b[i] - from) * (place - first))).join("");
};
const RAMP = Array.from({ length: STEPS }, (_, step) => mixed(step / (STEPS - 1)));

// Of each point the number of its colour; the last one is for what has no value.
export function byCategory(numbers, count) {
  const colours = [...KINDS.slice(0, count), NONE];
  const last = colours.length - 1;
  const codes = Float32Array.from(numbers, (number) => (number < last ? number : last));
  return { codes, colours };
}

export function byNumber(numbers, low, high) {
  const colours = [...RAMP, NONE];
  const step = (STEPS - 1) / (high - low);
  const codes = Float32Array.from(numbers, (number) =>
    Number.isNaN(number) ? STEPS : Math.max(0, Math.min(STEPS - 1, Math.round((number - low) * step))));
  return { codes, colours };
}

export function plain(count) {
  return { codes: new Float32Array(count), colours: [KINDS[0], NONE] };
}

// A button for each category, which shows or hides it: `toggled` is given the hidden codes.
export function categoryLegend(element, categories, counts, colours, total, toggled) {
  const hidden = new Set();
  const last = colours.length - 1;
  const shown = categories.slice(0, last).map((name, code) => [name, counts[code], code]);
  const others = total - shown.reduce((sum, [, count]) => sum + count, 0);
  if (others) shown.push([categories.length > last ? "others" : "none", others, last]);
  element.replaceChildren(...shown.map(([name, count, code]) => {
    const button = document.createElement("button");
    const dot = document.createElement("i");
    const text = document.createElement("span");
    const size = document.createElement("small");
    dot.style.background = colours[code];
    text.textContent = name;
    size.textContent = count.toLocaleString("en");
    button.append(dot, text, size);
    button.setAttribute("aria-pressed", "true");
    button.title = "Show or hide";
    button.onclick = () => {
      if (!hidden.delete(code)) hidden.add(code);
      button.setAttribute("aria-pressed", String(!hidden.has(code)));
      toggled(hidden);
    };
    return button;
  }));
}

// The scale, and two sliders that hide what lies outside of them.
export function numberLegend(element, low, high, toggled) {
  const scale = document.createElement("div");
  const bar = document.createElement("div");
  scale.className = "scale";
  bar.style.background = `linear-gradient(to right, ${SCALE.join(",")})`;
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
  scale.append(number(low), bar, number(high));
  const [least, most] = ["from", "to"].map((name, which) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: STEPS - 1, value: which * (STEPS - 1) });
    label.append(name, input);
    scale.append(label);
    input.onchange = () => {
      const [from, to] = [Number(least.value), Number(most.value)];
      const all = from === 0 && to === STEPS - 1;
      const codes = Array.from({ length: STEPS + 1 }, (_, code) => code);
      toggled(new Set(all ? [] : codes.filter((code) => code < from || code > to)));
    };
    return input;
  });
  element.replaceChildren(scale);
}
