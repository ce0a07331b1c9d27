/** Differences of a shadow run: as packets for people, and as a capture file for their tools. */

import { fieldDifference } from '../packet/difference.js';
import { packetText } from '../packet/text.js';
import { type CapturedPacket, encodePcapng } from '../pcapng.js';
import type { ShadowAnswer, ShadowDifference, ShadowReport } from '../shadow.js';
import { duration, grouped } from './numbers.js';
import { indent } from './table.js';

/** Differences that are printed; the file has all that were kept. */
const SHOWN = 5;
const NS_PER_MS = 1e6;
/** Readers sort by time; a microsecond apart they stay as they are. */
const STEP_NS = 1000n;
const INTERFACES = ['current', 'candidate'] as const;

/** How many differ, and the first of them with what each of the two made of it. */
export function shadowText(report: ShadowReport): string {
  const { program, sampled, differences, examples, sampleOneIn, durationMs, lost } = report;
  const flows = sampleOneIn === 1 ? 'all flows' : `1/${sampleOneIn} of the flows`;
  const time = duration(durationMs * NS_PER_MS);
  const lines = [
    `shadow of ${program}: ${grouped(sampled)} packets of ${flows} in ${time}, ` +
      `${grouped(differences)} differ`,
  ];
  if (sampled === 0) lines.push('no packet was sampled: this run has shown nothing');
  if (lost > 0) lines.push(`${grouped(lost)} more were sampled and not run: it fell behind`);
  lines.push(...faultLines(report));
  for (const example of examples.slice(0, SHOWN)) lines.push(...exampleLines(example));
  if (differences > SHOWN) lines.push(`  and ${grouped(differences - SHOWN)} more`);
  return lines.join('\n');
}

/** Both versions of each difference, the current program's first. */
export function differencesPcapng({ examples }: ShadowReport, nowMs: number): Uint8Array {
  const start = BigInt(nowMs) * BigInt(NS_PER_MS);
  const packets = examples.flatMap(({ port, lcore, current, candidate }, index) =>
    [current, candidate].map((answer, which): CapturedPacket => {
      const comment = `${INTERFACES[which]}: ${answerText(answer)} (in by ${port}, lcore ${lcore})`;
      const timeNs = start + BigInt(2 * index + which) * STEP_NS;
      return { bytes: answer.packet, timeNs, interface: which, comment };
    }),
  );
  return encodePcapng(INTERFACES, packets);
}

function faultLines({ faults, fault }: ShadowReport): string[] {
  const { current, candidate } = faults;
  if (current === 0 && candidate === 0) return [];
  const first = fault === undefined ? '' : `: ${fault.code}: ${fault.message}`;
  return [`faults: current ${grouped(current)}, candidate ${grouped(candidate)}${first}`];
}

function exampleLines({ port, lcore, packet, current, candidate }: ShadowDifference): string[] {
  const line = (answer: ShadowAnswer) =>
    `${answerText(answer)}: ${packetText(answer.packet, { link: true })}`;
  const fields = fieldDifference(current.packet, candidate.packet, INTERFACES);
  return [
    `  ${port}, lcore ${lcore}: ${packetText(packet)}`,
    `    current    ${line(current)}`,
    `    candidate  ${line(candidate)}`,
    ...(fields === '' ? [] : [indent(indent(fields))]),
  ];
}

/** `redirect to tap, mark 7`. */
function answerText({ verdict, egress, mark }: ShadowAnswer): string {
  const to = egress === null ? '' : ` to ${egress}`;
  return `${verdict}${to}${mark === 0 ? '' : `, mark ${mark}`}`;
}
