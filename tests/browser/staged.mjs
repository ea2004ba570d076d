// The agent's page against a staged server: every message of the contract, no daemon needed.
//
//   node staged.mjs [DIRECTORY FOR SCREENSHOTS]
//
// What the page shows and sends is checked in a real browser; exit code 0 if all of it held.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "./browser.mjs";

const shots = process.argv[2];
const web = fileURLToPath(new URL("../../web/", import.meta.url));
const KINDS = { html: "text/html", js: "text/javascript", css: "text/css" };
const CONTACT = "c_06c1y8g3a0f3v9h2k7m4n5p6q7";
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; media-src blob:";

const breakpoint = {
  journey: "prepay-8891", topic: "mortgage-prepay", channel: "app", step: "confirm-payment", label: "Confirm payment",
  ordinal: 3, total: 5, status: "failed", reason: "insufficient-funds", attempts: 2, age_s: 240, data: { amount: "50000.00" },
  sentence: {
    en: "Stopped at step 3 of 5, Confirm payment, in the app 4 minutes ago: insufficient funds, tried twice.",
    zh: "4 分钟前在 App 第 3/5 步“确认付款”中断：余额不足，已尝试 2 次。",
  },
};
const offer = {
  type: "offer", contact: CONTACT, version: 1, queue: "cards", waited_ms: 18250, answer_within_ms: 15000,
  caller: { number: "+8613800138000", customer: "cu_1", name: "<b>Zhang Wei</b>", tier: "gold", language: "zh-CN", confidence: "number" },
  breakpoint, withheld: ["balance"],
  path: [{ step: "menu", input: "1", at: "2026-01-31T08:00:00Z" }, { step: "errand", input: "2", at: "2026-01-31T08:00:09Z" }],
  hops: [], open: [{ ...breakpoint, journey: "card-1", sentence: { en: "Left at step 1 of 3, Choose a card, on the web 2 days ago.", zh: "2 天前在网页第 1/3 步“选择卡片”离开。" } }],
  previous: [{ agent: "ben", at: "2026-01-20T10:00:00Z", disposition: "done" }],
  notes: [],
};

/** The files of the page, and its log-in. */
function serve(page, origin) {
  return page.route(`${origin}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/v1/login") {
      const { password } = route.request().postDataJSON() ?? {};
      return password === "right"
        ? route.fulfill({ json: { token: "t", expires_at: "2030-01-01T00:00:00Z" } })
        : route.fulfill({ status: 401, json: { status: 401 } });
    }
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    const headers = { "content-type": KINDS[name.split(".").pop()], "content-security-policy": POLICY };
    return route.fulfill({ body: await readFile(web + name), headers });
  });
}

/** What a page that is the agent's phone says of its line, once this is said. */
async function line(browser, origin, permissions, expected) {
  const page = await browser.newPage({ locale: "en-GB", permissions });
  await serve(page, origin);
  await page.routeWebSocket(`${origin.replace("http", "ws")}/v1/agent`, (socket) => {
    let seq = 0;
    const push = (message) => socket.send(JSON.stringify({ seq: ++seq, ...message }));
    socket.onMessage((text) => {
      const message = JSON.parse(text);
      if (message.type !== "hello") return push({ type: "reply", re: message.id, ok: false, error: "no_room" });
      push({ type: "welcome", agent: "anna", name: "Anna", dispositions: [], softphone: true });
      push({ type: "snapshot", state: "not_ready", reason: "logged_out", stage: null });
    });
  });
  await page.goto(origin);
  await page.fill("#agent", "anna");
  await page.fill("#password", "right");
  await page.click("#login-button");
  await page.getByText(expected).waitFor();
  assert.ok(await page.isDisabled("#ready"), "nobody is ready without a line");
  await page.close();
}

const browser = await launch();
try {
  for (const [width, height, colorScheme] of [[1280, 800, "light"], [800, 600, "dark"]]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    const faults = [];
    page.on("pageerror", (error) => faults.push(error.message));
    page.on("console", (line) => line.type() === "error" && faults.push(line.text()));
    await serve(page, "http://desk.test");
    const said = [];
    const heard = [];
    let desk;
    let seq = 0;
    let connections = 0;
    const push = (message) => desk.send(JSON.stringify({ seq: ++seq, ...message }));
    await page.routeWebSocket("ws://desk.test/v1/agent", (socket) => {
      desk = socket;
      connections += 1;
      socket.onMessage((text) => {
        const message = JSON.parse(text);
        said.push(message);
        for (const wake of heard.splice(0)) wake();
        if (message.type === "hello") {
          push({ type: "welcome", agent: "anna", name: "Anna", dispositions: [{ code: "done", label: { en: "Done", zh: "已解决" } }, { code: "call-back", label: { en: "Call back", zh: "需回电" } }] });
          if (message.resume_from === undefined) push({ type: "snapshot", state: "not_ready", reason: "logged_out", stage: null });
        } else {
          push({ type: "reply", re: message.id, ok: message.contact === undefined || message.contact === CONTACT });
          if (message.type === "set_state") push({ type: "state", state: message.state, ...(message.reason ? { reason: message.reason } : {}) });
        }
      });
    });
    /** The next message of this type, or the one that was said already. */
    const saying = async (type) => {
      for (;;) {
        const at = said.findIndex((message) => message.type === type);
        if (at >= 0) return said.splice(at, 1)[0];
        await new Promise((wake) => heard.push(wake));
      }
    };
    const shot = (name) => shots && page.screenshot({ path: `${shots}/${name}-${width}-${colorScheme}.png`, fullPage: false });

    await page.goto("http://desk.test/");
    await page.fill("#agent", "anna");
    await page.fill("#password", "wrong");
    await page.click("#login-button");
    await page.getByText("Agent or password is wrong.").waitFor();
    faults.length = 0; // The browser reports the 401 itself.
    await shot("login");
    await page.fill("#password", "right");
    await page.keyboard.press("Enter");
    await page.getByText("Not ready · logged out").waitFor();
    assert.equal((await saying("hello")).token, "t");
    await page.click("#ready");
    assert.equal((await saying("set_state")).state, "ready");
    await page.getByText("The next contact appears here.").waitFor();
    await shot("ready");

    push(offer);
    const displayed = await saying("displayed");
    assert.deepEqual([displayed.contact, displayed.version], [CONTACT, 1]);
    assert.equal(await page.textContent("#sentence"), breakpoint.sentence.en);
    assert.equal(await page.textContent("#caller"), "<b>Zhang Wei</b>", "a name is text, not markup");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "caller", "the offer has the focus");
    await shot("offer");
    assert.ok(await page.isVisible("#answer") && await page.isVisible("#sentence"));
    const answer = await page.locator("#answer").boundingBox();
    assert.ok(answer && answer.y + answer.height < height, "answering needs no scrolling");
    await page.click("#language");
    assert.equal(await page.textContent("#sentence"), breakpoint.sentence.zh);
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
    await shot("offer-zh");
    await page.click("#language");

    push({ ...offer, type: "update", version: 2, breakpoint: { ...breakpoint, attempts: 3 } });
    assert.equal((await saying("displayed")).version, 2);
    await page.keyboard.press("a");
    assert.equal((await saying("answer")).contact, CONTACT);
    push({ type: "state", state: "talking", contact: CONTACT });
    push({ type: "connected", contact: CONTACT, at: "2026-01-31T08:00:20Z" });
    await page.click("#hold");
    await saying("hold");
    push({ type: "held", contact: CONTACT });
    await page.click("#resume");
    await saying("resume");
    push({ type: "resumed", contact: CONTACT });
    await page.fill("#note", "Wants a call back at five; a, h and e are letters here.");
    await page.click("#note-form button");
    assert.match((await saying("note")).text, /^Wants/);
    await page.getByText("Wants a call back at five").waitFor();
    await shot("talking");

    // The line drops: the page comes back and asks for what it missed.
    const before = seq;
    await desk.close({ code: 1001, reason: "stopping" });
    assert.equal((await saying("hello")).resume_from, before);
    assert.equal(connections, 2);
    push({ type: "released", contact: CONTACT, by: "caller", cause: "normal" });
    push({ type: "wrap_up", contact: CONTACT, remaining_ms: 30000 });
    await page.getByText("The call is over.").waitFor();
    await page.click("#extend");
    assert.equal((await saying("extend")).seconds, 30);
    await page.selectOption("#code", "done");
    await page.check("input[value=resolved]");
    await shot("wrap-up");
    await page.click("#file");
    const filed = await saying("disposition");
    assert.deepEqual([filed.code, filed.journey], ["done", "resolved"]);
    push({ type: "state", state: "ready" });
    await page.locator("#contact").waitFor({ state: "hidden" });

    // A contact of whom nothing may be shown, and one that rings out.
    push({ ...offer, version: 1, breakpoint: null, withheld: ["breakpoint"], open: [], previous: [], path: [], caller: { number: null, name: null, tier: null, language: null, confidence: "none" } });
    await page.getByText("There is an unfinished errand.").waitFor();
    await shot("withheld");
    push({ type: "withdrawn", contact: CONTACT, reason: "rona" });
    await page.getByText("The offer rang out.").waitFor();

    // Taken over elsewhere: it does not fight back.
    await desk.close({ code: 4001, reason: "taken over" });
    await page.getByText("You logged in somewhere else").waitFor();
    assert.equal(connections, 2);
    assert.deepEqual(faults, []);
    await page.close();
  }
  await line(browser, "http://desk.test", [], "This browser gives no microphone to a page without HTTPS.");
  await line(browser, "http://localhost", ["microphone"], "No microphone was found.");
} finally {
  await browser.close();
}

const speaking = await launch({ microphone: "/dev/null" });
try {
  await line(speaking, "http://localhost", [], "The microphone is blocked: callers could not hear you.");
  await line(speaking, "http://localhost", ["microphone"], "The server has no line for this page.");
} finally {
  await speaking.close();
}
console.log("ok: the staged desk");
