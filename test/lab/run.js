// `npm run lab [nic...]`: this project's appliance on emulated NICs, by DPDK's real drivers, in a
// machine without KVM: probe, DMA behind an IOMMU, rings, bytes on the wire, a swap while packets
// flow, a link that goes, a clean stop and a second start.
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildImage } from './image.js';
import { Machine, NICS } from './machine.js';
import { emulates, preparePackages } from './packages.js';
import { checkNic, checkPhysical } from './scenario.js';
import { checkTap } from './tap.js';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const folder = process.env.WIRELET_LAB_FOLDER ?? join(ROOT, 'build/lab');
const verbose = process.argv.includes('--verbose');
/** No IOMMU, and the NICs by uio_pci_generic: physical addresses, and what is refused. */
const uio = process.argv.includes('--uio');
const asked = process.argv.slice(2).filter((word) => !word.startsWith('-'));
/** The last has no NIC: rules on DPDK's tap, with a kernel that can carry them out. */
const SCENARIOS = [...Object.keys(NICS), 'tap'];
const unknown = asked.filter((nic) => !SCENARIOS.includes(nic));

if (unknown.length > 0) {
  console.error(`lab: no NIC ${unknown.join(', ')}; there are ${SCENARIOS.join(', ')}`);
  process.exit(2);
}
if (!existsSync(join(ROOT, 'host/wirelet-dpdk.so'))) {
  console.error('lab: the DPDK plugin is not built: apt-get install libdpdk-dev, npm run setup');
  process.exit(6);
}
mkdirSync(folder, { recursive: true });
const packages = preparePackages(folder);
// Only the downloads, for who wants to know whether there can be a lab.
if (process.argv.includes('--prepare')) process.exit(0);
const image = buildImage(folder, packages);
/** An address in the frames' windows (drivers/dpdk/shim/pool.c) that a NIC may not use. */
const FAULT = /DMAR: \[DMA .* fault addr 0x7[0-9a-f]{9}\b/;
let failures = 0;

const check = (nic) => (nic === 'tap' ? checkTap : uio ? checkPhysical : checkNic);

/** Boots a machine and checks a NIC in it: whether that failed, and by whose own failure. */
async function attempt(nic) {
  const started = performance.now();
  const seconds = () => ((performance.now() - started) / 1000).toFixed(1);
  let fault;
  const onLine = (line) => {
    fault ??= FAULT.exec(line)?.[0];
    if (verbose) console.log(`${seconds().padStart(6)} ${line}`);
  };
  const machine = await Machine.boot(nic, { folder, packages, image, uio, onLine });
  try {
    await machine.said('booted');
    const lines = await check(nic)(machine, nic);
    for (const line of lines) console.log(`${nic}: ${line}`);
    if (fault) throw new Error(`a frame that the NIC may not use: ${fault}`);
    console.log(`${nic}: passed in ${seconds()} s`);
    return {};
  } catch (error) {
    const own = await machine.ownFailure();
    const what = own ? `the machine failed (${own})` : 'FAILED';
    const threads = machine.threads ? `\nthreads: ${machine.threads}` : '';
    console.log(`${nic}: ${what} after ${seconds()} s: ${error.message}${threads}`);
    return { failed: true, own };
  } finally {
    await machine.off();
  }
}

for (const nic of asked.length > 0 ? asked : SCENARIOS) {
  if (nic !== 'tap' && !emulates(packages, NICS[nic].split(',')[0])) {
    console.log(`${nic}: skipped: this QEMU does not emulate it`);
    continue;
  }
  let { failed, own } = await attempt(nic);
  // A kernel in software does not always get through; what the appliance does wrong stays wrong.
  if (failed && own) {
    console.log(`${nic}: once more, on another machine`);
    ({ failed, own } = await attempt(nic));
  }
  if (failed) failures++;
}
process.exitCode = failures > 0 ? 1 : 0;
