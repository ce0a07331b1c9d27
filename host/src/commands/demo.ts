/** `wirelet demo`: what Wirelet does, in ten seconds. */
import { BLOCKED, type FileDemo, fileDemo, type LiveResult, liveDemo } from '../demo.js';
import { packetText } from '../packet/text.js';
import { conservation } from '../stats/conservation.js';
import { duration } from '../terminal/numbers.js';
import type { Output } from '../terminal/output.js';
import { statsText } from '../terminal/stats-text.js';
import { indent, tableText } from '../terminal/table.js';
import type { Call } from './command.js';
import { countersText } from './replay.js';

export async function run({ output }: Call): Promise<number> {
  const { bold } = output.colors;
  output.result(bold('1. Generated packets through two programs, on native lcores'));
  const live = await liveDemo((text) => output.message(`   ${text}`));
  output.result(`\n${indent(liveText(live, output))}\n`);
  output.result(bold('2. A capture file through dnsguard, packet by packet'));
  const file = await fileDemo();
  output.result(`\n${indent(fileText(file, output))}\n`);
  output.result(`${bold('Try next')}  ${nextCommand(file.input)}`);
  const { stats: _stats, ...replayed } = file.result;
  const { exact } = conservation(live.stats);
  output.json('wirelet.demo/1', {
    live: { ...live, conservation: conservation(live.stats) },
    replay: { ...replayed, conservation: conservation(file.result.stats) },
  });
  return exact && conservation(file.result.stats).exact ? 0 : 1;
}

function liveText({ stats, counters }: LiveResult, output: Output): string {
  const latency = stats.ports.out?.latencyNs;
  const parts = [statsText(stats, output.colors), countersText(counters)];
  if (latency) {
    const { p50, p99, max } = latency;
    const text = `p50 ${duration(p50)}, p99 ${duration(p99)}, max ${duration(max)}`;
    parts.push(`latency from generator to sink: ${text}`);
  }
  return parts.join('\n\n');
}

function fileText({ before, after, result }: FileDemo, output: Output): string {
  const { green, red } = output.colors;
  const kept = after.map((packet) => Buffer.from(packet).toString('hex'));
  const rows = before.map((packet, index) => {
    const passed = kept.includes(Buffer.from(packet).toString('hex'));
    return [String(index + 1), passed ? green('pass') : red('drop'), packetText(packet)];
  });
  const { packets, verdicts, written } = result;
  const exact = packets === written + verdicts.drop ? green('exact') : red('packets are missing');
  return [
    `dnsguard blocks ${BLOCKED.join(', ')} and everything below`,
    '',
    tableText([{ title: '#', align: 'right' }, { title: 'verdict' }, { title: 'packet' }], rows),
    '',
    `in = out + drops: ${exact} (${packets} = ${written} + ${verdicts.drop})`,
  ].join('\n');
}

function nextCommand(input: string): string {
  const program = 'npx wirelet replay programs/dnsguard';
  return `${program} --in ${input} --set 'blocked=["www.example"]'`;
}
