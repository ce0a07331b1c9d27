/** A candidate beside the program that runs, over the same packets, before anything goes live. */
import { EGRESS_FLOOD } from './abi.js';
import { isErrorCode, WireletError } from './error.js';
import type { NativeAppliance, NativeProgram, NativeShadow } from './native.js';
import { rethrowNative } from './native.js';

export interface ShadowOptions {
  /** How long packets are taken. */
  durationMs: number;
  /** One flow of so many; default 64, 1 for all. */
  sampleOneIn?: number;
  /** Differing packets that are accepted; default 0. */
  maxDifferences?: number;
}

/** What one of the two made of a packet. */
export interface ShadowAnswer {
  /** A verdict, or `undecided`. */
  verdict: string;
  /** Port of departure of a redirect, `*` for a flood; null for other verdicts. */
  egress: string | null;
  mark: number;
  packet: Uint8Array;
}

/** A packet that the two answered differently. */
export interface ShadowDifference {
  lcore: number;
  /** It came in by. */
  port: string;
  /** As it came. */
  packet: Uint8Array;
  current: ShadowAnswer;
  candidate: ShadowAnswer;
}

export interface ShadowReport {
  program: string;
  durationMs: number;
  sampleOneIn: number;
  /** Packets that both saw. */
  sampled: number;
  /** Sampled, but there was no room for them: the run fell behind. */
  lost: number;
  differences: number;
  /** The first of them. */
  examples: ShadowDifference[];
  faults: { current: number; candidate: number };
  /** The candidate's first. */
  fault?: { code: string; message: string };
}

const SAMPLE_DEFAULT = 64;

/** Runs `candidate` beside the program of its name; `ports` are names by index. */
export async function runShadow(
  native: NativeAppliance,
  candidate: NativeProgram,
  ports: readonly string[],
  options: ShadowOptions,
): Promise<ShadowReport> {
  const { durationMs, sampleOneIn = SAMPLE_DEFAULT } = options;
  const result = await native.shadow(candidate, { durationMs, sampleOneIn }).catch(rethrowNative);
  const { sampled, lost, differences, faults, fault } = result;
  return {
    program: candidate.name,
    durationMs,
    sampleOneIn,
    sampled,
    lost,
    differences,
    examples: examplesOf(result, ports),
    faults: { current: faults[0], candidate: faults[1] },
    ...(fault === undefined ? {} : { fault: { code: fault.code, message: fault.message } }),
  };
}

/** Null for a port that does not exist. */
function egressName(ports: readonly string[], egress: number): string | null {
  return egress === EGRESS_FLOOD ? '*' : (ports[egress] ?? null);
}

function examplesOf({ examples }: NativeShadow, ports: readonly string[]): ShadowDifference[] {
  return examples.map(({ lcore, port, packet, verdicts, egress, marks, packets }) => {
    const answer = (index: 0 | 1): ShadowAnswer => ({
      verdict: verdicts[index],
      egress: verdicts[index] === 'redirect' ? egressName(ports, egress[index]) : null,
      mark: marks[index],
      packet: packets[index],
    });
    const name = ports[port] ?? String(port);
    return { lcore, port: name, packet, current: answer(0), candidate: answer(1) };
  });
}

/**
 * Refuses a candidate that differs more than it may, or faults where the current one did not.
 * @throws WIRELET_E_SHADOW_DIFFERS with the report in its details
 */
export function refuseDifferent(report: ShadowReport, maxDifferences = 0): void {
  const { program, differences, sampled, faults, fault } = report;
  const texts: string[] = [];
  if (differences > maxDifferences) {
    texts.push(`${differences} of ${sampled} packets differ, ${maxDifferences} may`);
  }
  if (faults.candidate > faults.current) {
    const why = fault && isErrorCode(fault.code) ? `, first ${fault.code}: ${fault.message}` : '';
    texts.push(`it faulted ${faults.candidate} times${why}`);
  }
  if (texts.length === 0) return;
  throw new WireletError('WIRELET_E_SHADOW_DIFFERS', `${program}: ${texts.join('; ')}`, {
    details: { shadow: report },
  });
}
