// The samples: worst flips of all chosen cells first, arms side by side, what differs marked.

const PAGE = 20;
const unpacked = new Map();
let turn = 0;
let listed = [];

/** Return what a chunk of the page holds; unpacked once. */
function chunk(number) {
  if (!unpacked.has(number)) {
    unpacked.set(number, (async () => {
      const packed = Uint8Array.from(atob(at(`chunk-${number}`).textContent), (c) => c.charCodeAt(0));
      const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      return JSON.parse(await new Response(plain).text());
    })());
  }
  return unpacked.get(number);
}

// A sample is what a cell shares with those of other arms: key, gold, the base's answer, its score, and
// which of the question's prompts it was given; then the other's answer, null where it is the base's, score, loss, whether one of the
// two is invalid, and which of the prompts it was given.
const [KEY, GOLD, BASE, BASE_SCORE, BASE_PROMPT, OTHER, SCORE, LOSS, INVALID, PROMPT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const joined = new Map();

/** Return the samples of a cell. */
function samplesOf(cell) {
  if (!joined.has(cell)) {
    joined.set(cell, Promise.all([chunk(cell.asked), chunk(cell.answers)])
      .then(([asked, answers]) => asked.map((one, place) => {
        const [answer, ...its] = answers[place];
        return [...one, answer ?? one[BASE], ...its];
      })));
  }
  return joined.get(cell);
}

/** Return what a sample was asked: the prompts of a question lie together, some questions in a chunk. */
async function promptOf(cell, sample, which) {
  const { first, keys, together } = data.questions[cell.task];
  const place = keys.indexOf(sample[KEY]);
  const prompts = (await chunk(first + Math.floor(place / together)))[place % together];
  return { ...prompts[sample[which]], prompt: textOf(prompts, sample[which]) };
}

/** Return a prompt whole: of one that is like another there is only what lies between a beginning and an end. */
function textOf(prompts, place) {
  const { prompt, like } = prompts[place];
  if (!like) return prompt;
  const [other, first, last] = like;
  const characters = [...textOf(prompts, other)];
  return part(characters, 0, first) + prompt + part(characters, characters.length - last);
}

/** Lengths are in code points, of which JavaScript's own slices may cut one in two. */
const part = (characters, from, to) => characters.slice(from, to).join("");

const KINDS = {
  worse: ["worse", (sample) => sample[LOSS] > 0],
  better: ["better", (sample) => sample[LOSS] < 0],
  other: ["another answer", (sample) => sample[BASE] !== sample[OTHER]],
  invalid: ["invalid", (sample) => sample[INVALID] === 1],
  all: ["all", () => true],
};
const ORDERS = {
  loss: (one, two) => (two.sample[LOSS] ?? -9) - (one.sample[LOSS] ?? -9),
  gain: (one, two) => (one.sample[LOSS] ?? 9) - (two.sample[LOSS] ?? 9),
  data: () => 0,
};

const countOf = (now, kind) => now.reduce((sum, cell) => sum + cell.counts[kind], 0);

function drawSampleFilters(now) {
  const kind = view.show in KINDS ? view.show : countOf(now, "worse") ? "worse" : countOf(now, "other") ? "other" : "all";
  at("show").replaceChildren(...Object.entries(KINDS).map(([name, [label]]) => optionOf(name, `${label} (${whole(countOf(now, name))})`)));
  at("show").value = kind;
  at("sort").value = view.sort in ORDERS ? view.sort : "loss";
  at("third").replaceChildren(optionOf("", "none"), ...different(cells.map((cell) => cell.arm)).map((arm) => optionOf(arm, arm)));
  at("third").value = view.third ?? "";
  at("third").parentElement.hidden = !differs(cells, "arm");
  if (document.activeElement !== at("search")) at("search").value = view.search ?? "";
  return kind;
}

/** Find the samples to list: out of what is known of every cell, or by opening the cells. */
async function drawSamples(now) {
  turn += 1;
  const mine = turn;
  const kind = drawSampleFilters(now);
  const words = (view.search ?? "").toLowerCase();
  const order = at("sort").value;
  let found, more = "";
  if (kind === "worse" && order === "loss" && !words && now.length > 1) {
    found = now.flatMap((cell) => cell.worst.map(([index, loss]) => ({ cell, index, loss })));
    found.sort((one, two) => two.loss - one.loss);
    if (found.length < countOf(now, "worse")) more = "; of each cell the largest losses are listed: choose a cell to see all of its samples";
  } else {
    found = [];
    for (const [place, cell] of now.entries()) {
      if (now.length > 8) at("count").textContent = `opening cell ${place + 1} of ${now.length} …`;
      const samples = await samplesOf(cell);
      if (mine !== turn) return;
      samples.forEach((sample, index) => {
        const told = (text) => text !== null && text.toLowerCase().includes(words);
        if (KINDS[kind][1](sample) && (!words || [KEY, GOLD, BASE, OTHER].some((place) => told(sample[place])))) found.push({ cell, index, sample });
      });
    }
    found.sort(ORDERS[order]);
  }
  const total = countOf(now, "all");
  at("count").textContent = `${whole(words || found.length === total ? found.length : countOf(now, kind))} of ${counted(total, "sample")}`
    + (now.length > 1 ? ` in ${now.length} cells` : "") + more;
  listed = found;
  await drawPage(mine, now);
}

async function drawPage(mine, now) {
  const pages = Math.max(1, Math.ceil(listed.length / PAGE));
  let page = Math.min(pages, Number(view.page) || 1);
  const linkedTo = await sampleOf(view.at);
  if (linkedTo) {
    const place = listed.findIndex(({ cell, index }) => cell === linkedTo.cell && index === linkedTo.index);
    if (place >= 0) page = Math.floor(place / PAGE) + 1;
  }
  at("page").textContent = `${page} of ${pages}`;
  at("previous").disabled = page === 1;
  at("next").disabled = page === pages;
  at("previous").onclick = () => choose({ page: String(page - 1), at: undefined });
  at("next").onclick = () => choose({ page: String(page + 1), at: undefined });
  const shown = listed.slice((page - 1) * PAGE, page * PAGE);
  const samples = await Promise.all(shown.map(async (one) => one.sample ?? (await samplesOf(one.cell))[one.index]));
  if (mine !== turn) return;
  const rows = shown.map((one, place) => sampleElement({ ...one, sample: samples[place] }, now));
  at("list").replaceChildren(...rows);
  at("list").className = now.length > 1 ? "" : "single";
  if (!rows.length) at("list").append(element("p", "No sample is like that.", "empty"));
  const linked = linkedTo && rows.find((row) => row.dataset.at === view.at);
  if (linked) linked.open = true;
  if (linked && asked) linked.dataset.linked = "yes";
  asked = false;
}

/** Return where a sample lies that an address names, by its cell's number and its key. */
async function sampleOf(name) {
  const [, number, key] = /^(\d+):(.*)$/s.exec(name ?? "") ?? [];
  const cell = cells[number];
  if (!cell) return null;
  const index = (await samplesOf(cell)).findIndex((sample) => sample[KEY] === key);
  return index < 0 ? null : { cell, index };
}

function sampleElement(one, now) {
  const { cell, sample } = one;
  const made = element("details", undefined, "sample");
  made.dataset.at = `${cell.number}:${sample[KEY]}`;
  const summary = element("summary");
  const loss = sample[LOSS];
  const state = loss > 0 ? "worse" : loss < 0 ? "better" : "equal";
  const sign = { worse: "▼", better: "▲", equal: "·" }[state];
  summary.append(element("span", sign, `sign ${state}`));
  const change = typeof sample[SCORE] === "number" && typeof sample[BASE_SCORE] === "number"
    ? `${sample[BASE_SCORE].toFixed(2)} → ${sample[SCORE].toFixed(2)}` : "";
  summary.append(element("span", change, "change"));
  summary.append(element("span", [sample[KEY], now.length > 1 && nameOf(cell, now)].filter(Boolean).join(" · "), "name"));
  const texts = element("span", undefined, "texts");
  const [first, second] = marked(short(sample[BASE]), short(sample[OTHER]));
  texts.append(first, element("span", " | ", "bar"), second);
  summary.append(texts);
  if (sample[INVALID]) summary.append(element("em", "invalid"));
  made.append(summary);
  made.addEventListener("toggle", async () => {
    if (made.open) note("at", made.dataset.at);
    else if (view.at === made.dataset.at) note("at", undefined);
    if (made.open && made.children.length === 1) made.append(...(await opened(one)));
    if (made.dataset.linked) made.scrollIntoView();
    delete made.dataset.linked;
  });
  return made;
}

/** Of a long text, what the line of a sample can show; its style cuts what is too long for it. */
const short = (text) => (text.length > 400 ? `${text.slice(0, 400)}…` : text);

async function opened({ cell, sample }) {
  const asked = [[sample[BASE_PROMPT] === sample[PROMPT] ? "Prompt" : `Prompt of ${cell.arm}`, await promptOf(cell, sample, PROMPT)]];
  if (sample[BASE_PROMPT] !== sample[PROMPT]) asked.push([`Prompt of ${cell.base}`, await promptOf(cell, sample, BASE_PROMPT)]);
  const arms = element("div", undefined, "arms");
  const [base, other] = marked(sample[BASE], sample[OTHER]);
  arms.append(column("gold", undefined, sample[GOLD] === null ? "not known" : sample[GOLD]));
  arms.append(column(`${cell.base} (base)`, told(cell, sample[BASE_SCORE]), base));
  arms.append(column(cell.arm, told(cell, sample[SCORE]), other));
  const alike = ["task", "k", "retriever", "order", "filter", "model", "base"];
  const third = cells.find((one) => one.arm === view.third && one !== cell && alike.every((name) => one[name] === cell[name]));
  const its = third && (await samplesOf(third)).find((one) => one[KEY] === sample[KEY]);
  if (its) arms.append(column(third.arm, told(third, its[SCORE]), marked(sample[BASE], its[OTHER])[1]));
  const link = element("a", "Link to this sample");
  link.href = `#${new URLSearchParams(clean({ ...view, ...filtersOf(cell), show: "all", at: `${cell.number}:${sample[KEY]}`, go: "samples" }))}`;
  const below = element("p", undefined, "small");
  below.append(link);
  return [arms, ...asked.flatMap(([title, told]) => promptElements(title, told)), below];
}

const clean = (given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== ""));
const told = (cell, score) => (typeof score === "number" ? `${cell.metric} ${score.toFixed(3)}` : undefined);

function column(label, score, content) {
  const made = element("div");
  const head = element("h4", label);
  if (score) head.append(" ", element("small", score));
  const body = element("pre");
  body.append(content);
  made.append(head, body);
  return made;
}

/** Return the prompt with its documents folded; whole, and folded, where they cannot be told from the rest. */
function promptElements(title, { prompt, documents: span, kept, dropped, shortfall }) {
  const facts = [
    kept && `Documents, best first: ${kept.join(", ")}`, dropped && `Dropped: ${dropped.join(", ")}`,
    shortfall && `Fewer than asked for: ${shortfall}`,
  ].filter(Boolean).join(". ");
  const below = facts ? [element("p", facts, "small")] : [];
  if (!span && kept) return [folded(`${title}, ${counted(prompt.length, "character")}`, prompt), ...below];
  const head = element("h4", title);
  if (!span) return [head, element("pre", prompt), ...below];
  const [from, to] = span;
  const inside = `${counted(kept.length, "document")}, ${counted(to - from, "character")}`;
  const all = [...prompt];
  return [head, ...[element("pre", part(all, 0, from)), folded(inside, part(all, from, to)), element("pre", part(all, to))]
    .filter((part) => part.textContent), ...below];
}

function folded(title, content) {
  const made = element("details", undefined, "folded");
  made.append(element("summary", title), element("pre", content));
  return made;
}

/** Return two texts with the words marked that the other does not have, by their longest common subsequence. */
function marked(one, two) {
  const [a, b] = [one, two].map((text) => text.match(/\s+|[^\s]+/g) ?? []);
  const made = [document.createDocumentFragment(), document.createDocumentFragment()];
  if (one === two || a.length * b.length > 400000) {
    made[0].append(one);
    made[1].append(two);
    return made;
  }
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  let i = 0, j = 0;
  const put = (side, word, same) => made[side].append(same || !word.trim() ? word : element("mark", word));
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      put(0, a[i], true);
      put(1, b[j], true);
      i += 1;
      j += 1;
    } else if (j === b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      put(0, a[i], false);
      i += 1;
    } else {
      put(1, b[j], false);
      j += 1;
    }
  }
  return made;
}

/** Go to the next sample, or the one before. */
function step(by) {
  const heads = [...at("list").querySelectorAll(".sample > summary")];
  const place = heads.findIndex((head) => head.parentElement.contains(document.activeElement));
  const next = heads[place < 0 ? 0 : place + by];
  if (next) {
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  } else if (by > 0 && !at("next").disabled) at("next").click();
  else if (by < 0 && !at("previous").disabled) at("previous").click();
}

/** Make the samples' part of the page work, where the page has one. */
function startSamples() {
  for (const name of ["show", "sort", "third"]) at(name).addEventListener("change", () => choose({ [name]: at(name).value }));
  let typed;
  at("search").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => choose({ search: at("search").value }), 150);
  });
  at("sample-filters").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("keydown", stepByKey);
  onView(drawSamples);
}

function stepByKey(event) {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName) && document.activeElement.type !== "checkbox";
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
}

if (at("samples")) startSamples();
