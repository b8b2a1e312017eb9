// Asks every few seconds whether the page has changed, and puts in what has, without moving anything under the reader.
"use strict";

const PERIOD_MS = 3000;
const live = document.querySelector("[data-live]");
const pulse = document.getElementById("pulse");
let shown = null;

function say(state, words) {
  if (pulse.dataset.state !== state || state === "ok") {
    pulse.dataset.state = state;
    pulse.textContent = words;
  }
}

function replaceBy(html) {
  const open = [...live.querySelectorAll("details[open][id]")].map((one) => one.id);
  const focused = live.contains(document.activeElement) ? document.activeElement : null;
  const sought = focused && (focused.id ? "#" + CSS.escape(focused.id) : focused.getAttribute("href") && `a[href="${CSS.escape(focused.getAttribute("href"))}"]`);
  live.innerHTML = html;
  for (const id of open) {
    const one = document.getElementById(id);
    if (one) one.open = true;
  }
  if (sought) live.querySelector(sought)?.focus({ preventScroll: true });
}

async function renew() {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(await answer.text());
    const html = await answer.text();
    if (shown !== null && html !== shown) replaceBy(html);
    shown = html;
    say("ok", "Renewed " + new Date().toLocaleTimeString());
  } catch (error) {
    say("away", "Not renewed: the site does not answer. What you see may be old.");
  }
}

if (live) {
  renew();
  setInterval(renew, PERIOD_MS);
  document.addEventListener("visibilitychange", renew);
}
