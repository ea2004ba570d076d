// A contact centre to test against, `baton demo` of this tree's build or of what BATON names, and
// waiting for what it does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? `${here}../../target`;
const baton = process.env.BATON ?? `${target}/debug/baton`;

const running = new Set();
after(() => running.forEach((child) => child.kill("SIGKILL")));

/** A program whose lines of standard output can be waited for. */
export function start(program, args, variables = {}) {
  const env = { ...process.env, ...variables };
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], env });
  running.add(child);
  const done = new Promise((resolve) => child.on("exit", (code) => (running.delete(child), resolve(code))));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, done, line: async () => JSON.parse((await lines.next()).value) };
}

/** The demo without its people: its papers, and how it is closed. Variables are `BATON__SECTION__KEY`. */
export async function open(variables) {
  const centre = start(baton, ["demo", "--no-story", "--json"], variables);
  const close = async () => {
    centre.child.kill("SIGTERM");
    assert.equal(await centre.done, 0);
  };
  return { ...(await centre.line()), close };
}

/** Looks again and again until it is so; gives what was seen, and after how many milliseconds. */
export async function until(what, look, seconds = 10) {
  const began = performance.now();
  for (;;) {
    const seen = await look();
    const after = Math.round(performance.now() - began);
    if (seen) return { seen, after };
    if (after > seconds * 1000) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((again) => setTimeout(again, 20));
  }
}
