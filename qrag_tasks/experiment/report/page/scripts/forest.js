// Forest plots: every cell's difference with its interval, and the margin; a loss is always left.

const FEW_ROWS = 24;
const ROW = 20;

function drawForest(now) {
  const holder = at("forest");
  const groups = new Map();
  for (const cell of now.filter((one) => one.metric)) {
    const name = `${cell.k ? cell.task : "tasks"}, ${cell.metric}`;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(cell);
  }
  holder.parentElement.hidden = !cells.some((cell) => cell.metric);
  if (!groups.size) {
    holder.replaceChildren(element("p", "No cell that is chosen has a score.", "empty"));
    return;
  }
  const across = groups.size > 1 && widthOf(holder) >= 900 ? 2 : 1;
  const width = Math.min(900, (widthOf(holder) - 24 * (across - 1)) / across);
  holder.replaceChildren(...[...groups].map(([name, members]) => forestOf(name, members, width)));
}

/** A loss is negative, whatever the metric. */
const gain = (cell, value) => (cell.up === false ? -value : value);

function forestOf(name, members, width) {
  const holder = element("figure", undefined, "panel");
  const sorted = [...members].sort((one, two) => relative(one) - relative(two));
  const all = view.rows === "all";
  const rows = all ? sorted : sorted.slice(0, FEW_ROWS);
  const first = members[0];
  holder.append(element("h3", `${name}${arrowOf(first)}`));
  holder.append(forestFigure(rows, members, width, name));
  if (sorted.length > FEW_ROWS) {
    holder.append(plainButton(all ? `Only the first ${FEW_ROWS}` : `All ${sorted.length}`, undefined, undefined,
      () => choose({ rows: all ? undefined : "all" })));
  }
  return holder;
}

const relative = (cell) => gain(cell, cell.difference) / (cell.margin || 1);

function forestFigure(rows, members, width, name) {
  const labels = rows.map((cell) => nameOf(cell, members.length > 1 ? members : cells));
  const longest = Math.max(...labels.map((label) => label.length));
  const left = Math.min(width * 0.42, 14 + longest * 6.6);
  const texts = width >= 520 ? 168 : 58;
  const [from, to] = reach(rows);
  const x = scale([from, to], [left + 16, width - texts - 8]);
  const top = 22, bottom = top + rows.length * ROW;
  const first = rows[0];
  const frame = svg("svg", { width, height: bottom + 34, viewBox: `0 0 ${width} ${bottom + 34}`, role: "group",
    "aria-label": `${name}: differences to the base with their intervals` });
  const margin = different(rows.map((cell) => cell.margin)).length === 1 ? first.margin : null;
  if (margin) frame.append(svg("rect", { class: "band", x: x(-margin), y: top - 4, width: x(margin) - x(-margin), height: bottom - top + 4 }));
  const known = first.up !== null;
  frame.append(text(x(0) - 6, 11, known ? "← worse" : "", { "text-anchor": "end", class: "hint" }),
    text(x(0) + 6, 11, known ? "better →" : "", { class: "hint" }));
  const places = ticks(from, to, width < 520 ? 3 : 5);
  for (const tick of places) {
    frame.append(line(x(tick), top - 4, x(tick), bottom, "grid"),
      text(x(tick), bottom + 14, tickText(gain(first, tick), places), { "text-anchor": "middle", class: "tick" }));
  }
  frame.append(line(x(0), top - 6, x(0), bottom, "zero"));
  const axis = width < 520 ? margin && `band: the margin, ±${margin}` : margin ? `difference of ${first.metric}; the band is the margin, ±${margin}` : `difference of ${first.metric}`;
  frame.append(text((x.start + x.end) / 2, bottom + 29, axis || "", { "text-anchor": "middle", class: "tick" }));
  const marks = rows.map((cell, place) => forestRow(cell, labels[place], x, top + place * ROW + ROW / 2, left, width, texts));
  roving(frame, marks);
  frame.append(...marks);
  return frame;
}

/** Return the ends of the axis: all margins, and most intervals; a few huge ones go beyond, with an arrow. */
function reach(rows) {
  const far = rows.flatMap((cell) => [cell.low, cell.high, cell.difference]
    .filter((value) => value !== null).map(Math.abs)).sort((one, two) => one - two);
  const most = far[Math.floor((far.length - 1) * 0.8)] ?? 1;
  const margin = Math.max(...rows.map((cell) => cell.margin ?? 0));
  const most_all = far[far.length - 1] ?? 1;
  const to = Math.max(1.15 * Math.min(most_all, 2.5 * most), 1.6 * margin) || 1;
  return [-to, to];
}

function forestRow(cell, label, x, y, left, width, texts) {
  const row = svg("g", { class: "row" }, svg("rect", { class: "hit", x: 0, y: y - ROW / 2, width, height: ROW }));
  const most = Math.floor(left / 6.4);
  row.append(text(left - 4, y + 4, label.length > most ? `${label.slice(0, most - 1)}…` : label, { "text-anchor": "end" }));
  const within = (value) => Math.max(x.from, Math.min(x.to, value));
  if (cell.low !== null) {
    const [low, high] = [gain(cell, cell.low), gain(cell, cell.high)].sort((one, two) => one - two);
    row.append(line(x(within(low)), y, x(within(high)), y, `reach ${cell.state}`));
    if (low < x.from) row.append(text(x.start - 11, y + 4, "◂", { class: "beyond" }));
    if (high > x.to) row.append(text(x.end + 2, y + 4, "▸", { class: "beyond" }));
  } else {
    // Where nothing bounds the difference, it may lie anywhere.
    const bound = cell.bound ?? Infinity;
    row.append(line(x(within(-bound)), y, x(within(bound)), y, `reach bound ${cell.state}`));
  }
  row.append(mark(x(within(gain(cell, cell.difference))), y, cell.state));
  const interval = cell.low !== null ? ` [${signed(cell.low)}, ${signed(cell.high)}]` : ` ${data.states[cell.state].word}`;
  row.append(text(width - 2, y + 4, signed(cell.difference) + (texts > 100 ? interval : ""), { "text-anchor": "end", class: "figure" }));
  tipped(row, () => linesOf(cell));
  return pressable(row, linesOf(cell).filter(Boolean).join(". "), () => toggleCell(cell));
}

onView(drawForest);
