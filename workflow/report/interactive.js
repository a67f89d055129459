// Maps of a set that are zoomed, measured and cut together. `description` describes the maps, `item` the figures.
"use strict";

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Values of a map, see `pack` in plot_interactive.py.
async function unpack(map) {
  const count = map.rows * map.columns;
  const planes = await inflate(map.data);
  const values = new Float32Array(count);
  let whole = 0;
  for (let i = 0; i < count; i++) {
    const folded =
      planes[i] + 256 * (planes[i + count] + 256 * (planes[i + 2 * count] + 256 * planes[i + 3 * count]));
    whole += folded % 2 ? -(folded + 1) / 2 : folded / 2;
    values[i] = whole * map.step;
  }
  if (map.unknown) {
    const unknown = await inflate(map.unknown);
    for (let i = 0; i < count; i++) if (unknown[i]) values[i] = NaN;
  }
  return values;
}

// Sorted sample of the finite values of a group, for percentiles.
function sample(maps) {
  const chosen = [];
  for (const map of maps) {
    const step = Math.max(1, Math.floor(map.values.length / 50000));
    for (let i = 0; i < map.values.length; i += step) if (isFinite(map.values[i])) chosen.push(map.values[i]);
  }
  return Float32Array.from(chosen).sort();
}

function percentile(sorted, percent) {
  return sorted.length ? sorted[Math.round(((sorted.length - 1) * percent) / 100)] : 0;
}

function show(value) {
  return isFinite(value) ? Number(value.toPrecision(5)).toString() : "unknown";
}

async function start() {
  const began = performance.now();
  await Bokeh.embed.embed_item(item);
  const model = (name) => Bokeh.documents[0].get_model_by_name(name);
  const { maps, groups, size } = description;
  for (const [index, map] of maps.entries()) {
    map.values = await unpack(map);
    const source = model(`source-${index}`);
    const NDArray = source.data.image[0].constructor;
    source.data = { image: [new NDArray(map.values, [map.rows, map.columns])] };
  }

  // colours
  groups.forEach((group, index) => {
    const mapper = model(`mapper-${index}`);
    const sorted = sample(maps.filter((map) => map.group === index));
    const lowest = percentile(sorted, 0), highest = percentile(sorted, 100);
    const box = document.querySelector(`[data-group="${index}"]`);
    const [low, high] = box.querySelectorAll("input");
    const output = box.querySelector("output");
    const span = highest - lowest || 1;
    const describe = () => {
      low.value = (1000 * (mapper.low - lowest)) / span;
      high.value = (1000 * (mapper.high - lowest)) / span;
      output.value = `${show(mapper.low)} to ${show(mapper.high)}`;
    };
    const limit = (from, to) => {
      if (to <= from) to = from + span / 1000;
      mapper.setv({ low: from, high: to });
      describe();
    };
    low.oninput = () => limit(Math.min(lowest + (span * low.value) / 1000, mapper.high - span / 1000), mapper.high);
    high.oninput = () => limit(mapper.low, Math.max(lowest + (span * high.value) / 1000, mapper.low + span / 1000));
    for (const button of box.querySelectorAll("button"))
      button.onclick = () => {
        const cut = (100 - button.dataset.percent) / 2;
        let from = percentile(sorted, cut), to = percentile(sorted, 100 - cut);
        if (group.signed) [from, to] = [-Math.max(-from, to), Math.max(-from, to)];
        limit(from, to);
      };
    describe();
  });

  // values under the cursor
  const cells = [...document.querySelectorAll("#values td[data-map]")];
  const at = (map, row, column) => {
    const i = Math.floor((row + 0.5) / size), j = Math.floor((column + 0.5) / size);
    return i >= 0 && j >= 0 && i < map.rows && j < map.columns ? map.values[i * map.columns + j] : NaN;
  };
  const place = document.getElementById("place");
  const measure = (row, column) => {
    place.textContent = `row ${Math.round(row)}, column ${Math.round(column)}`;
    cells.forEach((cell, index) => (cell.textContent = show(at(maps[index], row, column))));
  };

  // profiles
  const chosen = document.getElementById("profile-group"), kinds = [...document.getElementsByName("profile-kind")];
  let where = [description.rows / 2, description.columns / 2];
  const profileOf = (map, kind) => {
    const xs = [], ys = [];
    if (kind === "radius") {
      const sums = new Map();
      const middle = [(map.rows - 1) / 2, (map.columns - 1) / 2];
      for (let i = 0; i < map.rows; i++)
        for (let j = 0; j < map.columns; j++) {
          const value = map.values[i * map.columns + j];
          if (!isFinite(value)) continue;
          const ring = Math.round(Math.hypot(i - middle[0], j - middle[1]));
          const [sum, count] = sums.get(ring) || [0, 0];
          sums.set(ring, [sum + value, count + 1]);
        }
      for (const [ring, [sum, count]] of [...sums].sort((a, b) => a[0] - b[0])) {
        xs.push(ring * size);
        ys.push(sum / count);
      }
      return [xs, ys];
    }
    const along = kind === "row" ? map.columns : map.rows;
    for (let k = 0; k < along; k++) {
      const position = (k + 0.5) * size - 0.5;
      xs.push(position);
      ys.push(kind === "row" ? at(map, where[0], position) : at(map, position, where[1]));
    }
    return [xs, ys];
  };
  const profile = () => {
    const kind = kinds.find((each) => each.checked).value;
    const group = Number(chosen.value);
    const lines = maps.filter((map) => map.group === group);
    const cut = lines.map((map) => profileOf(map, kind));
    model("profile-lines").data = {
      xs: cut.map(([xs]) => xs), ys: cut.map(([, ys]) => ys), color: lines.map((map) => map.color),
    };
    const figure = model("profile");
    const spot = { row: `along row ${Math.round(where[0])}`, column: `along column ${Math.round(where[1])}` };
    figure.title.text = `${groups[group].name}: ${spot[kind] || "mean of rings about the centre of the field"}`;
    figure.below[0].axis_label = { row: "column", column: "row", radius: "distance from the centre, pixels" }[kind];
    figure.left[0].axis_label = groups[group].unit;
    document.getElementById("legend").replaceChildren(
      ...lines.map((map) => {
        const entry = document.createElement("span");
        entry.textContent = `■ ${map.label}`;
        entry.style.color = map.color;
        return entry;
      }),
    );
  };
  chosen.onchange = profile;
  for (const kind of kinds) kind.onchange = profile;
  for (let index = 0; index < maps.length; index++) {
    model(`figure-${index}`).on_event("mousemove", (event) => measure(event.y, event.x));
    model(`figure-${index}`).on_event("tap", (event) => {
      where = [event.y, event.x];
      measure(...where);
      profile();
    });
  }
  profile();
  measure(...where);
  document.body.dataset.ready = Math.round(performance.now() - began);
}

start().catch((error) => {
  document.getElementById("failed").textContent = `This page cannot be shown: ${error}`;
  console.error(error);
});
