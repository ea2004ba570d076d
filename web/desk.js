// The agent's desk: logs in, shows the contact before the phone rings, and carries out what the
// agent presses. Whatever comes from a person is put in as text, never as markup.

import { Phone } from "/phone.js";
import { clock, inLanguage, language, moment, span, speak, word } from "/words.js";

/** @template {HTMLElement} [T=HTMLElement] @param {string} id @returns {T} */
const $ = (id) => /** @type {T} */ (document.getElementById(id));

const REASONS = ["break", "lunch", "training", "back_office"];
/** Closed with these, coming back by itself is pointless. */
const FINAL = { 4001: "taken_over", 4401: "expired" };

/**
 * @typedef {object} Breakpoint
 * @property {string} [journey] @property {string} topic @property {string} channel @property {string} [step]
 * @property {string | null} label @property {number | null} ordinal @property {number | null} total
 * @property {string} status @property {string | null} reason @property {number} attempts
 * @property {number} age_s @property {Record<string, unknown>} data @property {Record<string, string>} sentence
 *
 * @typedef {object} Pop
 * @property {string} contact @property {number} version @property {string} queue
 * @property {number} waited_ms @property {number} answer_within_ms
 * @property {{number: string | null, name: string | null, tier: string | null, language: string | null, confidence: string}} caller
 * @property {Breakpoint | null} breakpoint @property {string[]} withheld
 * @property {{step: string, input: string | null, at: string}[]} path
 * @property {Breakpoint[]} open
 * @property {{agent: string | null, at: string, disposition: string | null}[]} previous
 * @property {{agent: string, at: string, text: string}[]} notes
 *
 * @typedef {{from: {mos: number} | null, to: {mos: number} | null, silent_since: string | null}} Fare
 */

/** What the page shows. */
const desk = {
  agent: "",
  name: "",
  /** @type {{code: string, label: Record<string, string>}[]} */
  dispositions: [],
  state: "not_ready",
  reason: "",
  since: Date.now(),
  /** @type {Pop | null} */
  pop: null,
  /** @type {"offered" | "talking" | "held" | "wrap_up" | null} */
  stage: null,
  stageSince: Date.now(),
  /** How the call sounds. @type {{caller: Fare, agent: Fare} | null} */
  sound: null,
  /** When the offer, or the wrap-up, is over. */
  until: 0,
  length: 1,
  notice: "",
  link: "connecting",
  loginError: "",
  /** Whether this page is the agent's phone. */
  softphone: false,
  muted: false,
  keypad: false,
};

const phone = new Phone((sdp) => command("sdp", { sdp }), () => render());


/** @type {WebSocket | null} */
let socket = null;
let token = sessionStorage.getItem("token") ?? "";
let commands = 0;
/** Two pages of one agent must not give the same id to two commands. */
const origin = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
/** @type {Map<string, (ok: boolean, error?: string) => void>} */
const awaited = new Map();
/** The number up to which nothing is missing. */
let heard = 0;
/** Numbers beyond it: a welcome overtakes what is replayed after it. */
const ahead = new Set();
let pause = 500;
/** Whether the server was asked for what we missed. */
let resumes = false;

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const mine = new WebSocket(`${scheme}://${location.host}/v1/agent`, "baton.v1");
  socket = mine;
  desk.link = "connecting";
  render();
  mine.onopen = () => {
    resumes = heard > 0;
    mine.send(JSON.stringify({ type: "hello", token, ...(resumes ? { resume_from: heard } : {}) }));
  };
  mine.onmessage = (event) => {
    if (socket === mine) hear(JSON.parse(event.data));
  };
  mine.onclose = (event) => {
    if (socket !== mine) return;
    socket = null;
    for (const done of awaited.values()) done(false);
    awaited.clear();
    const final = FINAL[/** @type {4001 | 4401} */ (event.code)];
    if (final) return leave(final);
    desk.link = "offline";
    render();
    setTimeout(() => token && !socket && connect(), pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, 10_000);
  };
}

/**
 * @param {string} type
 * @param {Record<string, unknown>} [fields]
 * @returns {Promise<boolean>}
 */
function command(type, fields = {}) {
  if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve(false);
  const id = `${origin}-${++commands}`;
  socket.send(JSON.stringify({ type, id, ...fields }));
  return new Promise((resolve) => {
    awaited.set(id, (ok, error) => {
      if (!ok && error) note(excuse(error));
      resolve(ok);
    });
  });
}

/** @param {string} error */
function excuse(error) {
  if (error === "malformed") return "refused";
  return error === "phone_unreachable" && desk.softphone ? "line_not_up" : error;
}

/** For the contact on the screen. @param {string} type @param {Record<string, unknown>} [fields] */
function about(type, fields = {}) {
  return desk.pop ? command(type, { contact: desk.pop.contact, ...fields }) : Promise.resolve(false);
}

/** @param {any} message */
function hear(message) {
  count(message);
  const mine = message.contact !== undefined && message.contact === desk.pop?.contact;
  switch (message.type) {
    case "welcome":
      pause = 500;
      desk.link = "connected_link";
      desk.agent = message.agent;
      desk.name = message.name;
      desk.dispositions = message.dispositions;
      desk.softphone = message.softphone ?? false;
      phone.use(message.ice_servers);
      // Unless a snapshot follows, which says that the server does not know this page.
      if (desk.softphone && resumes) phone.resume();
      break;
    case "snapshot":
      enter(message);
      desk.pop = message.pop ?? null;
      stage(message.pop ? message.stage : null);
      recallMute();
      if (desk.pop) show(desk.pop);
      if (desk.softphone) phone.begin();
      break;
    case "sdp":
      phone.hear(message.sdp);
      break;
    case "state":
      enter(message);
      if (["ready", "not_ready"].includes(desk.state)) clear();
      break;
    case "offer":
      clear();
      desk.notice = "";
      desk.pop = message;
      stage("offered", message.answer_within_ms);
      setMute(false);
      announce(message);
      show(message);
      break;
    case "update":
      if (mine) {
        desk.pop = message;
        show(message);
      }
      break;
    case "withdrawn":
      if (mine) {
        clear();
        note(`withdrawn_${message.reason}`);
      }
      break;
    case "connected":
    case "resumed":
      if (mine) stage("talking");
      break;
    case "held":
      if (mine) stage("held");
      break;
    case "quality":
      if (mine) desk.sound = message;
      break;
    case "released":
      desk.sound = null;
      if (mine) note("released");
      break;
    case "wrap_up":
      if (mine) stage("wrap_up", message.remaining_ms);
      break;
    case "reply":
      awaited.get(message.re)?.(message.ok, message.error);
      awaited.delete(message.re);
      break;
    case "error":
      note(message.error);
      break;
  }
  render();
}

/** Keeps book of what was heard. @param {{type: string, seq?: number}} message */
function count({ type, seq }) {
  if (seq === undefined) return;
  if (type === "snapshot") {
    heard = seq;
    ahead.clear();
    return;
  }
  ahead.add(seq);
  while (ahead.delete(heard + 1)) heard += 1;
}

/** @param {{state: string, reason?: string}} message */
function enter({ state, reason }) {
  if (state !== desk.state || reason !== desk.reason) desk.since = Date.now();
  desk.state = state;
  desk.reason = reason ?? "";
}

/** @param {typeof desk.stage} next @param {number} [lasts] */
function stage(next, lasts) {
  // A call that goes on after hold began where it began.
  if (!(next === "talking" && desk.stage === "held") && next !== desk.stage) desk.stageSince = Date.now();
  desk.stage = next;
  desk.until = lasts === undefined ? 0 : Date.now() + lasts;
  desk.length = lasts || 1;
  if (desk.softphone) phone.ring(next === "offered");
  if (!isOnCall()) desk.keypad = false;
}

function isOnCall() {
  return desk.stage === "talking" || desk.stage === "held";
}

/** @param {boolean} muted */
function setMute(muted) {
  desk.muted = muted;
  phone.mute(muted);
  // So that nobody is heard again by loading the page.
  if (muted && desk.pop) sessionStorage.setItem("muted", desk.pop.contact);
  else sessionStorage.removeItem("muted");
}

function recallMute() {
  setMute(Boolean(desk.pop) && sessionStorage.getItem("muted") === desk.pop?.contact);
}

function clear() {
  desk.pop = null;
  desk.sound = null;
  stage(null);
  /** @type {HTMLFormElement} */ ($("note-form")).reset();
  /** @type {HTMLFormElement} */ ($("disposition-form")).reset();
}

/** Tells the server once the pop has really been painted. @param {Pop} pop */
function show(pop) {
  // The first frame paints what was rendered; when the second begins, it is on the screen.
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const shown = desk.pop;
      if (shown?.contact === pop.contact && shown.version === pop.version) {
        command("displayed", { contact: pop.contact, version: pop.version });
      }
    }),
  );
}

/** @param {Pop} pop */
function announce(pop) {
  const sentence = inLanguage(pop.breakpoint?.sentence);
  const title = word("new_offer", { who: whose(pop) });
  $("alert").textContent = `${title}. ${sentence}`;
  if (desk.softphone && document.hidden && globalThis.Notification?.permission === "granted") {
    const shown = new Notification(title, { body: sentence, tag: pop.contact });
    shown.onclick = () => (focus(), shown.close());
  }
  // Rendered first, or there is nothing to focus.
  queueMicrotask(() => $("caller").focus());
}

/** @param {string} name */
function note(name) {
  desk.notice = name;
  render();
}


$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [agent, password] = [/** @type {HTMLInputElement} */ ($("agent")), /** @type {HTMLInputElement} */ ($("password"))];
  const button = /** @type {HTMLButtonElement} */ ($("login-button"));
  button.disabled = true;
  desk.loginError = "";
  try {
    const response = await fetch("/v1/login", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ agent: agent.value.trim(), password: password.value }),
    });
    if (response.ok) {
      token = (await response.json()).token;
      sessionStorage.setItem("token", token);
      password.value = "";
      heard = 0;
      ahead.clear();
      connect();
    } else if (response.status === 429) {
      desk.loginError = word("too_many", { s: response.headers.get("retry-after") ?? 60 });
    } else {
      desk.loginError = word(response.status === 401 ? "wrong_password" : "unreachable");
    }
  } catch {
    desk.loginError = word("unreachable");
  }
  button.disabled = false;
  render();
  if (!token) password.select();
});

$("logout").addEventListener("click", async () => {
  await command("set_state", { state: "not_ready", reason: "logged_out" });
  const authorization = `Bearer ${token}`;
  leave("");
  await fetch("/v1/login", { method: "DELETE", headers: { authorization } }).catch(() => {});
});

/** Back to the log-in. @param {string} why */
function leave(why) {
  token = "";
  sessionStorage.removeItem("token");
  const old = socket;
  socket = null;
  old?.close();
  phone.end();
  clear();
  setMute(false);
  Object.assign(desk, { agent: "", name: "", state: "not_ready", reason: "", notice: "", softphone: false });
  desk.loginError = why ? word(why) : "";
  render();
  $("agent").focus();
}


/** @type {Record<string, () => unknown>} */
const presses = {
  ready: () => {
    // Asked for by a press, or a browser does not show the question.
    if (desk.softphone && globalThis.Notification?.permission === "default") Notification.requestPermission();
    return command("set_state", { state: "ready" });
  },
  "not-ready": () => {
    const reason = /** @type {HTMLSelectElement} */ ($("reason")).value;
    return command("set_state", { state: "not_ready", reason });
  },
  answer: () => about("answer"),
  decline: () => about("decline"),
  hold: () => about("hold"),
  resume: () => about("resume"),
  release: () => about("release"),
  mute: () => {
    setMute(!desk.muted);
    render();
    return about("mute", { on: desk.muted });
  },
  keypad: () => {
    desk.keypad = !desk.keypad;
    render();
  },
  "line-again": () => phone.begin(),
  extend: async () => {
    if (await about("extend", { seconds: 30 })) {
      desk.until += 30_000;
      desk.length += 30_000;
    }
  },
};
for (const [id, press] of Object.entries(presses)) {
  $(id).addEventListener("click", () => {
    desk.notice = "";
    press();
  });
}

$("pad").append(
  ...[..."123456789*0#"].map((key) => {
    const button = /** @type {HTMLButtonElement} */ (make("button", "", key));
    button.type = "button";
    button.addEventListener("click", () => about("dtmf", { keys: key }));
    return button;
  }),
);

$("disposition-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(/** @type {HTMLFormElement} */ ($("disposition-form")));
  const code = /** @type {HTMLSelectElement} */ ($("code")).value;
  const journey = desk.pop?.breakpoint ? { journey: form.get("journey") } : {};
  if (await about("disposition", { code, ...journey })) note("filed");
});

$("note-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = /** @type {HTMLTextAreaElement} */ ($("note"));
  const text = field.value.trim();
  if (!text || !desk.pop) return;
  const { contact } = desk.pop;
  if (await command("note", { contact, text })) {
    field.value = "";
    if (desk.pop?.contact === contact) {
      desk.pop.notes = [...desk.pop.notes, { agent: desk.agent, at: new Date().toISOString(), text }];
    }
    note("noted");
  }
});

$("language").addEventListener("click", () => {
  speak(language() === "en" ? "zh" : "en");
  localStorage.setItem("language", language());
  label();
  render();
});

const keys = /** @type {HTMLInputElement} */ ($("keys"));
keys.checked = localStorage.getItem("keys") !== "off";
keys.addEventListener("change", () => {
  localStorage.setItem("keys", keys.checked ? "on" : "off");
  render();
});

document.addEventListener("keydown", (event) => {
  const at = /** @type {HTMLElement} */ (event.target);
  if (!keys.checked || event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return;
  if (at.matches("input:not([type=checkbox]):not([type=radio]), textarea, select")) return;
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#desk [data-key]"))) {
    const there = !button.disabled && button.offsetParent !== null;
    if (there && button.dataset.key === event.key.toLowerCase()) {
      event.preventDefault();
      button.click();
      return;
    }
  }
});


/** @param {string} tag @param {string} kind @param {...(Node | string)} children */
function make(tag, kind, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

/** @param {Pop} pop */
function whose(pop) {
  return pop.caller.name ?? pop.caller.number ?? word("unknown_caller");
}

/** The words that stand still. */
function label() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  for (const at of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-word]"))) {
    at.textContent = word(at.dataset.word ?? "");
    if (at.dataset.key) {
      at.setAttribute("aria-keyshortcuts", at.dataset.key);
      at.append(make("kbd", "", at.dataset.key.toUpperCase()));
    }
  }
  for (const at of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-label]"))) {
    at.setAttribute("aria-label", word(at.dataset.label ?? ""));
  }
  for (const at of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-placeholder]"))) {
    at.setAttribute("placeholder", word(at.dataset.placeholder ?? ""));
  }
  $("language").textContent = word("other_language");
  $("language").lang = language() === "en" ? "zh-CN" : "en";
  options($("reason"), REASONS.map((reason) => [reason, word(reason)]));
}

/** Keeps what was chosen. @param {HTMLElement} at @param {string[][]} choices */
function options(at, choices) {
  const select = /** @type {HTMLSelectElement} */ (at);
  const wanted = JSON.stringify(choices);
  if (select.dataset.choices === wanted) return;
  const chosen = select.value;
  select.replaceChildren(
    ...choices.map(([value, text]) => {
      const option = document.createElement("option");
      [option.value, option.textContent] = [value, text];
      return option;
    }),
  );
  select.dataset.choices = wanted;
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

/** @param {string} id @param {boolean} there */
function reveal(id, there) {
  $(id).hidden = !there;
}

/** Live regions speak when they change: only then are they touched. @param {string} id @param {string} text */
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function render() {
  const inside = Boolean(token);
  reveal("login", !inside);
  reveal("desk", inside);
  reveal("logout", inside);
  put("login-error", desk.loginError);
  put("who", inside ? desk.name || desk.agent : "");
  put("link", inside ? word(desk.link) : "");
  $("link").dataset.link = desk.link;

  const { pop } = desk;
  const shown = desk.stage ?? desk.state;
  put("state", word(shown) + (desk.reason && !desk.stage ? ` · ${word(reasonWord(desk.reason))}` : ""));
  $("dot").dataset.state = shown;
  put("notice", desk.notice ? word(desk.notice) : "");
  $("notice").hidden = !desk.notice;
  const offline = desk.link !== "connected_link";
  const disabled = (/** @type {string} */ id, /** @type {boolean} */ is) => {
    /** @type {HTMLButtonElement} */ ($(id)).disabled = is || offline;
  };
  disabled("ready", desk.state === "ready" || (desk.softphone && phone.state !== "line_up"));
  disabled("not-ready", false);
  put("empty-word", word(desk.state === "ready" ? "waiting" : "resting"));
  reveal("empty", !pop);
  reveal("contact", Boolean(pop));
  document.title = pop && desk.stage === "offered" ? `☎ ${whose(pop)}` : "Baton";
  $("keys-list").hidden = !keys.checked;
  put("keys-list", keys.checked ? `R · N · A · D · H · E${desk.softphone ? " · M" : ""}` : "");
  document.body.classList.toggle("with-keys", keys.checked);
  renderPhone();
  if (pop) renderContact(pop, offline);
  tick();
}

function renderPhone() {
  reveal("phone", desk.softphone);
  put("line", word(phone.state));
  $("phone").dataset.line = phone.state;
  reveal("line-again", phone.isHelpless);
  for (const id of ["mute", "keypad"]) reveal(id, desk.softphone && isOnCall());
  $("mute").setAttribute("aria-pressed", String(desk.muted));
  $("keypad").setAttribute("aria-expanded", String(desk.keypad));
  reveal("pad", desk.keypad && isOnCall());
}

/** @param {string} reason */
function reasonWord(reason) {
  return reason === "unreachable" ? "unreachable_phone" : reason;
}

/** @param {Pop} pop @param {boolean} offline */
function renderContact(pop, offline) {
  const { caller, breakpoint } = pop;
  put("caller", whose(pop));
  put("stage", word(desk.stage ?? ""));
  $("contact").dataset.stage = desk.stage ?? "";
  const chips = [
    caller.name && caller.number ? ["", caller.number] : null,
    ["queue", pop.queue],
    ["waited", clock(pop.waited_ms)],
    caller.tier ? ["tier", caller.tier] : null,
    caller.language ? ["language", caller.language] : null,
    ["confidence", word(caller.confidence)],
    desk.sound ? ["sound", word(sound(desk.sound))] : null,
  ];
  $("chips").replaceChildren(
    ...chips.filter((chip) => chip !== null).map(([name, value]) => {
      const chip = make("span", "chip", ...(name ? [make("i", "", word(name)), " "] : []), make("b", "", value));
      if (name === "confidence") chip.dataset.confidence = caller.confidence;
      if (name === "sound" && desk.sound) chip.dataset.sound = sound(desk.sound);
      return chip;
    }),
  );
  const unheard = /** @type {const} */ (["caller", "agent"]).find((who) => desk.sound?.[who].silent_since);
  const since = unheard && desk.sound?.[unheard].silent_since;
  put("unheard", since ? word(`${unheard}_unheard`, { at: moment(since) }) : "");
  for (const [id, stages] of Object.entries({
    answer: ["offered"],
    decline: ["offered"],
    hold: ["talking"],
    resume: ["held"],
    release: ["talking", "held"],
    extend: ["wrap_up"],
  })) {
    reveal(id, stages.includes(desk.stage ?? ""));
    /** @type {HTMLButtonElement} */ ($(id)).disabled = offline;
  }

  renderBreakpoint(breakpoint, pop.withheld);
  rows("open", pop.open, (other) => [make("p", "", inLanguage(other.sentence) || other.topic)]);
  rows("path", pop.path, (stop) => [
    make("b", "", stop.step),
    stop.input ? make("span", "", ` ${word("pressed", { keys: stop.input })}`) : "",
    make("time", "", moment(stop.at)),
  ]);
  rows("previous", pop.previous, (earlier) => [
    make("b", "", earlier.disposition ? outcome(earlier.disposition) : "–"),
    earlier.agent ? make("span", "", ` ${earlier.agent}`) : "",
    make("time", "", moment(earlier.at)),
  ]);
  rows("notes", pop.notes, (left) => [
    make("p", "", left.text),
    make("span", "", left.agent),
    make("time", "", moment(left.at)),
  ], true);
  options($("code"), [["", word("choose")], ...desk.dispositions.map(({ code }) => [code, outcome(code)])]);
  reveal("journey", Boolean(breakpoint));
  reveal("finish", desk.stage !== "offered");
  /** @type {HTMLButtonElement} */ ($("file")).disabled = offline;
}

/** The worse of what either hears: satisfied above R 80, hardly anybody below R 60 (ITU-T G.109). @param {{caller: Fare, agent: Fare}} fares */
function sound({ caller, agent }) {
  const opinions = [caller.from, caller.to, agent.from, agent.to].flatMap((way) => (way ? [way.mos] : []));
  const worst = Math.min(...opinions, 5);
  return worst >= 4.03 ? "sounds_good" : worst >= 3.1 ? "sounds_fair" : "sounds_poor";
}

/** @param {string} code */
function outcome(code) {
  return inLanguage(desk.dispositions.find((known) => known.code === code)?.label) || code;
}

/** @param {Breakpoint | null} breakpoint @param {string[]} withheld */
function renderBreakpoint(breakpoint, withheld) {
  const none = withheld.length ? "hidden_breakpoint" : "no_breakpoint";
  put("sentence", breakpoint ? inLanguage(breakpoint.sentence) || word("hidden_breakpoint") : word(none));
  $("breakpoint").dataset.status = breakpoint?.status ?? "";
  const { ordinal, total } = breakpoint ?? {};
  const dots = ordinal && total && total <= 20 ? total : 0;
  $("steps").replaceChildren(
    ...Array.from({ length: dots }, (_, i) => make("li", i + 1 < (ordinal ?? 0) ? "past" : i + 1 === ordinal ? "here" : "")),
  );
  /** @type {[string, string][]} */
  const facts = [];
  if (breakpoint) {
    facts.push([word("topic"), breakpoint.topic], [word("channel"), word(breakpoint.channel)]);
    const step = breakpoint.label ?? breakpoint.step;
    if (step) facts.push([word("step"), step]);
    if (breakpoint.reason) facts.push([word("why"), breakpoint.reason]);
    facts.push([word("attempts"), String(breakpoint.attempts)]);
    if (breakpoint.journey) facts.push([word("journey"), breakpoint.journey]);
    for (const [name, value] of Object.entries(breakpoint.data)) {
      facts.push([name, typeof value === "string" ? value : JSON.stringify(value)]);
    }
  }
  $("data").replaceChildren(...facts.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
  const names = withheld.map((name) => word(name)).join(language() === "zh" ? "、" : ", ");
  put("withheld", names ? word("withheld", { names }) : "");
  reveal("withheld", Boolean(names));
}

/**
 * @template T
 * @param {string} id @param {T[]} items @param {(item: T) => (Node | string)[]} row @param {boolean} [always]
 */
function rows(id, items, row, always = false) {
  $(`${id}-list`).replaceChildren(...items.map((item) => make("li", "", ...row(item))));
  if (!always) reveal(id, items.length > 0);
}

/** What moves with time. */
function tick() {
  const now = Date.now();
  $("since").textContent = clock(now - desk.since);
  if (!desk.pop) return;
  const left = desk.until - now;
  $("countdown").textContent = clock(desk.until ? left + 999 : now - desk.stageSince);
  const bar = /** @type {HTMLElement} */ ($("progress").firstElementChild);
  $("progress").hidden = !desk.until;
  bar.style.transform = `scaleX(${Math.max(0, Math.min(1, left / desk.length))})`;
}

/** What the line is like. */
async function listen() {
  if (!desk.softphone) return;
  await phone.look();
  /** @type {HTMLMeterElement} */ ($("level")).value = Math.sqrt(phone.level);
  const { loss, jitter, roundTrip } = phone.quality ?? {};
  put("quality", phone.quality ? word("quality", { loss: loss.toFixed(1), jitter: jitter.toFixed(0), rtt: roundTrip.toFixed(0) }) : "");
}

speak(localStorage.getItem("language") === "zh" || (!localStorage.getItem("language") && navigator.language.startsWith("zh")) ? "zh" : "en");
label();
render();
setInterval(tick, 250);
setInterval(listen, 200);
if (token) connect();
else $("agent").focus();
