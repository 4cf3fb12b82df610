// Opens a page in a real Chromium as a person would, on a desk and on a phone, light and dark, and audits it with axe.
//
//   node page_audit.mjs PAGE.html [FOLDER for screenshots]      CHROMIUM names the program
//
// Standard output: one JSON object: complaints (console and page errors), requests (anything but the page itself),
// violations of axe (id, impact, where) in each form, and what the filters and the keyboard did.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [page, folder] = process.argv.slice(2);
const address = pathToFileURL(resolve(page)).href;
const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const flags = [...quiet, "--disable-component-update", "--disable-sync"];
const profile = mkdtempSync(join(tmpdir(), "page-audit-"));
const forms = [
  { name: "desk-light", viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  { name: "desk-dark", viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  { name: "phone-light", viewport: { width: 360, height: 740 }, colorScheme: "light" },
  { name: "phone-dark", viewport: { width: 360, height: 740 }, colorScheme: "dark" },
];
const chosen = folder ? forms : [forms[0], forms[3]];
const found = { complaints: [], requests: [], violations: [], wide: [], did: {} };

for (const form of chosen) {
  // The policy of the page forbids what an audit adds to it; that the page itself works under it is seen below.
  for (const audited of [false, true]) {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: flags,
      chromiumSandbox: process.getuid() !== 0,
      bypassCSP: audited,
      viewport: form.viewport,
      colorScheme: form.colorScheme,
      reducedMotion: "reduce",
    });
    const tab = await context.newPage();
    tab.setDefaultTimeout(240_000); // on a machine that does much else
    tab.on("console", (said) => ["error", "warning"].includes(said.type()) && found.complaints.push(said.text()));
    tab.on("pageerror", (error) => found.complaints.push(String(error)));
    tab.on("dialog", (dialog) => (found.complaints.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
    tab.on("request", (request) => request.url() !== address && found.requests.push(request.url()));
    await tab.goto(address);
    if (audited) {
      await tab.evaluate(axe);
      const { violations } = await tab.evaluate(() => globalThis.axe.run());
      for (const one of violations) {
        found.violations.push({ form: form.name, id: one.id, impact: one.impact, where: one.nodes[0].target.join(" ") });
      }
    } else {
      const excess = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (excess > 0) found.wide.push({ form: form.name, excess });
      if (form.name === "desk-light") found.did = await act(tab);
      if (folder) await screenshots(tab, form.name);
    }
    await context.close();
  }
}
rmSync(profile, { recursive: true, force: true });
console.log(JSON.stringify(found));

async function act(tab) {
  const count = () => tab.textContent("#count");
  const opened = () => tab.textContent("#list [aria-current]");
  const did = { all: await count(), first: await opened(), scripts: await tab.locator("#case script").count() };
  await tab.keyboard.press("j");
  did.second = await opened();
  await tab.keyboard.press("k");
  did.back = await opened();
  await tab.locator("#list button").first().focus();
  await tab.keyboard.press("ArrowDown");
  did.arrow = await tab.evaluate(() => document.activeElement.getAttribute("aria-current"));
  await tab.selectOption("#type", { index: 1 });
  did.typed = await count();
  await tab.selectOption("#type", "");
  await tab.selectOption("#verdict", "typeWrong");
  did.wrong = await count();
  await tab.fill("#words", "no case has these words");
  did.none = await tab.textContent("#case");
  await tab.fill("#words", "");
  await tab.selectOption("#verdict", "");
  return did;
}

async function screenshots(tab, name) {
  await tab.screenshot({ path: join(folder, `${name}-top.png`) });
  await tab.evaluate(() => document.getElementById("browser").scrollIntoView());
  await tab.screenshot({ path: join(folder, `${name}-cases.png`) });
}
