// The map: a sign and a colour for every cell, in a table for each task.

function drawLegend() {
  const items = Object.entries(data.states)
    .map(([name, state]) => [name, state, chosen("state").filter((cell) => cell.state === name).length])
    .filter(([name]) => cells.some((cell) => cell.state === name))
    .map(([name, state, count]) => {
      const item = element("li");
      const button = plainButton("", `${state.word}: ${state.meaning}. ${counted(count, "cell")}`,
        view.state === name, () => toggle("state", name));
      button.append(element("span", state.sign, `sign ${name}`), ` ${state.word} `, element("b", String(count)));
      item.append(tipped(button, () => [state.meaning]));
      return item;
    });
  at("legend").replaceChildren(...items);
}

/** Return the groups that stand in a table of their own: a task, or all tasks that have no k. */
function blocks() {
  const found = new Map();
  for (const cell of cells) {
    const name = cell.k ? cell.task : "";
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(cell);
  }
  return found;
}

function drawMap() {
  at("map").replaceChildren(...[...blocks()].map(([task, members]) => mapBlock(task, members)));
}

function mapBlock(task, members) {
  const columns = columnsOf(task, members);
  const rows = different([...members].sort(byArm).map((cell) => rowOf(cell)));
  const table = element("table", undefined, task ? "map" : "map named");
  const caption = element("caption");
  const metrics = different(members.map((cell) => cell.metric && `${cell.metric}${arrowOf(cell)}`)).filter(Boolean);
  caption.append(
    task ? plainButton(task, `only ${task}`, view.task === task, () => toggle("task", task)) : element("span", "Tasks"),
    ` ${[metrics.join(", "), `n = ${different(members.map((cell) => whole(cell.n))).join(", ")}`].filter(Boolean).join(", ")}`,
  );
  table.append(caption, mapHead(task, columns));
  const body = element("tbody");
  const buttons = [];
  for (const row of rows) {
    const line = element("tr");
    const first = members.find((cell) => rowOf(cell) === row);
    const head = element("th");
    head.scope = "row";
    head.append(plainButton(row, `only ${row}`, view.arm === first.arm && (!view.model || view.model === first.model),
      () => choose(view.arm === first.arm ? { arm: undefined, model: undefined }
        : { arm: first.arm, model: differs(cells, "model") ? first.model : undefined })));
    line.append(head);
    for (const column of columns) {
      const cell = members.find((one) => rowOf(one) === row && columnOf(task, one) === column.key);
      const box = element("td");
      if (cell) box.append(cellButton(cell));
      buttons.push(box.firstChild);
      line.append(box);
    }
    body.append(line);
  }
  roving(body, buttons, () => columns.length);
  table.append(body);
  const holder = element("div", undefined, "wide");
  holder.append(table);
  return holder;
}

const rowOf = (cell) => (differs(cells, "model") ? `${cell.model} ${cell.arm}` : cell.arm);
const arrowOf = (cell) => ({ true: " ↑", false: " ↓" })[cell.up] ?? "";
const columnOf = (task, cell) => (task ? [cell.retriever, cell.order, cell.filter, cell.k].join("\n") : `${cell.task}\n${cell.filter}`);

function columnsOf(task, members) {
  const found = new Map();
  for (const cell of members) {
    const key = columnOf(task, cell);
    if (!found.has(key)) found.set(key, { key, cell });
  }
  return [...found.values()];
}

/** Return two rows of headings: who ranked, over as many columns as have it, and k. */
function mapHead(task, columns) {
  const head = element("thead");
  if (!task) {
    const names = element("tr");
    names.append(element("td"), ...columns.map(({ cell }) => heading(`${cell.task}${cell.filter && `, ${cell.filter}`}`, "task", cell.task)));
    head.append(names);
    return head;
  }
  const above = element("tr"), below = element("tr");
  above.append(element("td"));
  below.append(element("th", "k"));
  let last = null, span = null;
  const ordered = differs(columns.map((one) => one.cell).filter((cell) => cell.order), "order");
  for (const { cell } of columns) {
    const ranked = cell.retriever === "none" ? "" : [cell.retriever, ordered && cell.order, cell.filter]
      .filter(Boolean).join(", ");
    if (ranked !== last) {
      span = ranked ? heading(ranked, "retriever", cell.retriever) : element("td");
      span.colSpan = 0;
      span.className = "first";
      above.append(span);
    }
    const k = heading(cell.k, "k", cell.k);
    if (ranked !== last) k.className = "first";
    span.colSpan = last === ranked ? span.colSpan + 1 : 1;
    last = ranked;
    below.append(k);
  }
  head.append(above, below);
  return head;
}

function heading(text, filter, value) {
  const made = element("th");
  made.scope = "col";
  made.append(plainButton(text, `only ${FILTERS[filter]} ${text}`, view[filter] === value, () => toggle(filter, value)));
  return made;
}

function cellButton(cell) {
  const state = data.states[cell.state];
  const sign = cell.state === "unscored" ? String(Math.round(100 * cell.same)) : state.sign;
  const button = plainButton(sign, linesOf(cell).filter(Boolean).join(". "), isChosen(cell), () => toggleCell(cell));
  button.className = `cell ${cell.state}${matches(cell) ? "" : " dimmed"}`;
  button.dataset.cell = cell.number;
  return tipped(button, () => linesOf(cell));
}

/** Draw the filters, each value with the number of cells that it would leave. */
function drawFilters() {
  const made = Object.entries(FILTERS).map(([name, label]) => {
    const values = different((name === "arm" ? [...cells].sort(byArm) : cells).map((cell) => cell[name])).filter((value) => value !== "" && !(name === "retriever" && value === "none"));
    if (values.length < 2) return null;
    const select = element("select");
    select.id = `filter-${name}`;
    const left = chosen(name);
    select.append(optionOf("", `all (${left.length})`));
    for (const value of values) {
      const count = left.filter((cell) => cell[name] === value).length;
      select.append(optionOf(value, `${name === "state" ? data.states[value].word : value} (${count})`));
    }
    if (view[name] && !values.includes(view[name])) select.append(optionOf(view[name], view[name]));
    select.value = view[name] ?? "";
    select.addEventListener("change", () => choose({ [name]: select.value }));
    const holder = element("label", `${label} `);
    holder.append(select);
    return holder;
  });
  const count = element("output", `${chosen().length} of ${counted(cells.length, "cell")}`);
  count.id = "cells-shown";
  const all = plainButton("Show all", undefined, undefined, () => choose(cleared()));
  all.id = "show-all";
  all.disabled = !Object.keys(FILTERS).some((name) => view[name] !== undefined);
  keepFocus(at("filters"), () => at("filters").replaceChildren(...made.filter(Boolean), count, all));
}

function optionOf(value, text) {
  const made = element("option", text);
  made.value = value;
  return made;
}

/** Redraw what is in a holder, and give the focus back to what stands for what had it. */
function keepFocus(holder, redraw) {
  const { id } = document.activeElement ?? {};
  const number = document.activeElement?.dataset?.cell;
  const had = holder.contains(document.activeElement);
  redraw();
  if (!had) return;
  const next = id ? at(id) : number !== undefined ? holder.querySelector(`[data-cell="${number}"]`) : null;
  next?.focus({ preventScroll: true });
  hideTip();
}

onView(() => {
  drawLegend();
  keepFocus(at("map"), drawMap);
  drawFilters();
});
