// Builds what the Python package carries, into the folder given: the report page's script and style,
// speedscope's viewer, and the licences of both.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const out = process.argv[2] ?? "../profiler/waitspy/render/assets";
const MODULES = "node_modules";

/** A script's text can stand inside a script element. */
function embeddable(script) {
  return script.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
}

async function licence(name) {
  const folder = join(MODULES, name);
  const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} has no licence file`);
  const text = (await readFile(join(folder, file), "utf8")).trim();
  return { title: `${name} ${about.version} (${about.license})`, text };
}

/** Equal texts are told once, for all who share them. */
async function licences(names) {
  const byText = new Map();
  for (const { title, text } of await Promise.all(names.map(licence))) {
    byText.set(text, [...(byText.get(text) ?? []), title]);
  }
  return [...byText].map(([text, titles]) => `${titles.join("\n")}\n\n${text}\n`).join(`\n${"-".repeat(72)}\n\n`);
}

async function page() {
  const built = await build({
    entryPoints: { page: "src/main.ts" },
    bundle: true,
    minify: true,
    format: "iife",
    target: ["es2022", "chrome100", "firefox113", "safari16.4"],
    legalComments: "none",
    metafile: true,
    write: false,
    outdir: out,
  });
  for (const file of built.outputFiles) {
    const name = file.path.endsWith(".js") ? "page.js" : "page.css";
    await writeFile(join(out, name), embeddable(file.text));
  }
  const inside = Object.keys(built.metafile.inputs)
    .map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter(Boolean);
  await writeFile(join(out, "page.licences.txt"), await licences([...new Set(inside)].sort()));
}

async function speedscope() {
  const release = join(MODULES, "speedscope", "dist", "release");
  const names = await readdir(release);
  const [script, style] = ["js", "css"].map((end) =>
    names.find((name) => name.startsWith("speedscope-") && name.endsWith(`.${end}`)),
  );
  await writeFile(join(out, "speedscope.js"), embeddable(await readFile(join(release, script), "utf8")));
  // Its font goes into the style.
  const built = await build({
    entryPoints: [join(release, style)],
    bundle: true,
    minify: true,
    loader: { ".woff2": "dataurl" },
    write: false,
  });
  await writeFile(join(out, "speedscope.css"), built.outputFiles[0].text);
  const font = await readFile(join(release, "source-code-pro.LICENSE.md"), "utf8");
  const text = `${await licences(["speedscope"])}\n${"-".repeat(72)}\n\nSource Code Pro\n\n${font}`;
  await writeFile(join(out, "speedscope.licences.txt"), text);
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await Promise.all([page(), speedscope()]);
