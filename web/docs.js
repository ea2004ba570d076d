// Shows /openapi.json, and nothing it does not say.

/** @param {string} tag @param {string} kind @param {...(Node | string)} children */
function make(tag, kind, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

const api = await (await fetch("/openapi.json")).json();

/** What a `$ref` means. @param {any} schema @returns {[any, string]} */
function meant(schema) {
  const name = schema?.$ref?.split("/").pop() ?? "";
  return [name ? api.components.schemas[name] : schema, name];
}

/** The type in a word. @param {any} schema @returns {string} */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const some = schema.oneOf ?? schema.anyOf;
  if (some) return some.map(kind).join(" | ");
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${kind(schema.items)}]`;
  return [schema.type ?? "any"].flat().join(" | ") + (schema.format ? ` (${schema.format})` : "");
}

/** The fields, and below them those of every shape they speak of. @param {any} schema @param {Set<string>} told */
function fields(schema, told = new Set()) {
  const [shape, name] = meant(schema);
  const parts = document.createDocumentFragment();
  if (!shape || told.has(name)) return parts;
  if (name) told.add(name);
  for (const some of shape.oneOf ?? shape.anyOf ?? []) parts.append(fields(some, told));
  if (shape.type === "array") parts.append(fields(shape.items, told));
  if (shape.enum && name) parts.append(make("p", "", make("code", "", `${name}: ${kind(shape)}`)));
  if (!shape.properties) return parts;
  const body = make("tbody", "");
  const inner = document.createDocumentFragment();
  for (const [field, of] of Object.entries(shape.properties)) {
    const optional = !(shape.required ?? []).includes(field);
    const [first] = of.oneOf?.filter((/** @type {any} */ one) => one.type !== "null") ?? [of];
    body.append(
      make("tr", "",
        make("th", "", make("code", "", field + (optional ? "?" : ""))),
        make("td", "", make("code", "", kind(of))),
        make("td", "", make("p", "", of.description ?? first?.description ?? ""))),
    );
    inner.append(fields(first?.type === "array" ? first.items : first, told));
  }
  parts.append(make("p", "", make("strong", "", name), shape.description ? ` ${shape.description}` : ""), make("table", "", body), inner);
  return parts;
}

/** @param {string} title @param {Node} inside */
function folded(title, inside) {
  return make("details", "", make("summary", "", title), inside);
}

document.getElementById("version")?.append(api.info.version);
document.getElementById("about")?.append(api.info.description ?? "");

/** @type {Map<string, Node[]>} */
const groups = new Map();
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, call] of Object.entries(methods)) {
    const id = `${method}${path.replace(/\W+/g, "-")}`;
    const card = make("section", "card");
    card.id = id;
    const scopes = (call.security ?? []).flatMap((/** @type {any} */ one) => Object.entries(one))
      .map(([scheme, names]) => [scheme, ...names].join(" "));
    card.append(
      make("h2", "", call.summary ?? path),
      make("div", "line", make("span", "method", method.toUpperCase()), make("code", "", path), make("span", "scope", scopes.join(", ") || "no key")),
    );
    if (call.description) card.append(make("p", "", call.description));
    if (call.parameters?.length) {
      const rows = call.parameters.map((/** @type {any} */ at) =>
        make("tr", "", make("th", "", make("code", "", at.name + (at.required ? "" : "?"))),
          make("td", "", make("code", "", kind(at.schema))), make("td", "", at.description ?? "")));
      card.append(make("table", "", make("tbody", "", ...rows)));
    }
    const posted = call.requestBody?.content?.["application/json"]?.schema;
    if (posted) card.append(folded("Body", fields(posted)));
    const answers = make("tbody", "");
    const shapes = document.createDocumentFragment();
    for (const [status, answer] of Object.entries(call.responses ?? {})) {
      answers.append(make("tr", "", make("th", "", status), make("td", "", answer.description ?? "")));
      const schema = answer.content?.["application/json"]?.schema;
      if (schema && status.startsWith("2")) shapes.append(fields(schema));
    }
    card.append(make("table", "", answers));
    if (shapes.childNodes.length) card.append(folded("Answer", shapes));
    document.getElementById("calls")?.append(card);
    const link = /** @type {HTMLAnchorElement} */ (make("a", "", `${method.toUpperCase()} ${path}`));
    link.href = `#${id}`;
    const tag = call.tags?.[0] ?? "";
    groups.set(tag, [...(groups.get(tag) ?? []), link]);
  }
}
for (const [tag, links] of groups) {
  document.getElementById("contents")?.append(make("h3", "", tag), ...links);
}
