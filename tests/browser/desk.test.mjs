// The agent's page in a real browser: against a staged server, then against the daemon itself, with
// a phone beside it and as the phone.
// `node --test tests/browser/`; the daemon is BATON, or target/debug/baton.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { open, start } from "./centre.mjs";
import { Peer } from "./sip.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));

test("every message of the contract is shown and answered", { timeout: 60_000 }, async () => {
  assert.equal(await start(process.execPath, [`${here}staged.mjs`]).done, 0);
});

test("the breakpoint is painted before the agent's phone rings", { timeout: 120_000 }, async () => {
  const { http, sip, number, api_key, agents, close } = await open();
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
  await close();
});

test("the page is the agent's phone, through keys, hold, a reload and an ICE restart", { timeout: 180_000 }, async () => {
  const { http, sip, number, softphone, close } = await open();
  const script = `${here}softphone.mjs`;
  assert.equal(await start(process.execPath, [script, http, sip, number, softphone.id, softphone.password]).done, 0);
  await close();
});
