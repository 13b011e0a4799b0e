// Keeps a page fresh: every 5 s, in a visible tab, asks whether it changed (ETag) and swaps its main part.
"use strict";
(() => {
  const INTERVAL = 5000;
  const TYPED = "input[name]:not([type=hidden]), select[name], textarea[name]";
  const main = document.getElementById("main");
  let etag = main.dataset.etag && `"${main.dataset.etag}"`;
  let freshAt = new Date();
  if (!etag) return;

  const busy = () => main.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

  const place = (field) => `${field.form?.getAttribute("action")} ${field.name}`; // several forms ask for a name

  function swap(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("main");
    if (!fresh) return;
    const open = [...main.querySelectorAll("details")].map((details) => details.open);
    const typed = new Map([...main.querySelectorAll(TYPED)].map((i) => [place(i), i.value]));
    main.replaceChildren(...fresh.childNodes);
    main.querySelectorAll("details").forEach((details, index) => { details.open = Boolean(open[index]); });
    main.querySelectorAll(TYPED).forEach((i) => { i.value = typed.get(place(i)) ?? i.value; });
  }

  function stale() {
    let note = document.getElementById("stale");
    if (!note) {
      note = document.createElement("p");
      note.id = "stale";
      note.setAttribute("role", "status");
      main.before(note);
    }
    note.textContent = main.dataset.stale.replace("{at}", freshAt.toISOString().slice(11, 19));
  }

  async function refresh() {
    if (document.visibilityState !== "visible" || busy()) return;
    try {
      const response = await fetch(location.href, { headers: { "If-None-Match": etag }, cache: "no-store", redirect: "error" });
      if (response.status === 200) {
        swap(await response.text());
        etag = response.headers.get("ETag");
      } else if (response.status !== 304) throw new Error(response.statusText);
      freshAt = new Date();
      document.getElementById("stale")?.remove();
    } catch {
      stale();
    }
  }

  setInterval(refresh, INTERVAL);
  document.addEventListener("visibilitychange", refresh);
})();
