/** Packets that programs punt to a handler in the host. */
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type Appliance, conservation, createAppliance, type PuntedPacket } from '../src/index.js';

const PUNT = fileURLToPath(new URL('programs/punt', import.meta.url));
const PACKETS = 2000;

describe('punt to the host', { timeout: 60_000 }, () => {
  let appliance: Appliance | undefined;
  afterEach(() => appliance?.stop());

  /** Everything that comes in is punted by one program; another port's packets pass. */
  async function create(punt: Record<string, string> = {}): Promise<Appliance> {
    appliance = await createAppliance({
      ports: {
        in: { device: `gen:?rate=20k&ring=65536&count=${PACKETS}`, pipeline: ['punt'] },
        other: { device: `gen:?rate=20k&ring=65536&count=${PACKETS}`, pipeline: [] },
        out: { device: 'sink:', pipeline: [] },
      },
      forward: { other: 'out' },
      punt,
      programs: { punt: PUNT },
    });
    return appliance;
  }

  it('a listener gets each packet, with where it came from', async () => {
    const running = await create();
    const punted: PuntedPacket[] = [];
    running.on('punt', (packet) => punted.push(packet));
    const before = BigInt(Date.now()) * 1_000_000n;
    running.start();
    await running.finished;
    const stats = await running.stop();
    const { drops, forwarded, punted: counted } = stats.ports.in ?? {};
    expect(punted.length + (drops?.punt_full ?? 0)).toBe(PACKETS);
    expect([forwarded, counted]).toEqual([punted.length, punted.length]);
    expect(punted[0]).toMatchObject({ port: 'in', program: 'punt', lcore: 0, mark: 7 });
    expect(punted[0]?.packet).toHaveLength(60);
    expect(Number((punted[0]?.timeNs ?? 0n) - before) / 1e9).toBeLessThan(60);
    expect(punted[0]?.timeNs).toBeGreaterThan(before);
    expect(conservation(stats).exact).toBe(true);
  });

  it('a blocked host costs no other packets; a listener that throws is an error', async () => {
    const running = await create();
    const errors: string[] = [];
    let punted = 0;
    running.on('error', (error) => errors.push(error.message));
    running.on('punt', () => {
      if (punted++ > 0) return;
      // All that there is comes in meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      throw new Error('that was too much');
    });
    running.start();
    await running.finished;
    const stats = await running.stop();
    expect(errors).toEqual([expect.stringContaining('that was too much')]);
    expect(stats.ports.in?.drops.punt_full).toBe(PACKETS - punted);
    expect(punted).toBeLessThan(PACKETS);
    expect(stats.ports.other).toMatchObject({ forwarded: PACKETS, dropped: 0 });
    expect(conservation(stats).exact).toBe(true);
  });

  it('without a listener, or with a port, there is nothing to hear', async () => {
    const deaf = await create();
    const listener = (): void => expect.unreachable('it has gone');
    deaf.on('punt', listener).off('punt', listener).start();
    await deaf.finished;
    expect((await deaf.stop()).ports.in?.drops.punt_unset).toBe(PACKETS);
    const routed = await create({ in: 'out' });
    routed.on('punt', listener).start();
    await routed.finished;
    expect((await routed.stop()).ports.out?.tx).toBe(2 * PACKETS);
  });
});
