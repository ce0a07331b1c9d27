// A case of a program's tests: packets in, what becomes of each, and what is counted. A program's
// `test/cases.ts` states them by hand; `<case>.in.pcap`, `<case>.out.pcap` and `<case>.json` beside
// it hold the same for runners that cannot read TypeScript. `programs/cases.test.ts` keeps the two
// equal, and writes the files with UPDATE_CASES=1.

import { encodeRecords } from '../../host/src/capture-file.js';

/** Values that a setting can have. */
export type SettingValue = number | boolean | string | string[] | number[];

/** One packet: what comes in, and what comes out, or the verdict that keeps it. */
export interface Step {
  in: Uint8Array;
  out: Uint8Array | 'drop' | 'punt';
  /** It comes out by a redirect. */
  redirected?: true;
}

export interface Case {
  /** File name, words with hyphens. */
  name: string;
  settings?: Record<string, SettingValue>;
  steps: Step[];
  /** All counters of the program. */
  counters: Record<string, number>;
}

/** A packet that comes out as it came in. */
export function pass(packet: Uint8Array): Step {
  return { in: packet, out: packet };
}

/** A packet that is answered: the answer leaves by the port that it came in by. */
export function answer(packet: Uint8Array, out: Uint8Array): Step {
  return { in: packet, out, redirected: true };
}

/** A packet that does not come out. */
export function drop(packet: Uint8Array): Step {
  return { in: packet, out: 'drop' };
}

/** What `<case>.json` holds. */
export interface CaseFile {
  settings: Record<string, SettingValue>;
  verdicts: { pass: number; drop: number; redirect: number; punt: number };
  counters: Record<string, number>;
}

/** The contents of the three files of a case, by extension. */
export function caseFiles(test: Case): Record<'in.pcap' | 'out.pcap' | 'json', Uint8Array> {
  const outputs = test.steps.map((step) => step.out);
  const redirected = test.steps.filter((step) => step.redirected).length;
  const pcap = writePcap(test.steps.map((step) => step.in));
  const verdicts = {
    pass: outputs.filter((out) => out instanceof Uint8Array).length - redirected,
    drop: outputs.filter((out) => out === 'drop').length,
    redirect: redirected,
    punt: outputs.filter((out) => out === 'punt').length,
  };
  const file: CaseFile = { settings: test.settings ?? {}, verdicts, counters: test.counters };
  return {
    'in.pcap': pcap,
    'out.pcap': writePcap(outputs),
    json: new TextEncoder().encode(`${JSON.stringify(file, null, 2)}\n`),
  };
}

/**
 * A capture of packets a millisecond apart from 2026-01-01 on. What is no packet takes its time and
 * leaves no record, as a packet that was dropped does.
 */
function writePcap(packets: readonly (Uint8Array | string)[]): Uint8Array {
  const startUs = Date.UTC(2026, 0, 1) * 1000;
  const records = packets.flatMap((bytes, i) =>
    typeof bytes === 'string' ? [] : [{ bytes, timeUs: startUs + i * 1000 }],
  );
  return encodeRecords(records);
}
