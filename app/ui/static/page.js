// What moves by itself: times, live views, copied ids, questions in a dialog, filters. Everything else works without it.
"use strict";

document.documentElement.classList.add("scripted");

const view = document.getElementById("view");
const line = document.getElementById("line");
const dialog = document.getElementById("dialog");

// --- times: words.py writes them in the same way

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  const [big, small, names] = whole >= 86400 ? [86400, 3600, ["d", "h"]] : [3600, 60, ["h", "min"]];
  const rest = Math.floor((whole % big) / small);
  return `${Math.floor(whole / big)} ${names[0]}` + (rest ? ` ${rest} ${names[1]}` : "");
}

function relative(seconds) {
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

let ahead = 0; // how far the clock of this browser is ahead of the service, in milliseconds

function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const text = relative((Date.parse(time.dateTime) - (Date.now() - ahead)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

// --- live views: the same address is fetched again, and what differs is put in place

async function fetched(address) {
  const answer = await fetch(address, { headers: { "pas-script": "1", accept: "text/html" }, cache: "no-store" });
  if (answer.status === 401) throw new Error("logged out");
  if (answer.status === 429 || answer.status >= 500) throw new Error("not now"); // what is shown stays until it is
  const said = Date.parse(answer.headers.get("date"));
  if (said) ahead = Date.now() - said > 5000 || said - Date.now() > 5000 ? Date.now() - said : 0;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function merge(old, fresh) {
  const kept = old.nodeName === "DETAILS" ? "open" : null; // whoever has opened it reads it
  for (const { name } of [...old.attributes]) if (name !== kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const keyed = new Map();
  for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.dataset?.key ? keyed.get(wanted.dataset.key) : null;
    const here = known ?? (at && !at.dataset?.key && !wanted.dataset?.key && alike(at, wanted) ? at : null);
    if (here === null) {
      old.insertBefore(document.importNode(wanted, true), at);
      continue;
    }
    if (here !== at) old.insertBefore(here, at);
    else at = at.nextSibling;
    if (here.nodeType === Node.ELEMENT_NODE) merge(here, wanted);
    else if (here.nodeValue !== wanted.nodeValue) here.nodeValue = wanted.nodeValue;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.id === other.id;
}

const LOST = "Not connected: what is shown may be old. Trying again…";

let stream = null;
let again = 0;

function say(text, lost = false) {
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("lost", lost);
}

async function refresh() {
  try {
    const fresh = await fetched(location.href);
    const main = fresh.getElementById("view");
    if (main) merge(view, main);
    document.title = fresh.title;
    tellTimes();
    if (line.classList.contains("lost")) say(stream ? "Live" : "");
    if (!view.dataset.live) unfollow("");
  } catch (error) {
    if (error.message === "logged out") {
      unfollow("The session has ended: reload the page to log in again.", true);
      return;
    }
    say(LOST, true);
    clearTimeout(again);
    if (stream) again = setTimeout(refresh, 3000); // what the stream told is not shown yet
  }
}

function follow() {
  const address = view.dataset.live;
  if (!address || stream || document.hidden) return;
  stream = new EventSource(address);
  stream.onopen = () => say("Live");
  let busy = false, due = false;
  stream.onmessage = async () => {
    due = true;
    if (busy) return;
    busy = true;
    while (due) {
      due = false;
      await refresh();
    }
    busy = false;
  };
  stream.onerror = () => {
    say(LOST, true);
    if (stream?.readyState === EventSource.CLOSED) { // a refusal: the browser does not try again by itself
      unfollow(null);
      clearTimeout(again);
      again = setTimeout(async () => { await refresh(); follow(); }, 3000);
    }
  };
}

function unfollow(text, lost = false) {
  stream?.close();
  stream = null;
  if (text !== null) say(text, lost);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) unfollow(null); // browsers allow few connections to one host: a hidden tab takes none
  else if (view.dataset.live) refresh().then(follow);
});

// --- copy, questions, filters

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    try {
      await navigator.clipboard.writeText(copy.dataset.copy);
      say(`Copied: ${copy.dataset.copy}`);
    } catch { // the browser does not allow it: what is selected can be copied by hand
      getSelection().selectAllChildren(copy.previousElementSibling);
      say("Selected: this browser does not let the page copy it.");
    }
    return;
  }
  if (event.target.closest("[data-close]") && dialog.open) {
    event.preventDefault();
    dialog.close();
    return;
  }
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const question = (await fetched(link.href)).querySelector(".question");
    if (!question) throw new Error("no question");
    dialog.replaceChildren(document.importNode(question, true));
    tellTimes(dialog);
    dialog.showModal();
  } catch {
    location.href = link.href;
  }
});

for (const form of document.querySelectorAll("form[data-filters]")) {
  form.addEventListener("change", (event) => { if (event.target.matches("select:not([data-stays])")) form.requestSubmit(); });
  form.addEventListener("submit", () => { // an address has only the filters that are set
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
    for (const room of form.querySelectorAll("fieldset")) { // a comparison without a key means nothing
      if (!room.querySelector("select").value) for (const field of room.elements) field.disabled = true;
    }
  });
  window.addEventListener("pageshow", () => { for (const field of form.elements) field.disabled = false; });
}

// --- views without a stream: looked at again every few seconds while somebody sees them

async function lookAgain() {
  const seconds = Number(view.dataset.again);
  if (!seconds) return;
  if (!document.hidden) await refresh();
  setTimeout(lookAgain, seconds * 1000);
}

// --- the editor: numbers of lines, marks beside mistakes, drafts that survive a reload

function editor(area) {
  const gutter = area.parentElement.querySelector(".gutter");
  const height = 19; // of a line, as page.css has it
  const bad = new Map();
  for (const link of document.querySelectorAll("[data-line]")) {
    const number = Number(link.dataset.line);
    bad.set(number, [bad.get(number), link.parentElement.textContent.trim()].filter(Boolean).join("\n"));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const lines = area.value.split("\n");
      const begin = lines.slice(0, number - 1).join("\n").length + (number > 1 ? 1 : 0);
      area.focus();
      area.setSelectionRange(begin, begin + (lines[number - 1]?.length ?? 0));
      area.scrollTop = Math.max(0, (number - 4) * height);
    });
  }
  function draw() {
    const count = area.value.split("\n").length;
    const first = Math.floor(area.scrollTop / height);
    const shown = [];
    for (let at = first; at < Math.min(count, first + Math.ceil(area.clientHeight / height) + 1); at++) {
      const number = document.createElement("span");
      number.textContent = bad.has(at + 1) ? `! ${at + 1}\n` : `${at + 1}\n`;
      if (bad.has(at + 1)) Object.assign(number, { className: "bad", title: bad.get(at + 1) });
      shown.push(number);
    }
    gutter.replaceChildren(...shown);
    gutter.scrollTop = area.scrollTop % height;
  }
  gutter.hidden = false;
  for (const what of ["input", "scroll"]) area.addEventListener(what, draw);
  new ResizeObserver(draw).observe(area);
  draw();
}

function dropped(area) {
  area.addEventListener("dragover", (event) => { event.preventDefault(); area.classList.add("over"); });
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", async (event) => {
    const [file] = event.dataTransfer.files;
    area.classList.remove("over");
    if (!file) return;
    event.preventDefault();
    area.value = await file.text();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

function kept(form) {
  const name = `pas ${form.dataset.draft}`;
  const fields = ["jobId", "yaml", "csv", "name"].map((each) => form.elements[each]);
  const keep = () => {
    try {
      localStorage.setItem(name, JSON.stringify(Object.fromEntries(fields.map((each) => [each.name, each.value]))));
    } catch { /* too large to be kept */ }
  };
  const empty = !form.elements.yaml.value && !form.elements.csv.value;
  try {
    const draft = JSON.parse(localStorage.getItem(name) ?? "{}");
    if ("made" in form.dataset) keep(); // the service has written it
    else if (empty || draft.jobId === form.elements.jobId.value) {
      const newer = !empty && draft.yaml !== form.elements.yaml.value; // typed since it was sent
      for (const field of fields) if (field.name in draft) field.value = draft[field.name];
      if (newer) form.querySelector("[data-plan]")?.remove();
    }
  } catch { /* what another release kept */ }
  form.addEventListener("input", () => {
    form.querySelector("[data-plan]")?.remove(); // the plan was of what was checked
    const submit = form.querySelector("[value=submit]");
    if (submit.textContent !== "Submit without a check") submit.textContent = "Submit without a check";
    keep();
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.value === "submit") sessionStorage.setItem("pas submitted", form.elements.jobId.value);
  });
}

function forgetDrafts(which = () => true) {
  for (const name of Object.keys(localStorage)) if (name.startsWith("pas ") && which(name)) localStorage.removeItem(name);
}

const submitted = sessionStorage.getItem("pas submitted");
if (submitted && location.pathname.endsWith(`/${submitted}`)) { // it was taken: its page is shown
  forgetDrafts();
  sessionStorage.removeItem("pas submitted");
}
document.querySelector("form.who")?.addEventListener("submit", () => forgetDrafts()); // they may be confidential

for (const form of document.querySelectorAll("form[data-draft]")) kept(form);
for (const area of document.querySelectorAll("textarea[data-editor]")) editor(area);
for (const area of document.querySelectorAll("textarea")) dropped(area);

setInterval(tellTimes, 1000);
follow();
if (view.dataset.again) setTimeout(lookAgain, Number(view.dataset.again) * 1000);
