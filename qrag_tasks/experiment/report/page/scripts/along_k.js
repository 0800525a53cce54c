// Score, difference and KL against the number of documents: all retrievers of a task to one scale.

const MEASURES = [
  { name: "score", label: (cell) => `${cell.metric}${arrowOf(cell)}`, of: (cell) => cell.score, base: (cell) => cell.baseScore },
  { name: "difference", label: () => "to the base: ↑ better", zero: true,
    of: (cell) => gain(cell, cell.difference),
    low: (cell) => (cell.low === null ? null : gain(cell, cell.up === false ? cell.high : cell.low)),
    high: (cell) => (cell.high === null ? null : gain(cell, cell.up === false ? cell.low : cell.high)) },
  { name: "KL", label: () => "KL, nats a token", zero: true, of: (cell) => cell.fidelity?.kl ?? null,
    low: (cell) => cell.fidelity?.low ?? null, high: (cell) => cell.fidelity?.high ?? null },
];
const PANEL = 132;
let clips = 0;

function drawAlong(now) {
  const figures = alongFigures(now.filter((cell) => cell.metric && cell.documents !== null && cell.k && !cell.byDesign.includes("k")));
  at("along-section").hidden = !figures.length;
  const arms = different(figures.flatMap((one) => one.members.map((cell) => cell.arm))).sort(byArm);
  at("arms").replaceChildren(...arms.map((arm) => {
    const item = element("li");
    const button = plainButton("", `only ${arm}`, view.arm === arm, () => toggle("arm", arm));
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = colourOf(arm);
    button.append(swatch, ` ${arm}`);
    item.append(button);
    return item;
  }), ...different(figures.flatMap((one) => one.members.map((cell) => cell.base))).map((base) => {
    const item = element("li");
    item.append(element("span", undefined, "swatch base"), ` ${base} (base)`);
    return item;
  }));
  const width = widthOf(at("along"));
  at("along").replaceChildren(...figures.map((one) => alongFigure(one, width)));
}

const colourOf = (arm) => data.colours[arm] ?? "currentColor";

/** Return a figure for every model and task with more than one k, and in it a panel for each retriever. */
function alongFigures(members) {
  const figures = new Map();
  for (const cell of members) {
    const name = [cell.model, cell.task, cell.filter].join("\n");
    if (!figures.has(name)) figures.set(name, { cell, members: [] });
    figures.get(name).members.push(cell);
  }
  for (const figure of figures.values()) {
    const ranked = figure.members.filter((cell) => cell.k !== "0");
    const keys = different(ranked.map((cell) => [cell.retriever, cell.order].join("\n")));
    const ordered = keys.filter((key) => !key.endsWith("\n") || !keys.some((other) => other !== key && other.startsWith(key)));
    figure.panels = ordered.map((key) => {
      const [retriever, order] = key.split("\n");
      const its = figure.members.filter((cell) => cell.k === "0"
        || (cell.retriever === retriever && (cell.order === order || cell.order === "")));
      return { title: order && differs(ranked.filter((c) => c.order), "order") ? `${retriever}, ${order}` : retriever, its };
    }).filter(({ its }) => differs(its, "documents"));
  }
  return [...figures.values()].filter(({ panels }) => panels.length);
}

function alongFigure({ cell, members, panels }, width) {
  const holder = element("figure", undefined, "panel");
  holder.append(element("h3", [differs(cells, "model") && cell.model, cell.task, cell.filter].filter(Boolean).join(", ")));
  const across = Math.max(1, Math.min(panels.length, Math.floor(width / 250)));
  const measures = MEASURES.filter((measure) => members.some((one) => measure.of(one) !== null));
  const [, far] = reach(members);
  // An arm that fell apart would press all others into a line: it stands at the edge, with an arrow.
  const inside = members.filter((one) => Math.abs(one.difference) <= far);
  const scales = measures.map((measure) => ends([
    ...inside.flatMap((one) => [measure.of(one), measure.base?.(one), measure.low?.(one), measure.high?.(one)])
      .filter((value) => value !== null && value !== undefined),
    ...(measure.zero ? [0] : []),
    ...(measure.name === "difference" && cell.margin ? [-cell.margin, cell.margin] : []),
  ]));
  const left = 66, gap = 14;
  const inner = Math.min(360, (Math.min(width, 1240) - left - gap * (across - 1) - 8) / across);
  for (let start = 0; start < panels.length; start += across) {
    const shown = panels.slice(start, start + across);
    const total = left + shown.length * inner + gap * (shown.length - 1) + 8;
    const height = 22 + measures.length * (PANEL + 12) + 26;
    const frame = svg("svg", { width: total, height, viewBox: `0 0 ${total} ${height}`, role: "group",
      "aria-label": `${cell.task} against the number of documents` });
    const marks = [];
    shown.forEach((panel, column) => {
      const x = left + column * (inner + gap);
      frame.append(text(x + 2, 14, panel.title, { class: "title" }));
      measures.forEach((measure, row) => {
        const y = 22 + row * (PANEL + 12);
        marks.push(...alongPanel(frame, panel, measure, scales[row], { x, y, inner, first: column === 0, last: row === measures.length - 1, cell }));
      });
    });
    roving(frame, marks);
    holder.append(frame);
  }
  return holder;
}

function alongPanel(frame, panel, measure, limits, { x: left, y: top, inner, first, last, cell }) {
  const depth = (one) => Math.sqrt(one.documents);
  const x = scale([0, Math.max(...panel.its.map(depth))], [left + 12, left + inner - 12]);
  const y = scale(limits, [top + PANEL, top]);
  const clip = `clip-${(clips += 1)}`;
  frame.append(svg("clipPath", { id: clip }, svg("rect", { x: left, y: top, width: inner, height: PANEL })),
    svg("rect", { class: "frame", x: left, y: top, width: inner, height: PANEL }));
  if (measure.name === "difference" && cell.margin) {
    frame.append(svg("rect", { class: "band", x: left, y: y(cell.margin), width: inner, height: y(-cell.margin) - y(cell.margin) }));
  }
  const places = ticks(...limits, 4);
  for (const tick of places) {
    frame.append(line(left, y(tick), left + inner, y(tick), tick === 0 && measure.zero ? "zero" : "grid"));
    if (first) frame.append(text(left - 5, y(tick) + 4, tickText(tick, places), { "text-anchor": "end", class: "tick" }));
  }
  if (first) frame.append(text(0, 0, measure.label(cell), { class: "tick", "text-anchor": "middle", transform: `translate(10 ${top + PANEL / 2}) rotate(-90)` }));
  const depths = new Map(panel.its.map((one) => [one.k, depth(one)]));
  let before = null;
  for (const [k, place] of [...depths].sort((one, two) => one[1] - two[1])) {
    frame.append(line(x(place), top + PANEL, x(place), top + PANEL + 3, "grid"));
    if (!last) continue;
    if (before && x(place) - before.x < 7 * before.label.textContent.length) {
      before.label.textContent += `, ${k}`;
      before.label.setAttribute("text-anchor", x(place) > left + inner * 0.8 ? "end" : "middle");
    } else {
      before = { x: x(place), label: text(x(place), top + PANEL + 15, k, { "text-anchor": "middle", class: "tick" }) };
      frame.append(before.label);
    }
  }
  if (last) frame.append(text(left + inner / 2, top + PANEL + 28, "k", { "text-anchor": "middle", class: "tick" }));
  if (measure.base) frame.append(pathOf(different(panel.its.map((one) => one.k)).map((k) => panel.its.find((one) => one.k === k)), depth, measure.base, x, y, "base"));
  const arms = different(panel.its.map((one) => one.arm));
  return arms.flatMap((arm, number) => {
    const its = panel.its.filter((one) => one.arm === arm && measure.of(one) !== null);
    const path = pathOf(its, depth, measure.of, x, y, "arm");
    path.style.stroke = colourOf(arm);
    path.setAttribute("clip-path", `url(#${clip})`);
    frame.append(path);
    // Beside each other, so that intervals do not hide each other.
    const beside = (number - (arms.length - 1) / 2) * Math.min(4, 16 / arms.length) * (measure.low ? 1 : 0);
    return its.map((one) => {
      const px = x(depth(one)) + beside;
      const within = (value) => Math.max(top, Math.min(top + PANEL, y(value)));
      const py = within(measure.of(one)), beyond = py !== y(measure.of(one));
      const point = svg("g", { class: "point" }, svg("circle", { class: "hit", cx: px, cy: py, r: 9 }));
      if (measure.low && measure.low(one) !== null) point.append(line(px, within(measure.low(one)), px, within(measure.high(one)), "whisker"));
      const shown = ["worse", "better", "different"].includes(one.state);
      point.append(beyond ? svg("path", { class: "dot shown", d: py === top ? `M${px - 5} ${top + 8}h10l-5 -8z` : `M${px - 5} ${py - 8}h10l-5 8z` })
        : svg("circle", { class: shown ? "dot shown" : "dot", cx: px, cy: py, r: shown ? 4.5 : 3.5 }));
      point.style.color = colourOf(arm);
      frame.append(point);
      tipped(point, () => linesOf(one));
      return pressable(point, linesOf(one).filter(Boolean).join(". "), () => toggleCell(one));
    });
  });
}

function pathOf(members, depth, value, x, y, className) {
  const sorted = [...members].sort((one, two) => depth(one) - depth(two));
  return svg("path", { class: className, d: sorted.map((one, n) => `${n ? "L" : "M"}${x(depth(one)).toFixed(1)} ${y(value(one)).toFixed(1)}`).join("") });
}

onView(drawAlong);
