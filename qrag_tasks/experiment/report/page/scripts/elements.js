// Elements of the page, and the tip that says what is under the pointer or has the focus.

const at = (id) => document.getElementById(id);

/** Return an element with a text, which is never markup. */
function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Return a button that looks like what is in it. */
function plainButton(text, label, pressed, onClick) {
  const made = element("button", text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", onClick);
  return made;
}

/** Return an element of SVG with its attributes and what is in it. */
function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Show lines in the tip while the pointer is on an element, or the focus in it. */
function tipped(target, lines) {
  target.addEventListener("pointerenter", () => showTip(target, lines()));
  target.addEventListener("focus", () => showTip(target, lines()));
  target.addEventListener("pointerleave", hideTip);
  target.addEventListener("blur", hideTip);
  return target;
}

function showTip(target, lines) {
  const tip = at("tip");
  tip.replaceChildren(...lines.filter(Boolean).map((line) => element("div", line)));
  tip.hidden = false;
  const box = target.getBoundingClientRect();
  const left = Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above < 8 ? box.bottom + 8 : above}px`;
}

function hideTip() {
  at("tip").hidden = true;
}

/** Let the arrow keys move the focus among some elements, of which Tab reaches one. */
function roving(holder, members, columns = () => 1) {
  const list = members.filter(Boolean);
  list.forEach((member, place) => member.setAttribute("tabindex", place ? "-1" : "0"));
  holder.addEventListener("keydown", (event) => {
    const place = list.indexOf(document.activeElement);
    const width = columns();
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: width, ArrowUp: -width }[event.key];
    const next = list[place + step];
    if (place < 0 || !step || !next) return;
    event.preventDefault();
    list[place].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

/** Return a mark that does something where it is clicked, or Enter or the space bar is pressed. */
function pressable(mark, label, onPress) {
  mark.setAttribute("role", "button");
  mark.setAttribute("aria-label", label);
  mark.classList.add("pressable");
  mark.addEventListener("click", onPress);
  mark.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onPress();
  });
  return mark;
}

const whole = (number) => Math.round(number).toLocaleString("en");
const counted = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;
const signed = (number, digits = 3) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(digits)}`;
const different = (values) => [...new Set(values)];
