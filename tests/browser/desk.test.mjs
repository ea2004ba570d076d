// The agent's page in a real browser: against a staged server, then against the daemon itself.
// `node --test tests/browser/`; the daemon is BATON, or target/debug/baton.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Peer } from "./sip.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? `${here}../../target`;
const baton = process.env.BATON ?? `${target}/debug/baton`;

if (!existsSync(`${here}node_modules/playwright-core`)) {
  execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: here, stdio: "inherit" });
}

const running = new Set();
after(() => running.forEach((child) => child.kill("SIGKILL")));

/** A program whose lines of standard output can be waited for. */
function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  const done = new Promise((resolve) => child.on("exit", (code) => (running.delete(child), resolve(code))));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, done, line: async () => JSON.parse((await lines.next()).value) };
}

test("every message of the contract is shown and answered", { timeout: 60_000 }, async () => {
  assert.equal(await start(process.execPath, [`${here}staged.mjs`]).done, 0);
});

test("the breakpoint is painted before the agent's phone rings", { timeout: 120_000 }, async () => {
  const centre = start(baton, ["demo", "--no-story", "--json"]);
  const { http, sip, number, api_key, agents } = await centre.line();
  const [ann] = agents;
  const phone = await Peer.open(sip);
  const carrier = await Peer.open(sip);
  await phone.register(ann.sip);

  const step = {
    id: "s1", journey: "payment-1", topic: "card-payment", channel: "app", customer: { phone: "+8613800138000" },
    step: "confirm-payment", ordinal: 3, total: 3, status: "failed", reason: "insufficient-funds",
  };
  const posted = await fetch(`${http}/v1/steps`, {
    method: "POST",
    headers: { authorization: `Bearer ${api_key}`, "content-type": "application/json" },
    body: JSON.stringify(step),
  });
  assert.deepEqual(await posted.json(), { accepted: 1, duplicates: 0 });

  const desk = start(process.execPath, [`${here}desk.mjs`, http, ann.id, ann.password, "--call", "60"]);
  for (const beat of ["logged in", "ready", "not ready", "spoke Chinese"]) {
    assert.equal((await desk.line()).beat, beat);
  }
  const call = await carrier.call("13800138000", number);
  // Typed ahead, while the welcome is still spoken: 1 goes on with an agent.
  await carrier.press(call, "1");
  const displayed = await desk.line();
  assert.equal(displayed.beat, "displayed");
  assert.match(displayed.sentence, /Confirm payment, in the app .* insufficient funds/);
  await phone.next("INVITE");
  await carrier.hangUp(call);

  assert.equal(await desk.done, 0);
  phone.close();
  carrier.close();
  centre.child.kill("SIGTERM");
  assert.equal(await centre.done, 0);
});
