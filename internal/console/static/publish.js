// The preview of what is pasted, by itself. Without this it is a second page.
const form = document.getElementById("publish");
if (form) {
  const get = (id) => document.getElementById(id);
  const paste = form.elements.paste;
  const key = "publish-" + location.pathname;
  const keep = (text) => {
    try {
      if (text === undefined) return sessionStorage.getItem(key);
      if (text) sessionStorage.setItem(key, text);
      else sessionStorage.removeItem(key);
    } catch {
      // a browser that keeps nothing
    }
    return null;
  };
  if (!paste.value) paste.value = keep() ?? "";

  const algo = (micro) => (micro / 1e6).toLocaleString("en", { maximumFractionDigits: 6 }) + " ALGO";
  let latest = null;

  // The button says what is chosen now.
  const count = () => {
    const boxes = [...form.querySelectorAll("#rows input:checked")];
    const cost = boxes.reduce((sum, box) => sum + Number(box.dataset.cost ?? 0), latest?.extra ?? 0);
    if (latest) get("go").textContent = latest.button.replace(/^Publish \d+ for [\d.,]+ ALGO/, "Publish " + boxes.length + " for " + algo(cost));
    get("go").disabled = latest !== null && boxes.length === 0;
    get("go").toggleAttribute("data-off", get("go").disabled);
  };

  const text = (id, words) => {
    get(id).textContent = words ?? "";
    get(id).hidden = !words;
  };

  const row = (one) => {
    const tr = get("row").content.firstElementChild.cloneNode(true);
    const [choose, , kind, state, why, price] = tr.children;
    const box = choose.firstElementChild;
    box.value = one.index;
    box.checked = one.chosen;
    box.disabled = !one.can;
    box.toggleAttribute("data-off", !one.can);
    box.dataset.cost = one.cost;
    box.setAttribute("aria-label", "Publish " + one.value);
    tr.querySelector("bdi").textContent = one.value;
    kind.textContent = one.kind;
    state.firstElementChild.textContent = one.state;
    state.firstElementChild.classList.add(one.class);
    why.textContent = one.why;
    price.textContent = one.price;
    return tr;
  };

  let asked = 0;
  const preview = async () => {
    keep(paste.value);
    const mine = ++asked;
    if (!paste.value.trim()) {
      get("preview").hidden = true;
      return;
    }
    const body = new URLSearchParams(new FormData(form));
    body.delete("take");
    body.set("do", "json");
    let found;
    try {
      const answer = await fetch("publish", { method: "POST", body, redirect: "manual" });
      if (!answer.ok || !answer.headers.get("Content-Type")?.startsWith("application/json")) throw new Error(String(answer.status));
      found = await answer.json();
    } catch {
      if (mine !== asked) return;
      latest = null;
      get("preview").hidden = false;
      get("rows").replaceChildren();
      text("refused", "There is no preview now: the node did not answer as expected. The text is kept here; try Preview.");
      form.querySelector("[data-preview]").hidden = false;
      return;
    }
    if (mine !== asked) return; // there is a newer text
    latest = found;
    get("rows").replaceChildren(...found.rows.map(row));
    text("says", found.says);
    text("refused", found.refused);
    text("note", found.note);
    text("readers", found.readers.length ? "Who can read it: " + found.readers.join(", ") + "." : "");
    get("anyway").hidden = !found.mistaken;
    get("go").hidden = found.rows.length === 0;
    get("preview").hidden = false;
    count();
  };

  let timer;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(preview, 350);
  };
  form.querySelector("[data-preview]").hidden = true;
  paste.addEventListener("input", soon);
  form.addEventListener("change", (event) => (event.target.name === "take" ? count() : soon()));
  form.addEventListener("submit", () => keep(""));
  if (paste.value && get("preview").hidden) preview();

  const file = get("file");
  const button = form.querySelector("[data-file]");
  button.hidden = false;
  button.addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    if (!file.files.length) return;
    paste.value = await file.files[0].slice(0, 2 << 20).text();
    soon();
  });
}
