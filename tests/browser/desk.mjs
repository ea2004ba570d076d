// An agent at the page of a running daemon.
//
//   node desk.mjs HTTP_URL AGENT PASSWORD [--call SECONDS] [--shots DIRECTORY]
//
// Logs in, becomes ready and not ready, changes the language. With --call it then waits, ready, for
// a call to be offered and checks that its breakpoint is painted and `displayed` sent for it. Each
// beat is a line of JSON on standard output; exit code 0 if all held.

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { launch } from "./browser.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { call: { type: "string" }, shots: { type: "string" } },
});
const [url, agent, password] = positionals;
if (!url || !agent || !password) {
  console.error("usage: node desk.mjs HTTP_URL AGENT PASSWORD [--call SECONDS] [--shots DIRECTORY]");
  process.exit(2);
}
const tell = (beat, more = {}) => console.log(JSON.stringify({ beat, ...more }));

const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (line) => line.type() === "error" && faults.push(line.text()));
  const said = [];
  const pushed = [];
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => said.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => pushed.push(JSON.parse(payload)));
  });
  const shot = (name) => values.shots && page.screenshot({ path: `${values.shots}/${name}.png` });

  await page.goto(new URL("/", url.includes("://") ? url : `http://${url}`).href);
  await page.fill("#agent", agent);
  await page.fill("#password", password);
  await page.click("#login-button");
  await page.locator("#desk").waitFor();
  await page.locator("#link[data-link=connected_link]").waitFor();
  tell("logged in");

  await page.click("#ready:enabled");
  await page.locator("#dot[data-state=ready]").waitFor();
  tell("ready");
  await page.selectOption("#reason", "break");
  await page.click("#not-ready");
  await page.locator("#dot[data-state=not_ready]").waitFor();
  assert.match(await page.textContent("#state"), /Break/);
  tell("not ready");
  await page.click("#language");
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  assert.match(await page.textContent("#state"), /未就绪/);
  await page.click("#language");
  tell("spoke Chinese");
  await shot("desk");

  if (values.call) {
    await page.click("#ready:enabled");
    await page.locator("#contact[data-stage=offered]").waitFor({ timeout: Number(values.call) * 1000 });
    const offer = pushed.find((message) => message.type === "offer");
    assert.ok(offer, "an offer came");
    await page.waitForFunction(() => document.getElementById("sentence")?.textContent);
    const shown = await page.textContent("#sentence");
    if (offer.breakpoint) assert.equal(shown, offer.breakpoint.sentence.en);
    await shot("offer");
    const isDisplayed = (message) =>
      message.type === "displayed" && message.contact === offer.contact && message.version >= offer.version;
    const until = Date.now() + 2000;
    while (!said.some(isDisplayed) && Date.now() < until) await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.ok(said.some(isDisplayed), "`displayed` was sent");
    tell("displayed", { contact: offer.contact, version: offer.version, sentence: shown });
  }
  assert.deepEqual(faults, []);
  await page.click("#logout");
  await page.locator("#login").waitFor();
  tell("logged out");
} finally {
  await browser.close();
}
