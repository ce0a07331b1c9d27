/** Builds the device that carries out rte_flow (device.c), to be preloaded. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('device.c', import.meta.url));

/** The library, in `folder`. */
export function buildDevice(folder: string): string {
  const device = join(folder, 'device.so');
  const flags = execFileSync('pkg-config', ['--cflags', 'libdpdk'], { encoding: 'utf8' });
  const defines = ['-DALLOW_EXPERIMENTAL_API', ...flags.split(/\s+/).filter((flag) => flag)];
  const shared = ['-shared', '-fPIC', '-O1', '-o', device];
  execFileSync('cc', [...shared, ...defines, SOURCE, '-lrte_ethdev', '-lrte_mbuf']);
  return device;
}
