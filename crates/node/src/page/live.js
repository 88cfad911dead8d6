// Brings the figures of the front page up to date where they stand, so that who is on a button with the keyboard, has
// scrolled a table, or has the page read to him stays where he is. The page works without it.
"use strict";

const script = document.currentScript;
const every = Number(script.dataset.seconds) * 1000;
const patience = 10000;
// For so long stays what was told when a button had been pressed.
const reading = 30000;
const shown = document.getElementById("content");
const silence = document.getElementById("silence");
const begun = Date.now();
let told = new Date();

// Makes one node equal to another one, and touches nothing that is equal already.
function renew(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const name of old.getAttributeNames()) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const name of fresh.getAttributeNames()) {
    if (old.getAttribute(name) !== fresh.getAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
  }
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  after.forEach((node, place) => (place < before.length ? renew(before[place], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
}

async function look() {
  if (document.hidden) return;
  try {
    const path = Date.now() - begun < reading ? location.href : "/";
    const answer = await fetch(path, { redirect: "manual", signal: AbortSignal.timeout(patience) });
    // The session is over: the page that follows asks who it is.
    if (answer.type === "opaqueredirect") {
      location.assign("/");
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    renew(shown, page.getElementById("content"));
    told = new Date();
    silence.textContent = "";
  } catch {
    const time = told.toISOString().slice(11, 19);
    const words = `This node does not answer. What is shown is of ${time} UTC: look at another node's page.`;
    if (silence.textContent !== words) silence.textContent = words;
  }
}

async function stay() {
  await look();
  setTimeout(stay, every);
}

setTimeout(stay, every);
