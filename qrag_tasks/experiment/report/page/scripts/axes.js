// Scales, ticks and frames of the figures.

/** Return a scale from numbers to pixels, with its ends. */
function scale([from, to], [start, end]) {
  const place = (value) => start + ((value - from) / (to - from || 1)) * (end - start);
  return Object.assign(place, { from, to, start, end });
}

/** Return round numbers between two, about as many as asked for. */
function ticks(from, to, about = 5) {
  const rough = (to - from) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.99);
  const found = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-9; n += 1) found.push(n * step);
  return found;
}

/** Return a number as a tick shows it: no more digits than the step between ticks has. */
function tickText(value, all) {
  const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(value) || 1;
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)));
  return (value === 0 ? 0 : value).toFixed(digits).replace("-", "−");
}

/** Return ends that hold all values, with a little room. */
function ends(values, room = 0.06) {
  const known = values.filter((value) => Number.isFinite(value));
  const low = Math.min(...known), high = Math.max(...known);
  const more = (high - low || Math.abs(high) || 1) * room;
  return [low - more, high + more];
}

const text = (x, y, content, attributes = {}) => svg("text", { x, y, ...attributes }, content);
const line = (x1, y1, x2, y2, className) => svg("line", { x1, y1, x2, y2, class: className });

/** Return the marks of verdicts: filled where a difference is shown, hollow where it is not. */
function mark(x, y, state, radius = 5) {
  const shown = ["worse", "better", "different"].includes(state);
  const shape = shown
    ? svg("path", { d: `M${x} ${y - radius - 1}L${x + radius + 1} ${y}L${x} ${y + radius + 1}L${x - radius - 1} ${y}Z` })
    : svg("circle", { cx: x, cy: y, r: radius - 0.5 });
  shape.setAttribute("class", `mark ${state} ${shown ? "filled" : "hollow"}`);
  return shape;
}

/** Return the width that a part of the page has for figures, and draw again where that changes. */
const widthOf = (holder) => Math.max(280, Math.floor(holder.clientWidth || holder.parentElement.clientWidth));
let drawnWidth = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === drawnWidth) return;
  drawnWidth = innerWidth;
  draw();
});
