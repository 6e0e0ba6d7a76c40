// Keeps the page up to date: asks for the progress and replaces the parts that have changed.
// Without this file everything works too; a reload then shows what is new.

const BUSY_MS = 300;
const IDLE_MS = 2000;

const bar = document.getElementById("bar");
const start = document.getElementById("start");
const lost = document.getElementById("lost");
const shown = new Map();
let timer;
let asking = false;
let askAgain = false;

async function refresh() {
  clearTimeout(timer);
  askAgain = asking;
  if (asking || document.hidden) return;
  asking = true;
  let wait = IDLE_MS;
  try {
    const answer = await fetch(document.body.dataset.progress + location.search);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const now = await answer.json();
    show(now);
    if (now.is_busy) wait = BUSY_MS;
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  asking = false;
  timer = setTimeout(refresh, askAgain ? 0 : wait);
}

function show(now) {
  bar.max = now.total ?? 1;
  bar.value = now.done;
  start.disabled = now.is_running;
  for (const [id, html] of Object.entries(now.parts)) {
    if (shown.get(id) === html) continue;
    shown.set(id, html);
    // Rendered by Django's templates, which escape what the database holds.
    document.getElementById(id).innerHTML = html;
  }
}

// A button starts its task without leaving the page.
for (const form of document.querySelectorAll("form[data-live]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const sent = await fetch(form.action, { method: "POST", body: new FormData(form) }).catch(() => null);
    lost.hidden = Boolean(sent?.ok);
    refresh();
  });
}

document.addEventListener("visibilitychange", refresh);
refresh();
