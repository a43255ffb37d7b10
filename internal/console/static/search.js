// The box takes a list: what is pasted on several lines stays several values, and a long one goes as a form.
const box = document.getElementById("q");
box?.addEventListener("paste", (event) => {
  const text = event.clipboardData?.getData("text/plain") ?? "";
  if (!/[\r\n]/.test(text.trim())) return;
  event.preventDefault();
  box.setRangeText(text.trim().split(/\s*[\r\n]+\s*/).join(" "), box.selectionStart, box.selectionEnd, "end");
});
box?.form.addEventListener("submit", (event) => {
  if (box.value.length < 4000) return;
  event.preventDefault();
  const form = document.createElement("form");
  form.method = "post";
  form.action = "search";
  form.hidden = true;
  const area = document.createElement("textarea");
  area.name = "q";
  area.value = box.value;
  form.append(area);
  document.body.append(form);
  form.submit();
});
