/** `wirelet trace`: packets of a port or a program, while they go their way. */
import { FRAME_BYTES_MAX } from '../abi.js';
import { tracedOf, traceSummaryOf } from '../control/trace-wire.js';
import { WireletError } from '../error.js';
import { jsonText } from '../json.js';
import { grouped } from '../terminal/numbers.js';
import type { Output } from '../terminal/output.js';
import { tracedText } from '../terminal/trace-text.js';
import { compileFilter, type TracedPacket, type TraceTarget } from '../trace.js';
import { withAppliance } from './appliance-client.js';
import type { Call, Options } from './command.js';
import { Interrupt } from './interrupt.js';
import { TraceFile } from './trace-file.js';

/** Bytes that may wait for a reader of stdout, such as a pager; then lines are lost. */
const BACKLOG_BYTES_MAX = 4 << 20;

export async function run(call: Call): Promise<number> {
  const { output, options } = call;
  const params = await paramsOf(call);
  const pcap = options.text('pcap');
  return withAppliance(call, async (client) => {
    const file = pcap === undefined ? undefined : new TraceFile(pcap);
    const lines = new Lines(output);
    const interrupt = new Interrupt(() => client.end());
    try {
      const result = await client.ask('trace', params, {
        onProgress: (text) => {
          lines.target = targetOf(text);
          output.message(`${text}; ^C ends it`);
        },
        onEntries: (entries) => {
          const packets = tracedOf(entries);
          file?.write(packets);
          for (const packet of packets) lines.write(packet);
        },
      });
      const { shown, lost } = traceSummaryOf(result);
      output.message(endText(shown - lines.lost, lost + lines.lost));
      return interrupt.status(0);
    } finally {
      interrupt.release();
      file?.close();
    }
  });
}

/** The filter is read here: what libpcap does with it can't hurt the appliance. */
async function paramsOf({ arguments: [target = ''], options }: Call) {
  const filter = options.text('filter');
  return {
    target,
    ...(filter === undefined ? {} : { filter: await compileFilter(filter) }),
    ...wholes(options, {
      count: Number.MAX_SAFE_INTEGER,
      every: Number.MAX_SAFE_INTEGER,
      snap: FRAME_BYTES_MAX,
    }),
  };
}

function wholes(options: Options, most: Readonly<Record<string, number>>): Record<string, number> {
  const given = Object.entries(most).flatMap(([name, max]) => {
    const value = options.whole(name, [1, max]);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}

/** `tracing port wan` */
function targetOf(text: string): TraceTarget {
  const [, kind, name] = /^tracing (port|program) (.+)$/.exec(text) ?? [];
  if (kind === undefined || name === undefined) {
    throw new WireletError('WIRELET_E_CONTROL', `the appliance said "${text}"`);
  }
  return { kind: kind === 'port' ? 'port' : 'program', name };
}

/** Lines on stdout: one for each packet, while somebody reads them. */
class Lines {
  target: TraceTarget = { kind: 'port', name: '' };
  lost = 0;
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  write(packet: TracedPacket): void {
    const { stdout, options } = this.#output;
    const waiting = (stdout as { writableLength?: number }).writableLength ?? 0;
    if (waiting > BACKLOG_BYTES_MAX) {
      this.lost++;
      return;
    }
    const text = tracedText(packet, this.target);
    stdout.write(`${options.json ? jsonText({ ...packet, text }) : text}\n`);
  }
}

function endText(shown: number, lost: number): string {
  const texts = [`${packetsText(shown)} shown`];
  if (lost > 0) texts.push(`${packetsText(lost)} not shown: they came faster than they were read`);
  return texts.join(', ');
}

function packetsText(count: number): string {
  return `${grouped(count)} ${count === 1 ? 'packet' : 'packets'}`;
}
