/**
 * `npm run lock`, after dependencies have changed: completes package-lock.json. A registry that
 * has no packages for other systems makes npm leave them out, and `npm ci` then refuses the file.
 * Nothing is fetched: the version is what the dependent names, system and CPU stand in the name.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const LOCK = new URL('../package-lock.json', import.meta.url);
const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const CPUS = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];

/** Optional dependencies that a lock file has no entry for: entries by path. */
export function missingPlatforms({ packages }) {
  const missing = {};
  for (const [path, { dev, optionalDependencies = {} }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
      if (places.some((place) => packages[place])) continue;
      missing[`node_modules/${name}`] = entryOf(name, version, dev);
    }
  }
  return missing;
}

function entryOf(name, version, dev) {
  const words = name.split('-');
  const cpu = CPUS.filter((known) => words.includes(known));
  const os = SYSTEMS.filter((known) => words.includes(known));
  const libc = words.includes('musl') ? ['musl'] : ['glibc'];
  return {
    version,
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(dev ? { dev } : {}),
    ...(os.includes('linux') ? { libc } : {}),
    optional: true,
    ...(os.length > 0 ? { os } : {}),
  };
}

function complete() {
  const lock = JSON.parse(readFileSync(LOCK, 'utf8'));
  const missing = missingPlatforms(lock);
  const entries = Object.entries({ ...lock.packages, ...missing });
  entries.sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(entries);
  writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`package-lock.json: ${Object.keys(missing).length} entries added\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) complete();
