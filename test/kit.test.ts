/** The kit in a user's project: what vitest shows of a program that does not do as expected. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clone } from './docs/clone.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROGRAM = `import { Packet, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  if (packet.length > 100 && packet.readU8(packet.length) == 0) return Verdict.Drop;
  return Verdict.Pass;
}
`;
const TEST = `import { expect, test } from 'vitest';
import { testProgram, udp } from 'wirelet/test';

const program = await testProgram('careless');
test('verdict', () => { expect(program.send(udp({ to: '10.0.0.9:7' }))).toDrop(); });
test('bytes', () => { expect(program.send(udp())).toBecome(udp({ ttl: 3 })); });
test('fault', () => { program.send(udp({ pad: 101 })); });
`;

let project: Clone;
beforeAll(() => {
  project = new Clone(ROOT);
  project.write('careless/index.ts', PROGRAM);
  project.write('careless/test/careless.test.ts', TEST);
});
afterAll(() => project.remove());

test('failures name the packet, the bytes and the line', { timeout: 120_000 }, () => {
  const text = project.run('npx vitest run careless || true');
  expect(text).toContain('Tests  3 failed (3)');
  expect(text).toContain('IP 192.0.2.1.40000 > 10.0.0.9.7: UDP, length 0');
  expect(text).toContain('expected to be dropped, it passed');
  expect(text).toMatch(/0x0016 {2}03 +40 +IPv4 time to live/);
  expect(text).toMatch(/FaultError: careless: .*outside the packet/);
  expect(text).toMatch(/near careless\/index\.ts:4:/);
  expect(text).toContain('> 4 |   if (packet.length > 100 && packet.readU8');
  // The line of the test, not one of the kit.
  expect(text).toMatch(/❯ careless\/test\/careless\.test\.ts:7:/);
  expect(text).not.toMatch(/❯ .*program\.(ts|js):/);
});
