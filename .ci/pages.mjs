// Judges recorded pages: axe-core in headless Chromium at two widths and both colour schemes, for HTML the Nu checker.
//
//     node .ci/pages.mjs FOLDER TOOLS
//
// FOLDER holds the pages that tests/it/pages.rs recorded, TOOLS the node_modules with axe-core, playwright-core and
// vnu-jar. Exits with 1 and a list where a page has an error.

import { execFileSync, spawnSync } from "node:child_process";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const [folder, tools] = process.argv.slice(2).map((name) => path.resolve(name));
const require = createRequire(path.join(tools, "resolve.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const pages = readdirSync(folder).filter((name) => name.endsWith(".html")).sort();
if (pages.length < 100) {
  console.error(`only ${pages.length} pages were recorded: the tests ran without SECURITY_TEST_PAGES, or few of them ran`);
  process.exit(1);
}

// What a visitor sees: a narrow and a wide window, each in one colour scheme, so both schemes are seen at no extra cost.
const VIEWS = [
  { width: 390, height: 844, colorScheme: "light" },
  { width: 1280, height: 900, colorScheme: "dark" },
];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** Errors by what they say; each with the pages that have it, and the element on the first of them. */
const found = new Map();
function report(text, page, element = "") {
  const error = found.get(text) ?? { pages: [], element: element.replace(/\s+/g, " ").trim().slice(0, 200) };
  error.pages.push(page);
  found.set(text, error);
}

function nu() {
  const jar = path.join(path.dirname(require.resolve("vnu-jar/package.json")), "build/dist/vnu.jar");
  const checked = spawnSync("java", ["-jar", jar, "--format", "json", "--exit-zero-always", "--skip-non-html", folder],
    { encoding: "utf8", maxBuffer: 1 << 28 });
  const { messages } = JSON.parse(checked.stderr);
  for (const { type, url, message, extract } of messages) {
    if (type === "info") continue;
    report(`Nu ${type}: ${message}`, path.basename(url ?? ""), extract);
  }
}

const TYPES = { ".css": "text/css", ".js": "text/javascript", ".html": "text/html; charset=utf-8" };
const server = createServer((request, response) => {
  const name = decodeURIComponent(request.url.split("?")[0]);
  const file = name.startsWith("/page/")
    ? path.join(folder, path.basename(name))
    : path.join("static/security", path.basename(name));
  try {
    const body = readFileSync(file);
    response.writeHead(200, { "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const site = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim(),
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

async function judge(view) {
  const { colorScheme, ...viewport } = view;
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce", bypassCSP: true });
  const tab = await context.newPage();
  for (const page of pages) {
    await tab.goto(`${site}/page/${page}`, { waitUntil: "load" });
    await tab.evaluate(axe);
    const { violations } = await tab.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ["violations"] }), RULES);
    for (const { id, help, nodes } of violations) {
      report(`axe ${id} at ${view.width} px, ${colorScheme}: ${help}`, page, nodes[0].html);
    }
    const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 0) report(`${view.width} px: the page is ${overflow} px wider than the window`, page);
  }
  await context.close();
}

try {
  nu();
  await Promise.all(VIEWS.map(judge));
} finally {
  await browser.close();
  server.close();
}

for (const [text, { pages, element }] of found) {
  console.error(`${text}\n    at ${element}\n    on ${pages.length}: ${[...new Set(pages)].slice(0, 3).join(", ")}`);
}
console.log(`${pages.length} page states, ${VIEWS.length} views each: ${found.size} kinds of errors`);
process.exit(found.size === 0 ? 0 : 1);
