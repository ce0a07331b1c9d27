import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PktgenResult, pktgen, searchRate, throughput } from '../src/pktgen.js';

describe('pktgen', () => {
  test('what a loop returns is what was sent, in order, with its latency', async () => {
    const traffic = { sizes: 'imix', flows: 8, protocols: 'udp,tcp6' };
    const result = await pktgen('loop:', { rate: 20_000, seconds: 0.5, traffic });
    const { sent, missed, refused, received } = result;
    expect(sent + missed + refused).toBe(10_000);
    expect(received).toBe(sent);
    expect(result).toMatchObject({ lost: 0, reordered: 0, duplicates: 0, corrupt: 0 });
    expect(result.latencyNs?.count).toBe(received);
  });

  test('what comes back by another device is found there', async () => {
    const result = await pktgen('ring:wire', { back: 'ring:wire', rate: 10_000, seconds: 0.2 });
    expect(result.received).toBe(result.sent);
    expect(result.sent).toBeGreaterThan(0);
  });

  test('loss and damage on the way are counted', async () => {
    const device = 'fault(loss=20%,corrupt=10%,duplicate=5%,seed=7,on=rx):loop:';
    const result = await pktgen(device, { rate: 20_000, seconds: 0.5, waitMs: 200 });
    expect(result.lost).toBeGreaterThan(result.sent * 0.1);
    expect(result.corrupt).toBeGreaterThan(0);
    expect(result.duplicates).toBeGreaterThan(0);
  });

  test('nothing comes back from null, and that is loss, not an error', async () => {
    const result = await pktgen('null:', { rate: 10_000, seconds: 0.1, waitMs: 50 });
    expect(result).toMatchObject({ received: 0, lost: result.sent, latencyNs: null });
  });

  test('it ends when it is told to', async () => {
    const signal = AbortSignal.timeout(200);
    const result = await pktgen('loop:', { rate: 1000, seconds: 600, signal });
    expect(result.sent).toBeLessThan(600_000);
  });

  test.each([
    [{ rate: 0 }, 'WIRELET_E_CONFIG_INVALID'],
    [{ rate: 2e9 }, 'WIRELET_E_CONFIG_INVALID'],
    [{ traffic: { sizes: '10' } }, 'WIRELET_E_DEVICE_SPEC'],
  ])('%o is %s', async (options, code) => {
    await expect(pktgen('loop:', options)).rejects.toMatchObject({ code });
  });
});

describe('the search', () => {
  test('finds a limit to within its resolution, and asks few times', async () => {
    const [limits, maxima] = [fc.integer({ min: 0, max: 1e8 }), fc.integer({ min: 1, max: 1e8 })];
    await fc.assert(
      fc.asyncProperty(limits, maxima, async (limit, max) => {
        let asked = 0;
        const found = await searchRate(max, 0.01, async (rate) => {
          asked++;
          return rate <= limit;
        });
        const true_ = Math.min(limit, max);
        expect(found).toBeLessThanOrEqual(true_);
        // Half of what is left, each time: the error is a share of the highest bad rate.
        expect(true_ - found).toBeLessThanOrEqual(
          Math.max(1, 0.01 * Math.max(true_ * 1.02, 100)) + 1,
        );
        expect(asked).toBeLessThanOrEqual(30);
      }),
    );
  });

  test('says the best trial, and every trial as it ends', async () => {
    const heard: [number | 'max', boolean][] = [];
    const found = await throughput('loop:', {
      maxRate: 2000,
      seconds: 0.1,
      waitMs: 50,
      lossMax: 0.5,
      onTrial: ({ rate }: PktgenResult, isGood) => heard.push([rate, isGood]),
    });
    expect(heard).toHaveLength(found.trials.length);
    expect(found.best?.rate).toBe(2000);
  });

  test('a device that returns nothing has no such rate', async () => {
    const found = await throughput('null:', {
      maxRate: 100,
      seconds: 0.02,
      waitMs: 10,
      resolution: 0.5,
    });
    expect(found.best).toBeNull();
    expect(found.trials.length).toBeGreaterThan(1);
  });
});
