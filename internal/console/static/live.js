// What becomes of a publication, as it becomes of it.
const table = document.getElementById("progress");
if (table?.hasAttribute("data-pending")) {
  const body = table.tBodies[0];
  const look = async () => {
    let is;
    try {
      const answer = await fetch(table.dataset.live, { redirect: "manual" });
      if (!answer.ok) throw new Error(String(answer.status));
      is = await answer.json();
      document.getElementById("lost").hidden = true;
    } catch {
      document.getElementById("lost").hidden = false;
      setTimeout(look, 5000);
      return;
    }
    document.getElementById("says").textContent = is.says;
    is.lines.forEach((line, i) => {
      const tr = body.rows[i];
      if (!tr) return;
      const state = tr.querySelector(".state");
      if (state.textContent !== line.State) {
        state.textContent = line.State;
        state.className = "state " + line.Class;
      }
      tr.querySelector("code").textContent = line.TxID;
      if (line.Link && !tr.querySelector("a")) {
        const a = document.createElement("a");
        a.href = line.Link;
        a.append(tr.cells[0].firstElementChild);
        tr.cells[0].replaceChildren(a);
      }
    });
    if (is.pending) setTimeout(look, 1000);
  };
  setTimeout(look, 500);
}
