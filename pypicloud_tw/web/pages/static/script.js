// What the pages do with JavaScript; each of them works without it.
"use strict";

// A button beside each text that is there to be copied.
function offerCopy(block) {
  const button = document.createElement("button");
  const said = document.createElement("span");
  button.type = "button";
  button.textContent = "Copy";
  said.className = "hidden";
  said.setAttribute("role", "status");
  const label = block.dataset.copy || "this text";
  button.setAttribute("aria-label", `Copy ${label}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("code").textContent.trim());
      button.textContent = "Copied";
      said.textContent = `Copied ${label}`;
    } catch {
      // Clipboards are for secure connections only: select it instead.
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "Selected";
      said.textContent = "Selected; press the keys that copy";
    }
    setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
  });
  block.append(button, said);
}

// Results while somebody types; an answer that comes late is dropped.
function searchAsTyped(form) {
  const input = form.querySelector("input[type=search]");
  let timer = 0, asked = 0, under = null;
  async function search() {
    const turn = ++asked;
    const query = new URLSearchParams(new FormData(form));
    if (under) under.abort();
    under = new AbortController();
    try {
      const answer = await fetch(`${form.action}?${query}`, {
        credentials: "same-origin", signal: under.signal, headers: { Accept: "text/html" },
      });
      if (!answer.ok || answer.redirected || turn !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("results"), shown = document.getElementById("results");
      if (found && shown && turn === asked) {
        shown.replaceChildren(...found.childNodes);
        if (form.dataset.live === "page") history.replaceState(null, "", `?${query}`);
      }
    } catch (error) {
      if (error.name !== "AbortError") return;
    }
  }
  form.addEventListener("input", () => {
    clearTimeout(timer);
    const words = input.value.trim();
    if (words.length > 1) timer = setTimeout(search, 150);
    else if (form.dataset.live !== "page") document.getElementById("results").replaceChildren();
  });
}

// A bar while files are sent; what comes of each is the page that the server answers with.
function showProgress(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const bar = form.querySelector("progress"), button = form.querySelector("button[type=submit]");
    const said = form.querySelector("[role=status]");
    const sending = new XMLHttpRequest();
    bar.hidden = false;
    button.disabled = true;
    sending.upload.addEventListener("progress", (sent) => {
      if (!sent.lengthComputable) return;
      bar.max = sent.total;
      bar.value = sent.loaded;
      const part = Math.floor(100 * sent.loaded / sent.total);
      said.textContent = part < 100 ? `${part} % sent` : "Sent; the server looks at it";
    });
    sending.addEventListener("load", () => {
      const page = new DOMParser().parseFromString(sending.responseText, "text/html");
      const main = page.getElementById("main");
      if (!main) { location.assign(sending.responseURL || form.action); return; }
      document.title = page.title;
      document.getElementById("main").replaceWith(main);
      if (sending.responseURL) history.replaceState(null, "", sending.responseURL);
      start();
      main.focus();
    });
    sending.addEventListener("error", () => {
      button.disabled = false;
      bar.hidden = true;
      said.textContent = "The connection broke off: send it again. A file that came in whole is not taken twice.";
    });
    sending.open("POST", form.action);
    sending.setRequestHeader("Accept", "text/html");
    sending.send(new FormData(form));
  });
}

// Asks before what cannot be taken back.
function askFirst(form) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}

function start() {
  const main = document.getElementById("main");
  main.querySelectorAll(".copy").forEach(offerCopy);
  main.querySelectorAll("form[data-live]").forEach(searchAsTyped);
  main.querySelectorAll("form[data-progress]").forEach(showProgress);
  main.querySelectorAll("form[data-confirm]").forEach(askFirst);
}

start();
// The search field is one key away, as on other sites.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("main input[type=search], header input[type=search]");
  if (field) { event.preventDefault(); field.focus(); }
});
