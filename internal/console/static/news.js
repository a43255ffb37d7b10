// What came in since the page was made is said in a line above the list: nothing moves by itself.
const bar = document.getElementById("news");
if (bar?.dataset.live) {
  const lost = document.getElementById("lost");
  const say = (is) => {
    lost.hidden = true;
    bar.hidden = !is.new;
    const text = is.new === 1 && !is.more ? "1 new object came in." : is.new + (is.more ? " and more" : "") + " new objects came in.";
    if (bar.firstElementChild.textContent !== text) bar.firstElementChild.textContent = text;
  };
  let source, timer;
  // Where no stream comes through, the page asks every half a minute.
  const ask = async () => {
    try {
      const answer = await fetch(bar.dataset.live, { redirect: "manual", headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      say(await answer.json());
    } catch {
      lost.hidden = false;
    }
    timer = setTimeout(listen, 30000);
  };
  const listen = () => {
    source = new EventSource(bar.dataset.live);
    source.onmessage = (event) => say(JSON.parse(event.data));
    source.onerror = () => {
      source.close();
      ask();
    };
  };
  const rest = () => {
    clearTimeout(timer);
    source?.close();
  };
  // A browser has few connections to one host: a page that nobody looks at holds none.
  const turn = () => {
    rest();
    if (!document.hidden) listen();
  };
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && turn());
  document.addEventListener("visibilitychange", turn);
  turn();
}
