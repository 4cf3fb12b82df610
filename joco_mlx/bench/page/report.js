"use strict";
// Everything that comes from a repository or a model goes onto the page by textContent, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const list = find("list").querySelector("ol");
let shown = [];
let current = -1;

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

const verdicts = {
  invalid: (one) => one.answers.some((answer) => !answer.valid),
  typeWrong: (one) => one.answers.some((answer) => !answer.typeRight),
  typeRight: (one) => one.answers.every((answer) => answer.typeRight),
  exact: (one) => one.answers.some((answer) => answer.exact),
  error: (one) => one.answers.some((answer) => answer.error !== null),
  differ: (one) => new Set(one.answers.map((answer) => answer.text)).size > 1,
};

function matches(one) {
  const words = find("words").value.toLowerCase().trim();
  const verdict = find("verdict").value;
  if (find("type").value && one.type !== find("type").value) return false;
  if (verdict && !verdicts[verdict](one)) return false;
  if (!words) return true;
  const texts = [one.id, one.repository, one.reference, one.diff, ...one.answers.map((answer) => answer.text)];
  return texts.some((text) => text.toLowerCase().includes(words));
}

function filter() {
  shown = data.cases.filter(matches);
  list.replaceChildren(...shown.map(entry));
  find("count").textContent = `${shown.length} of ${data.cases.length} cases`;
  current = -1;
  if (shown.length) open(0, false);
  else find("case").replaceChildren(make("p", "No case is like that."));
}

function entry(one, place) {
  const button = make("button", one.reference.trim().split("\n")[0]);
  button.type = "button";
  button.addEventListener("click", () => open(place, false));
  const item = make("li");
  item.append(button);
  return item;
}

function open(place, focus) {
  const buttons = list.querySelectorAll("button");
  if (place < 0 || place >= buttons.length) return;
  if (buttons[current]) buttons[current].removeAttribute("aria-current");
  current = place;
  buttons[place].setAttribute("aria-current", "true");
  const top = buttons[place].offsetTop - find("list").offsetTop;
  if (top < find("list").scrollTop || top > find("list").scrollTop + find("list").clientHeight - 60) {
    find("list").scrollTop = top - 60;
  }
  if (focus) buttons[place].focus({ preventScroll: true });
  show(shown[place]);
}

function show(one) {
  const messages = make("div", undefined, "messages");
  messages.append(message("People", one.reference, []));
  one.answers.forEach((answer, run) => messages.append(message(data.runs[run], answer.text, judged(answer), answer.error)));
  const about = make("p", `${one.repository} ${one.id}`, "quiet");
  find("case").replaceChildren(about, messages, diff(one));
}

function judged(answer) {
  const said = (good, yes, no) => make("span", good ? `\u2713 ${yes}` : `\u2717 ${no}`, good ? "good" : "bad");
  const parts = [said(answer.valid, "valid", "not valid"), said(answer.typeRight, "right type", "other type")];
  if (answer.exact) parts.push(said(true, "exact", ""));
  parts.push(make("span", `chrF ${answer.chrf}`));
  return parts.flatMap((part, place) => (place ? [", ", part] : [part]));
}

function message(title, text, verdict, error) {
  const box = make("section", undefined, "message");
  box.append(make("h3", title), make("pre", error === null || error === undefined ? text || "(nothing)" : `(${error})`));
  if (verdict.length) {
    const line = make("p", undefined, "verdicts");
    line.append(...verdict);
    box.append(line);
  }
  return box;
}

function diff(one) {
  const box = make("pre", undefined, "diff");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Diff");
  const lines = one.diff ? one.diff.split("\n") : ["(this run did not keep its diffs)"];
  for (const line of lines) box.append(make("span", line, kind(line)));
  if (one.cut) box.append(make("span", `(${one.cut} more characters)`, "hunk"));
  return box;
}

function kind(line) {
  if (/^(diff --git|index |new file|deleted file|rename |similarity |---|\+\+\+)/.test(line)) return "file";
  if (line.startsWith("@@")) return "hunk";
  if (line.startsWith("+")) return "plus";
  return line.startsWith("-") ? "minus" : "";
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const inList = find("list").contains(event.target);
  const step = { j: 1, k: -1, ArrowDown: inList ? 1 : 0, ArrowUp: inList ? -1 : 0 }[event.key];
  if (!step) return;
  event.preventDefault();
  open(current + step, inList);
});

for (const name of [...new Set(data.cases.map((one) => one.type))].sort()) {
  const option = make("option", name);
  option.value = name;
  find("type").append(option);
}
find("filters").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["type", "verdict", "words"]) find(id).addEventListener("input", filter);
filter();
