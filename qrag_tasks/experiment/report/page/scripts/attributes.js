// Score and difference by an attribute of the questions: the bins of a number, or classes.

const BIN_PANEL = 132;

function drawAttributes(now) {
  const section = at("attributes-section");
  const known = different(cells.flatMap((cell) => cell.attributes.filter((one) => one.bins.length > 1).map((one) => one.name)));
  section.hidden = !known.length;
  if (!known.length) return;
  const name = [view.attribute, data.attribute].find((one) => known.includes(one)) ?? shownFirst(known);
  const select = at("attribute");
  select.replaceChildren(...known.map((one) => {
    const option = element("option", one);
    option.value = one;
    option.selected = one === name;
    return option;
  }));
  select.onchange = () => choose({ attribute: select.value });
  const members = now.map((cell) => ({ cell, by: cell.attributes.find((one) => one.name === name) }))
    .filter(({ by }) => by && by.bins.length > 1);
  const arms = different(members.map(({ cell }) => cell.arm)).sort(byArm);
  at("attribute-arms").replaceChildren(...arms.map((arm) => swatchOf(arm, colourOf(arm))),
    ...different(members.map(({ cell }) => cell.base)).map((base) => swatchOf(`${base} (base)`)));
  const holder = at("attributes");
  if (!members.length) {
    holder.replaceChildren(element("p", `No cell that is chosen has ${name}.`, "empty"));
    return;
  }
  const width = widthOf(holder);
  const panels = new Map();
  for (const one of members) {
    const { cell } = one;
    const key = [cell.model, cell.task, cell.filter, cell.k, cell.retriever, cell.order, cell.base].join("\n");
    if (!panels.has(key)) panels.set(key, []);
    panels.get(key).push(one);
  }
  holder.replaceChildren(...[...panels.values()].map((its) => attributeFigure(name, its, width, panels.size)));
}

/** Return the attribute that is shown first where none was asked for: a number, where there is one. */
const shownFirst = (known) => known.find((name) => cells.some((cell) => cell.attributes.some((one) => one.name === name && one.trend))) ?? known[0];

function swatchOf(label, colour) {
  const item = element("li");
  const swatch = element("span", undefined, colour ? "swatch" : "swatch base");
  if (colour) swatch.style.background = colour;
  item.append(swatch, ` ${label}`);
  return item;
}

function attributeFigure(name, members, width, count) {
  const { cell } = members[0];
  const holder = element("figure", undefined, "panel");
  const title = [differs(cells, "model") && cell.model, cell.task, cell.filter, cell.k && `k = ${cell.k}`, cell.k !== "0" && cell.retriever, differs(cells.filter((one) => one.order), "order") && cell.order];
  holder.append(element("h3", title.filter(Boolean).join(", ")));
  const longest = members.map(({ by }) => by.bins).reduce((one, two) => (two.length > one.length ? two : one));
  const numeric = longest.every((bin) => bin.mean !== null);
  const left = 66;
  const total = Math.min(width, count > 1 && width >= 900 ? width / 2 - 16 : 620);
  // A slanted label reaches to the left, beyond the axis of a narrow figure.
  const letters = total < 480 ? 16 : 24;
  const below = numeric ? 34 : 18 + 4 * Math.max(...longest.map((bin) => Math.min(letters, bin.label.length)));
  const height = 8 + 2 * (BIN_PANEL + 12) + below;
  const frame = svg("svg", { width: total, height, viewBox: `0 0 ${total} ${height}`, role: "group", "aria-label": `${cell.task} by ${name}` });
  const places = longest.map((bin) => (numeric ? bin.mean : longest.indexOf(bin)));
  const room = numeric ? 0.04 : 0.5 / Math.max(1, places.length - 1);
  const x = scale(ends(places, room), [left + 8, total - 12]);
  const placeOf = (bin) => x(numeric ? bin.mean : longest.findIndex((one) => one.label === bin.label));
  const bins = members.flatMap(({ by }) => by.bins);
  const measures = [
    { label: `${cell.metric}${arrowOf(cell)}`, of: (bin) => bin.score, base: (bin) => bin.base, limits: ends(bins.flatMap((bin) => [bin.base, bin.score])) },
    { label: "to the base: ↑ better", zero: true, of: (bin) => gain(cell, bin.difference),
      reach: (bin) => (bin.low === null ? null : [gain(cell, bin.low), gain(cell, bin.high)].sort((one, two) => one - two)),
      limits: ends([0, ...bins.flatMap((bin) => [bin.difference, bin.low, bin.high].filter((value) => value !== null).map((value) => gain(cell, value)))]) },
  ];
  const marks = measures.flatMap((measure, row) => {
    const top = 8 + row * (BIN_PANEL + 12);
    const y = scale(measure.limits, [top + BIN_PANEL, top]);
    frame.append(svg("rect", { class: "frame", x: left, y: top, width: total - left - 4, height: BIN_PANEL }));
    const steps = ticks(...measure.limits, 4);
    for (const tick of steps) {
      frame.append(line(left, y(tick), total - 4, y(tick), tick === 0 && measure.zero ? "zero" : "grid"),
        text(left - 5, y(tick) + 4, tickText(tick, steps), { "text-anchor": "end", class: "tick" }));
    }
    frame.append(text(0, 0, measure.label, { class: "tick", "text-anchor": "middle", transform: `translate(10 ${top + BIN_PANEL / 2}) rotate(-90)` }));
    if (measure.base) frame.append(numeric ? binPath(longest, placeOf, measure.base, y, "base") : binSteps(longest, placeOf, measure.base, y));
    return members.flatMap(({ cell: its, by }, number) => {
      const beside = (number - (members.length - 1) / 2) * Math.min(6, 24 / members.length) * (measure.reach ? 1 : 0);
      if (numeric) {
        const path = binPath(by.bins, placeOf, measure.of, y, "arm");
        path.style.stroke = colourOf(its.arm);
        frame.append(path);
      }
      return by.bins.map((bin) => binMark(frame, its, name, bin, placeOf(bin) + beside, y, measure));
    });
  });
  labelBins(frame, name, longest, numeric, { x, placeOf, bottom: 8 + 2 * BIN_PANEL + 12, total, left, letters });
  roving(frame, marks);
  holder.append(frame);
  for (const { cell: its, by } of members) {
    const told = trendText(its, name, by);
    if (told) holder.append(element("p", told, "small"));
  }
  return holder;
}

function binMark(frame, cell, name, bin, px, y, measure) {
  const py = y(measure.of(bin));
  const shown = ["worse", "better", "different"].includes(bin.state);
  const point = svg("g", { class: "point" }, svg("circle", { class: "hit", cx: px, cy: py, r: 9 }));
  const reached = measure.reach?.(bin);
  if (reached) point.append(line(px, y(reached[0]), px, y(reached[1]), "whisker"));
  point.append(svg("circle", { class: shown ? "dot shown" : "dot", cx: px, cy: py, r: shown ? 4.5 : 3.5 }));
  point.style.color = colourOf(cell.arm);
  frame.append(point);
  const lines = [
    `${cell.arm} against ${cell.base}, ${cell.model}`, `${name}: ${bin.label}`, bin.verdict,
    `${cell.metric} ${bin.base.toFixed(3)} → ${bin.score.toFixed(3)} (${signed(bin.difference)})`,
    bin.low === null ? "no interval: too few differ" : `${100 * data.level} % interval ${signed(bin.low)} to ${signed(bin.high)}`,
    bin.p !== null && `p ${bin.p < 0.0005 ? "< 0.001" : bin.p.toFixed(3)} (Holm)`,
    counted(bin.n, "sample") + (bin.users === null ? "" : ` of ${counted(bin.users, "user")}`),
  ].filter(Boolean);
  tipped(point, () => lines);
  return pressable(point, lines.join(". "), () => toggleCell(cell));
}

function binPath(bins, place, value, y, className) {
  const sorted = [...bins].sort((one, two) => place(one) - place(two));
  return svg("path", { class: className, d: sorted.map((bin, n) => `${n ? "L" : "M"}${place(bin).toFixed(1)} ${y(value(bin)).toFixed(1)}`).join("") });
}

/** Return the base's scores of classes, between which there is nothing. */
function binSteps(bins, place, value, y) {
  return svg("path", { class: "base", d: bins.map((bin) => `M${place(bin) - 12} ${y(value(bin))}h24`).join("") });
}

function labelBins(frame, name, bins, numeric, { x, placeOf, bottom, total, left, letters }) {
  if (!numeric) {
    for (const bin of bins) {
      const label = bin.label.length > letters ? `${bin.label.slice(0, letters - 1)}…` : bin.label;
      frame.append(text(0, 0, label, { class: "tick", "text-anchor": "end", transform: `translate(${placeOf(bin) + 4} ${bottom + 12}) rotate(-40)` }));
    }
    return;
  }
  const steps = ticks(x.from, x.to, total < 420 ? 4 : 6);
  for (const tick of steps) {
    frame.append(line(x(tick), bottom, x(tick), bottom + 3, "grid"),
      text(x(tick), bottom + 15, tickText(tick, steps).replace(/\B(?=(\d{3})+$)/g, ","), { "text-anchor": "middle", class: "tick" }));
  }
  frame.append(text((left + total) / 2, bottom + 30, name, { "text-anchor": "middle", class: "tick" }));
}

/** Say how the difference goes with a number, over single samples; nothing of classes. */
function trendText(cell, name, by) {
  if (!by.trend) return "";
  const { change, low, high, p, verdict } = by.trend;
  const sure = low === null ? "too few differ for an interval"
    : `${100 * data.level} % interval ${signed(low)} to ${signed(high)}, p ${p < 0.0005 ? "< 0.001" : p.toFixed(3)}, Holm`;
  const words = { worse: "the loss grows", better: "the loss shrinks" }[verdict] ?? verdict;
  return `${cell.arm}: from the lowest ${name} to the highest the difference changes by ${signed(change)} (${sure}): ${words}.`;
}

onView(drawAttributes);
