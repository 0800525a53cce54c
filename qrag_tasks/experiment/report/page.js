"use strict";
(() => {
  const PAGE = 50;
  const cells = JSON.parse(document.getElementById("data").textContent).cells;
  const at = (id) => document.getElementById(id);
  const kept = new Map();
  let shown = { page: 0, found: [], prompts: [] };

  async function chunk(number) {
    if (!kept.has(number)) {
      const packed = Uint8Array.from(atob(at(`chunk-${number}`).textContent), (c) => c.charCodeAt(0));
      const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      kept.set(number, JSON.parse(await new Response(plain).text()));
    }
    return kept.get(number);
  }

  const named = (cell) =>
    [cell.model, `${cell.other} against ${cell.base}`, cell.task, cell.k && `k = ${cell.k}`,
      cell.retriever, cell.order, cell.filter].filter(Boolean).join(", ");

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  const wanted = {
    all: () => true,
    worse: (sample) => sample[6] < 0,
    better: (sample) => sample[6] > 0,
    other: (sample) => sample[2] !== sample[3],
    invalid: (sample) => sample[7] === 1,
  };

  async function filter() {
    const cell = cells[Number(at("cell").value)];
    const [samples, prompts] = await Promise.all([chunk(cell.answers), chunk(cell.prompts)]);
    if (cell !== cells[Number(at("cell").value)]) return;
    const words = at("search").value.toLowerCase();
    const matches = (sample) =>
      !words || sample.slice(0, 4).some((text) => text !== null && text.toLowerCase().includes(words));
    const found = samples
      .map((sample, index) => ({ sample, index }))
      .filter(({ sample }) => wanted[at("kind").value](sample) && matches(sample));
    shown = { page: 0, found, prompts, cell };
    at("count").textContent = `${found.length} of ${samples.length} samples`;
    list();
  }

  function list() {
    const pages = Math.max(1, Math.ceil(shown.found.length / PAGE));
    at("page").textContent = `${shown.page + 1} of ${pages}`;
    at("previous").disabled = shown.page === 0;
    at("next").disabled = shown.page + 1 >= pages;
    const first = shown.page * PAGE;
    at("list").replaceChildren(...shown.found.slice(first, first + PAGE).map(sampleElement));
  }

  function sampleElement({ sample, index }) {
    const [key, gold, base, other, , , flip, invalid] = sample;
    const made = element("details");
    const short = (text) => (text.length > 80 ? `${text.slice(0, 80)}...` : text);
    const summary = element("summary", `${key}: ${short(base)} | ${short(other)} `);
    if (flip) summary.append(element("strong", flip < 0 ? "worse" : "better", flip < 0 ? "worse" : "better"));
    if (invalid) summary.append(element("em", " invalid"));
    made.append(summary);
    made.addEventListener("toggle", () => {
      if (made.open && made.children.length === 1) made.append(...opened(sample, index, gold));
    });
    return made;
  }

  function opened(sample, index, gold) {
    const { cell, prompts } = shown;
    const { prompt, kept: documents, dropped, shortfall } = prompts[index];
    const arms = element("div", undefined, "arms");
    for (const [label, text, score] of [[cell.base, sample[2], sample[4]], [cell.other, sample[3], sample[5]]]) {
      const arm = element("div");
      const told = typeof score === "number" ? `, ${cell.metric} ${score.toFixed(3)}` : "";
      arm.append(element("h4", `${label}${told}`), element("pre", text));
      arms.append(arm);
    }
    const made = [];
    if (gold !== null) made.push(element("h4", "Gold"), element("pre", gold));
    made.push(arms);
    if (documents) made.push(element("p", `Documents kept, best first: ${documents.join(", ")}`));
    if (dropped) made.push(element("p", `Dropped: ${dropped.join(", ")}`));
    if (shortfall) made.push(element("p", `Fewer than asked for: ${shortfall}`));
    made.push(element("h4", "Prompt"), element("pre", prompt));
    return made;
  }

  cells.forEach((cell, index) => {
    const option = element("option", named(cell));
    option.value = String(index);
    at("cell").append(option);
  });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["cell", "kind"]) at(id).addEventListener("change", filter);
  at("search").addEventListener("input", filter);
  at("previous").addEventListener("click", () => { shown.page -= 1; list(); });
  at("next").addEventListener("click", () => { shown.page += 1; list(); });
  if (cells.length) filter();
})();
