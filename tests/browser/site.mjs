// Web pages of somebody else's: a little server, and npm packages as scripts for it.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { once } from "node:events";

/** Serves scripts by their paths, and a page that loads them all at every other. */
export async function serve(scripts) {
  const tags = Object.keys(scripts).map((path) => `<script src="${path}"></script>`);
  const page = `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A page</title>${tags.join("")}</html>`;
  const server = createServer(({ url }, response) => {
    const script = scripts[url];
    response.setHeader("content-type", `${script ? "text/javascript" : "text/html"}; charset=utf-8`);
    response.end(script ?? page);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, close: () => server.close() };
}

/** A CommonJS package with all it requires as one script; what it exports is named `name`. */
export function bundle(entry, name) {
  const modules = new Map();
  const take = (path) => {
    if (modules.has(path)) return path;
    modules.set(path, "");
    const text = readFileSync(path, "utf8");
    const body = path.endsWith(".json")
      ? `module.exports = ${text}`
      : text.replace(/\brequire\((['"])(.+?)\1\)/g, (_, __, wanted) => `require(${JSON.stringify(take(find(path, wanted)))})`);
    modules.set(path, `${JSON.stringify(path)}: (module, exports, require) => {${body}\n}`);
    return path;
  };
  const first = JSON.stringify(take(find(import.meta.url, entry)));
  return `const ${name} = (() => {
    const modules = {${[...modules.values()].join(",\n")}};
    const loaded = {};
    const require = (path) => {
      if (loaded[path]) return loaded[path].exports;
      const module = (loaded[path] = { exports: {} });
      modules[path](module, module.exports, require);
      return module.exports;
    };
    return require(${first});
  })();`;
}

/** The file that a browser is to have: packages may name another than Node's. */
function find(from, wanted) {
  const require = createRequire(from);
  if (wanted.startsWith(".")) return require.resolve(wanted);
  const description = require.resolve(`${wanted}/package.json`);
  const { browser } = JSON.parse(readFileSync(description, "utf8"));
  if (typeof browser === "string") return join(dirname(description), browser);
  return require.resolve(isBuiltin(wanted) ? `${wanted}/` : wanted);
}
