/**
 * DPDK's drivers of five emulated NICs under a whole appliance (docs/design/dpdk.md). Needs the
 * plugin, and downloads QEMU and a kernel, so it runs where CI or WIRELET_LAB is set; elsewhere it
 * is skipped, and says why. `npm run lab` is the same.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, type TestContext, test } from 'vitest';

const RUN = fileURLToPath(new URL('lab/run.js', import.meta.url));
const PLUGIN = fileURLToPath(new URL('../host/wirelet-dpdk.so', import.meta.url));
/** A machine in software, on CPUs that are shared. */
const TIMEOUT_MS = 400_000;

const reason = obstacle();
const title = `the lab${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, { timeout: TIMEOUT_MS }, () => {
  let prepared = false;
  beforeAll(() => {
    const download = spawnSync(process.execPath, [RUN, '--prepare'], { timeout: TIMEOUT_MS });
    prepared = download.status === 0;
  }, TIMEOUT_MS);

  function lab(context: TestContext, ...words: string[]): void {
    if (!prepared) context.skip('QEMU and a kernel can not be downloaded here');
    const options = { encoding: 'utf8', timeout: TIMEOUT_MS } as const;
    const { stdout, stderr, status } = spawnSync(process.execPath, [RUN, ...words], options);
    const [, skipped] = /: skipped: (.*)/.exec(stdout) ?? [];
    if (skipped !== undefined) context.skip(skipped);
    expect({ status, stderr: status === 0 ? '' : `${stdout}${stderr}` }).toEqual({
      status: 0,
      stderr: '',
    });
  }

  test.for(['e1000', 'e1000e', 'igb', 'virtio', 'vmxnet3'])(
    '%s: bytes on the wire, a swap under frames, flows on two lcores, a NIC that is taken out',
    (nic, context) => lab(context, nic),
  );

  test.for(['e1000e', 'vmxnet3'])(
    '%s without an IOMMU: physical addresses in hugepages, else refused in one sentence',
    (nic, context) => lab(context, nic, '--uio'),
  );

  test("rules on DPDK's tap are the kernel's, and decide as the engine's do", (context) => {
    lab(context, 'tap');
  });
});

function obstacle(): string | undefined {
  if (!existsSync(PLUGIN)) return 'no libdpdk: the plugin is not built';
  if (!process.env.CI && !process.env.WIRELET_LAB) return 'set WIRELET_LAB=1: it downloads QEMU';
  if (process.getuid?.() !== 0) return 'not root';
  const apt = spawnSync('apt-get', ['--version'], { stdio: 'ignore' });
  return apt.status === 0 ? undefined : 'no apt-get to download QEMU with';
}
