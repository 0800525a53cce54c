// Cost against quality: what an arm takes of the base's bytes, seconds or joules, and of its score.

function drawCosts(now) {
  const shown = now.filter((cell) => cell.recovery !== null && cell.recovery !== undefined);
  const names = Object.keys(data.quantities).filter((name) => shown.some((cell) => cell.cost[name]));
  at("costs-section").hidden = !names.length;
  if (!names.length) return;
  const name = names.includes(view.quantity) ? view.quantity : names[0];
  const select = element("select");
  select.id = "quantity";
  select.append(...names.map((one) => optionOf(one, data.quantities[one].label)));
  select.value = name;
  select.addEventListener("change", () => choose({ quantity: select.value }));
  const label = element("label", "Cost ");
  label.append(select);
  const controls = element("form", undefined, "filters");
  controls.append(label);
  keepFocus(at("costs"), () => at("costs").replaceChildren(controls, costFigure(shown.filter((cell) => cell.cost[name]), name), costLegend(shown)));
}

/** Ratios that people read: each at most half as much again as the one before. */
const RATIOS = [-3, -2, -1, 0, 1, 2].flatMap((power) => [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9].map((one) => Number((one * 10 ** power).toPrecision(2))));
const SHAPES = ["circle", "square", "triangle", "diamond"];

function shapeOf(kind, x, y, r) {
  if (kind === "square") return svg("rect", { x: x - r * 0.9, y: y - r * 0.9, width: 1.8 * r, height: 1.8 * r });
  if (kind === "triangle") return svg("path", { d: `M${x} ${y - r}L${x + r} ${y + r * 0.8}L${x - r} ${y + r * 0.8}Z` });
  if (kind === "diamond") return svg("path", { d: `M${x} ${y - r * 1.2}L${x + r * 1.2} ${y}L${x} ${y + r * 1.2}L${x - r * 1.2} ${y}Z` });
  return svg("circle", { cx: x, cy: y, r });
}

const taskShape = (task) => SHAPES[different(cells.map((cell) => cell.task)).indexOf(task) % SHAPES.length];

function costFigure(members, name) {
  const width = Math.min(760, widthOf(at("costs"))), height = 340, left = 66, right = 16, top = 18, bottom = height - 44;
  const ratio = (cell) => cell.cost[name][1] / cell.cost[name][0];
  const logs = ends([...members.map((cell) => Math.log2(ratio(cell))), 0], 0.1);
  const x = scale(logs, [left, width - right]);
  const y = scale(ends([...members.map((cell) => 100 * cell.recovery), 94, 104]), [bottom, top]);
  const { label } = data.quantities[name];
  const frame = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${label} against the score that is left` });
  let free = -Infinity;
  for (const value of RATIOS.filter((one) => Math.log2(one) >= x.from && Math.log2(one) <= x.to)) {
    const place = x(Math.log2(value));
    if (place < free && value !== 1) continue;
    free = place + 42;
    frame.append(line(place, top, place, bottom, "grid"), text(place, bottom + 16, `${value}×`, { "text-anchor": "middle", class: "tick" }));
  }
  const shares = ticks(y.from, y.to, 6);
  for (const tick of shares) {
    frame.append(line(left, y(tick), width - right, y(tick), "grid"), text(left - 6, y(tick) + 4, `${tickText(tick, shares)} %`, { "text-anchor": "end", class: "tick" }));
  }
  frame.append(line(x(0), top, x(0), bottom, "zero"), line(left, y(100), width - right, y(100), "zero"));
  frame.append(text((left + width) / 2, height - 8, `${label}, the base's = 1× (left is cheaper)`, { "text-anchor": "middle", class: "tick" }));
  frame.append(text(0, 0, "score that is left", { "text-anchor": "middle", class: "tick", transform: `translate(11 ${(top + bottom) / 2}) rotate(-90)` }));
  const marks = [];
  for (const cell of members) {
    const dot = shapeOf(taskShape(cell.task), x(Math.log2(ratio(cell))), y(100 * cell.recovery), 4);
    dot.setAttribute("class", `cost ${["worse", "better"].includes(cell.state) ? "shown" : ""}`);
    dot.style.color = colourOf(cell.arm);
    const [base, other] = cell.cost[name];
    const lines = () => [`${label} ${ratio(cell).toFixed(2)}×: ${quantityText(other, name)} of ${quantityText(base, name)}`,
      `${(100 * cell.recovery).toFixed(1)} % of the score is left`, ...linesOf(cell)];
    tipped(dot, lines);
    marks.push(pressable(dot, lines().filter(Boolean).join(". "), () => toggleCell(cell)));
  }
  roving(frame, marks);
  frame.append(...marks);
  return frame;
}

function costLegend(members) {
  const list = element("ul", undefined, "legend");
  for (const arm of different(members.map((cell) => cell.arm)).sort(byArm)) {
    const item = element("li");
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = colourOf(arm);
    item.append(plainButton("", `only ${arm}`, view.arm === arm, () => toggle("arm", arm)));
    item.firstChild.append(swatch, ` ${arm}`);
    list.append(item);
  }
  for (const task of different(members.map((cell) => cell.task))) {
    const item = element("li");
    const shape = shapeOf(taskShape(task), 7, 7, 5);
    shape.setAttribute("class", "cost");
    item.append(svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, shape), ` ${task}`);
    list.append(item);
  }
  list.append(element("li", "filled: worse or better beyond chance"));
  return list;
}

function quantityText(value, name) {
  const { unit } = data.quantities[name];
  const steps = unit === "s" ? [[3600, "h"], [60, "min"], [1, "s"]] : [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]].map(([size, prefix]) => [size, prefix + unit]);
  const [size, said] = steps.find(([one]) => value >= (unit === "s" && one > 1 ? 2 * one : one)) ?? steps.at(-1);
  return `${(value / size).toPrecision(3)} ${said}`;
}

onView(drawCosts);
