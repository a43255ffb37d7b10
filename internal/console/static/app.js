// Keys, local times and copying. Every page works without it.
const body = document.body;
const rows = () => [...document.querySelectorAll("main table[data-rows] tbody tr, main [data-row]")];
const stored = (key, value) => {
  try {
    return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value);
  } catch {
    return null; // a browser that keeps nothing
  }
};

// Times: UTC stays in the title.
const near = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const far = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const old = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
for (const one of document.querySelectorAll("time[datetime]")) {
  const at = new Date(one.dateTime);
  if (isNaN(at)) continue;
  const now = new Date();
  const form = at.toDateString() === now.toDateString() ? near : at.getFullYear() === now.getFullYear() ? far : old;
  one.textContent = form.format(at);
}
for (const one of document.querySelectorAll(".foot span:nth-of-type(2)")) one.textContent = "Times are local; point at one for UTC.";

// Copying: a button beside what has data-copy, of its text or of the attribute's.
const copy = async (from, button) => {
  try {
    await navigator.clipboard.writeText(from.dataset.copy || from.dataset.plain || from.textContent);
    if (button) button.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(from); // no clipboard without TLS: the keys of the browser do
  }
};
for (const one of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet copy";
  button.textContent = "copy";
  button.addEventListener("click", () => copy(one, button));
  (one.closest("a") ?? one).after(" ", button); // not within a link
}

// A form is sent once.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button:not([type=button])")) setTimeout(() => (button.disabled = true));
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button:disabled:not([data-off])")) button.disabled = false;
});

// Keys, off while typing, and where they are turned off.
const help = document.getElementById("help");
const toggle = help.querySelector("[data-keys]");
toggle.checked = stored("keys") !== "off";
toggle.addEventListener("change", () => stored("keys", toggle.checked ? "on" : "off"));
for (const button of document.querySelectorAll("[data-help]")) {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
}
let here = -1;
const main = (row) => row?.querySelector("th a[href]") ?? row?.querySelector("a[href]"); // where Enter leads
const move = (step) => {
  const all = rows();
  if (!all.length) return;
  all[here]?.classList.remove("here");
  here = Math.max(0, Math.min(all.length - 1, here + step));
  all[here].classList.add("here");
  all[here].scrollIntoView({ block: "nearest" });
  (main(all[here]) ?? all[here]).focus({ preventScroll: true });
};
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  if (!toggle.checked || typing || help.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const row = rows()[here];
  switch (event.key) {
    case "/":
      document.getElementById("q")?.select();
      document.getElementById("q")?.focus();
      break;
    case "j":
      move(1);
      break;
    case "k":
      move(-1);
      break;
    case "c": {
      const from = row?.dataset.plain ? row : (row ?? document.querySelector("main")).querySelector("[data-copy]") ?? main(row);
      if (from) copy(from);
      break;
    }
    case "p":
      if (document.querySelector('nav a[href="publish"], a[href="publish"]') || body.dataset.publish) location.assign("publish");
      break;
    case "?":
      help.showModal();
      break;
    default:
      return;
  }
  event.preventDefault();
});
