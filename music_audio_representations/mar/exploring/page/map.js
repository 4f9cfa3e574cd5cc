// The map: points that are panned, zoomed, hovered, clicked and lassoed.

import createScatterplot from "./vendor/regl-scatterplot.js";

const MARGIN = 0.95;
const DENSE = 20000; // points from which on they become translucent where many lie
const MANY = 200000; // from which on they are plain squares
const FINGER = 20; // pixels that it is off at most

export function createMap(canvas, places, on) {
  const count = places.length / 2;
  const x = new Float32Array(count);
  const y = new Float32Array(count);
  for (let row = 0; row < count; row += 1) {
    x[row] = (2 * places[2 * row] - 1) * MARGIN;
    y[row] = (2 * places[2 * row + 1] - 1) * MARGIN;
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const ink = () => (dark.matches ? "#ffffff" : "#000000");
  const { width, height } = canvas.getBoundingClientRect();
  const far = Math.max(1, height / width); // which fits the height alone otherwise
  // On a double click the library would write styles into the page, which its policy forbids.
  canvas.addEventListener("dblclick", (event) => event.stopImmediatePropagation(), true);
  const plot = createScatterplot({
    canvas,
    width,
    height,
    cameraDistance: far,
    spatialIndexUseWorker: false, // a worker would be code that is made on the way
    pointSize: count < 1000 ? 9 : count < 5000 ? 6 : count < DENSE ? 4 : 2,
    pointSizeSelected: 3,
    opacity: 0.9,
    opacityBy: count < DENSE ? null : "density",
    performanceMode: count >= MANY,
    deselectOnEscape: false,
    deselectOnDblClick: false,
    lassoMinDelay: 8,
    lassoLineWidth: 2,
  });
  let lassoing = false;
  let filter = null;
  let drawn = Promise.resolve();
  let wanted = null; // what is drawn next, when what is being drawn has been

  const theme = () => plot.set({
    backgroundColor: dark.matches ? "#16171a" : "#fbfbfa",
    pointColorActive: ink(),
    pointColorHover: ink(),
    lassoColor: ink(),
    annotationLineColor: ink(),
  });
  theme();
  dark.addEventListener("change", theme);
  new ResizeObserver(([{ contentRect }]) => {
    plot.set({ width: contentRect.width, height: contentRect.height });
  }).observe(canvas.parentElement);

  plot.subscribe("lassoStart", () => { lassoing = true; });
  plot.subscribe("lassoEnd", () => {
    lassoing = false;
    on.lassoEnd();
  });
  plot.subscribe("pointover", (row) => on.hover(row, plot.getScreenPosition(row)));
  plot.subscribe("pointout", () => on.hover(null));
  plot.subscribe("view", () => on.hover(null));
  plot.subscribe("select", ({ points }) => {
    if (lassoing) on.lasso([...points]);
    else on.click(points[points.length - 1]);
  });
  byTouch(canvas, (event) => {
    const row = nearest(event);
    if (row !== null) on.click(row);
  });

  // Rows of the points that are farthest out: what is seen between them lies on a line, as the map
  // is never turned.
  const ends = (values) => {
    const rows = [0, 0];
    values.forEach((value, row) => {
      if (value < values[rows[0]]) rows[0] = row;
      if (value > values[rows[1]]) rows[1] = row;
    });
    return rows;
  };
  const axes = [[x, ends(x)], [y, ends(y)]];

  // The row whose point is nearest to where an event was, within a finger's width; null for none.
  function nearest(event) {
    if (!plot.get("isPointsDrawn")) return null;
    const { left, top } = canvas.getBoundingClientRect();
    const at = [event.clientX - left, event.clientY - top];
    const [across, down] = axes.map(([values, [low, high]], axis) => {
      const [begin, end] = [low, high].map((row) => plot.getScreenPosition(row)[axis]);
      const scale = (end - begin) / (values[high] - values[low] || 1);
      return (row) => begin + scale * (values[row] - values[low]) - at[axis];
    });
    let found = null;
    let distance = FINGER;
    const look = (row) => {
      const here = Math.hypot(across(row), down(row));
      if (here < distance) [found, distance] = [row, here];
    };
    if (filter) filter.forEach(look);
    else x.forEach((_, row) => look(row));
    return found;
  }

  async function redraw() {
    const { codes, colours } = wanted;
    wanted = null;
    plot.set({ colorBy: "valueA", pointColor: colours });
    const options = { preventFilterReset: true, zDataType: "categorical" };
    const index = plot.get("spatialIndex");
    if (index) options.spatialIndex = index;
    await plot.draw({ x, y, valueA: codes }, options);
    if (filter) plot.filter(filter, { preventEvent: true });
  }

  return {
    count,
    x,
    y,
    colour(codes, colours) {
      wanted = { codes, colours };
      drawn = drawn.then(() => wanted && redraw());
      return drawn;
    },
    filter(rows) {
      filter = rows;
      if (rows) plot.filter(rows, { preventEvent: true });
      else plot.unfilter({ preventEvent: true });
    },
    select(rows) {
      if (rows.length) plot.select(rows, { preventEvent: true });
      else plot.deselect({ preventEvent: true });
    },
    lasso(active) { plot.set({ mouseMode: active ? "lasso" : "panZoom" }); },
    zoom(factor) {
      plot.zoomToLocation(plot.get("cameraTarget"), plot.get("cameraDistance") / factor,
        { transition: true, transitionDuration: 150 });
    },
    reset() {
      plot.reset();
      // A motion that is under way would go on, but for another one.
      plot.zoomToLocation([0, 0], far, { transition: true, transitionDuration: 1 });
    },
    look(rows) {
      plot.zoomToPoints(rows, { padding: 0.6, transition: true, transitionDuration: 300 });
    },
    position: (row) => plot.getScreenPosition(row),
    // A cross where a file belongs, or a line from track to track; null for neither.
    mark(place) {
      if (!place) return plot.clearAnnotations();
      const [left, top] = [place.x, place.y].map((value) => (2 * value - 1) * MARGIN);
      const size = 0.04;
      return plot.drawAnnotations([
        { vertices: [[left - size, top], [left + size, top]], lineWidth: 3 },
        { vertices: [[left, top - size], [left, top + size]], lineWidth: 3 },
      ]);
    },
    way(rows) {
      return plot.drawAnnotations([{ vertices: rows.map((row) => [x[row], y[row]]), lineWidth: 2 }]);
    },
  };
}

// Fingers: a tap chooses the nearest point, a drag is one of a mouse, two zoom. The library knows the
// mouse alone, and what a press hits only once it has seen the mouse move there.
function byTouch(canvas, tap) {
  const fingers = new Map();
  let first = null; // where the only finger came, while it may yet be a tap
  let dragging = false;
  let sent = Promise.resolve();

  const send = (kind, event, buttons) => {
    sent = sent.then(() => canvas.dispatchEvent(new MouseEvent(kind, {
      bubbles: true, cancelable: true, view: window, buttons,
      clientX: event.clientX, clientY: event.clientY,
    })));
  };
  // The library takes what a mouse moved since its last frame for a drag, if it is pressed by now.
  const frames = () => new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(resolve));
  });
  const apart = (one, other) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);

  function zoom(before, after) {
    const [one, other] = after;
    canvas.dispatchEvent(new WheelEvent("wheel", {
      bubbles: true, cancelable: true, deltaY: 2 * (apart(...before) - apart(...after)),
      clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2,
    }));
  }

  function begin() {
    dragging = true;
    send("mousemove", first, 0);
    sent = sent.then(frames);
    send("mousedown", first, 1);
  }

  function end(event) {
    dragging = false;
    sent = sent.then(frames); // in which it still sees the last of the drag
    send("mouseup", event, 0);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    event.preventDefault(); // the browser's own mouse events
    fingers.set(event.pointerId, event);
    if (dragging) end(event);
    first = fingers.size === 1 ? event : null;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) zoom(before, [...fingers.values()]);
    if (first && !dragging && apart(first, event) > FINGER / 2) begin();
    if (dragging) send("mousemove", event, 1);
  });
  for (const type of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(type, (event) => {
      if (!fingers.delete(event.pointerId)) return;
      if (dragging) end(event);
      else if (first && type === "pointerup") tap(first);
      first = null;
    });
  }
  // The browser's own click is of no point that the library knows of.
  canvas.parentElement.addEventListener("click", (event) => {
    if (event.isTrusted && event.pointerType === "touch" && event.target === canvas) {
      event.stopPropagation();
    }
  }, { capture: true });
}
