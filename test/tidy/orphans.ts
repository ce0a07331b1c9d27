/** Which files somebody uses. */

interface File {
  path: string;
  text: string;
}

/** Last parts, without extension, of everything that looks like a path in quotes. */
export function mentionsOf(files: File[]): Set<string> {
  const mentions = new Set<string>();
  for (const { text } of files) {
    for (const [, name = ''] of text.matchAll(/["'`/ ]([\w.-]+?)(?:\.(?:ts|js|mjs))?["'`\s]/g)) {
      mentions.add(name);
    }
  }
  return mentions;
}

/** What cargo finds by itself. */
const CRATE_ROOT = new RegExp(
  [
    String.raw`(^|\/)build\.rs$`,
    String.raw`(^|\/)src\/(lib|main|bin\/[\w-]+)\.rs$`,
    String.raw`(^|\/)(tests|benches|examples|fuzz_targets)\/([\w-]+|\w+\/main)\.rs$`,
  ].join('|'),
);

/** Rust files that no `mod` leads to. */
export function rustModules(files: File[]): { unused: string[] } {
  const declared = new Set<string>();
  for (const { path, text } of files) {
    for (const [, name = ''] of text.matchAll(/^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);/gm)) {
      for (const place of placesOf(path, name)) declared.add(place);
    }
  }
  const unused = files.filter(({ path }) => !CRATE_ROOT.test(path) && !declared.has(path));
  return { unused: unused.map(({ path }) => path) };
}

/** Where the module `name`, declared in `path`, may lie. */
function placesOf(path: string, name: string): string[] {
  const folder = path.replace(/\/[^/]+$/, '');
  const own =
    /\/(lib|main|mod)\.rs$/.test(path) || CRATE_ROOT.test(path) ? folder : path.slice(0, -3);
  return [own, folder].flatMap((base) => [`${base}/${name}.rs`, `${base}/${name}/mod.rs`]);
}
