// What is chosen: it stands in the page's address, so that every view has a link.

const data = JSON.parse(at("data").textContent);
const cells = data.cells;
cells.forEach((cell, number) => { cell.number = number; });
/** Sort some arms, or what has one, as the first screen has them. */
const byArm = (one, two) => data.arms.indexOf(one.arm ?? one) - data.arms.indexOf(two.arm ?? two);

/** What cells are chosen by, and what it is called. */
const FILTERS = {
  model: "Model", arm: "Arm", task: "Task", retriever: "Retriever", k: "k", order: "Order",
  filter: "Filter", state: "Verdict",
};
/** Everything else that a view has. */
const FURTHER = ["show", "sort", "third", "search", "page", "at", "quantity", "columns", "rows", "attribute"];

let view = {};
/** The cells that are chosen now. */
let shownCells = [];
let drawn = false;
/** Whether the address asks for the samples to be in sight, which take a moment. */
let asked = false;
const listeners = [];

/** Have a part of the page drawn whenever another view is chosen, in the order of the page. */
function onView(draw) {
  listeners.push(draw);
}

/** Tell whether a cell is chosen; `except` names a filter that does not count. */
function matches(cell, except) {
  return Object.keys(FILTERS).every((name) => {
    if (name === except || view[name] === undefined || view[name] === cell[name]) return true;
    // No documents belong to every retriever, and one document or none to every order.
    if (name === "retriever") return cell.retriever === "none" && view.k === undefined;
    return name === "order" && cell.order === "" && view.k === undefined;
  });
}

const chosen = (except) => cells.filter((cell) => matches(cell, except));

/** Tell whether the filters leave one cell alone, by all that tells it from others. */
const isChosen = (cell) => shownCells.length === 1 && shownCells[0] === cell && cells.length > 1;

/** Return the filters that choose one cell. */
const filtersOf = (cell) => ({
  ...cleared(), ...Object.fromEntries(
    ["model", "arm", "task", "retriever", "k", "order", "filter"].map((name) => [name, cell[name]]),
  ),
});

const cleared = () => Object.fromEntries(Object.keys(FILTERS).map((name) => [name, undefined]));

/** Choose another view: a change of what is in `view`; `undefined` and "" take a choice back. */
function choose(changes) {
  const of_samples = Object.keys(changes).some((name) => name in FILTERS || ["show", "sort", "search"].includes(name));
  view = { ...view, ...(of_samples ? { page: undefined, at: undefined } : {}), ...changes };
  for (const name of Object.keys(view)) {
    if (view[name] === undefined || view[name] === "") delete view[name];
  }
  history.pushState(null, "", `#${address()}`);
  draw();
}

/** Have the address say something more of this view, which needs no drawing. */
function note(name, value) {
  if (view[name] === value) return;
  if (value === undefined) delete view[name]; else view[name] = value;
  history.replaceState(null, "", `#${address()}`);
}

/** Choose a value of a filter, or take it back where it is chosen. */
const toggle = (name, value) => choose({ [name]: view[name] === value ? undefined : value });

/** Choose a cell alone, or all where it is. */
const toggleCell = (cell) => choose(isChosen(cell) ? cleared() : filtersOf(cell));

const address = (changes = {}) => new URLSearchParams({ ...view, ...changes }).toString();

function draw() {
  drawn = true;
  hideTip();
  shownCells = chosen();
  for (const listener of listeners) listener(shownCells);
}

/** Read the view out of the address; what is not a view, as the link to the samples, changes nothing. */
function readAddress() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=") && drawn) return;
  const given = new URLSearchParams(text);
  view = {};
  for (const [name, value] of given) {
    if ((name in FILTERS || FURTHER.includes(name)) && value) view[name] = value;
  }
  asked = given.get("go") === "samples";
  draw();
  if (asked) at("samples")?.scrollIntoView();
}

/** Return the parts of a cell's name that are not the same for all cells that are shown beside it. */
function nameOf(cell, beside = cells) {
  const parts = [
    differs(beside, "model") && cell.model, differs(beside, "arm") && cell.arm,
    differs(beside, "task") && cell.task, differs(beside, "k") && cell.k && `k ${cell.k}`,
    differs(beside.filter((one) => one.k !== "0"), "retriever") && cell.retriever !== "none" && cell.retriever,
    differs(beside.filter((one) => one.order), "order") && cell.order,
    differs(beside, "filter") && cell.filter,
  ].filter(Boolean);
  return parts.join(" · ") || cell.arm;
}

const differs = (members, name) => different(members.map((one) => one[name])).length > 1;

/** Return a cell in a few lines, for the tip. */
function linesOf(cell) {
  const state = data.states[cell.state];
  const place = [cell.task, cell.k && `k = ${cell.k}`, cell.k !== "0" && cell.retriever, cell.order, cell.filter];
  const lines = [
    `${cell.arm} against ${cell.base}, ${cell.model}`, place.filter(Boolean).join(", "),
    `${state.sign} ${cell.verdict}`,
  ];
  if (cell.metric) {
    lines.push(`${cell.metric} ${cell.baseScore.toFixed(3)} → ${cell.score.toFixed(3)} (${signed(cell.difference)})`);
    lines.push(intervalOf(cell), cell.margin && `margin ±${cell.margin}`);
    if (cell.p !== null) lines.push(`p ${cell.p < 0.0005 ? "< 0.001" : cell.p.toFixed(3)} (Holm)`);
    if (cell.state === "undecided" && cell.needed > cell.n) {
      lines.push(`about ${whole(Number(cell.needed.toPrecision(2)))} samples would settle it (here: ${whole(cell.n)})`);
    }
  }
  if (cell.fidelity) {
    lines.push(`KL ${cell.fidelity.kl.toFixed(4)} nats a token, same top token ${(100 * cell.fidelity.same).toFixed(1)} %`);
  }
  lines.push(`${(100 * cell.same).toFixed(1)} % same answers, n = ${whole(cell.n)}`);
  return lines;
}

function intervalOf(cell) {
  if (cell.low !== null) return `${100 * data.level} % interval ${signed(cell.low)} to ${signed(cell.high)}`;
  return cell.bound === null ? "no interval: too few" : `within ±${cell.bound.toFixed(3)}: too few differ for an interval`;
}
