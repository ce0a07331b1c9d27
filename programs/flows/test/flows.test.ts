import { describe, expect, test, vi } from 'vitest';
import { tcp, testProgram, udp } from 'wirelet/test';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const FROM = { source: '10.0.0.1', destination: '192.0.2.9', protocol: 17 };

describe.each([
  ['hash', {}],
  ['lru', { replaceOldest: true }],
])('flows in a table of kind %s', (_kind, settings) => {
  test('have their packets, bytes and time', async () => {
    const program = await testProgram('programs/flows', { settings });
    const packet = udp({ from: '10.0.0.1:1000', to: '192.0.2.9:53', payload: new Uint8Array(50) });
    program.send([packet, packet, tcp({ from: '10.0.0.1:1000', to: '192.0.2.9:53' })]);
    const flow = program.table('flows').get({ ...FROM, sourcePort: 1000, destinationPort: 53 });
    expect(flow).toMatchObject({ packets: 2, bytes: 2 * packet.length });
    expect(program.table('flows').entries).toHaveLength(2);
  });

  test('survive another version of the program', async () => {
    const program = await testProgram('programs/flows', { settings: { ...settings, capacity: 4 } });
    const packets = [1, 2, 3, 4].map((port) =>
      udp({ from: `10.0.0.1:${port}`, to: '192.0.2.9:53' }),
    );
    program.send(packets);
    await program.swap('programs/flows', { settings: { ...settings, capacity: 100 } });
    program.send(packets);
    const counts = program.table('flows').entries.map(({ value }) => value);
    expect(counts).toHaveLength(4);
    for (const value of counts) expect(value).toMatchObject({ packets: 2 });
  });
});
