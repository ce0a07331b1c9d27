/** Bytes that come in pieces, to lines that come whole. */
import type { Readable } from 'node:stream';
import { WireletError } from '../error.js';

const NEWLINE = 0x0a;

/**
 * Lines of a stream, without their ends; an unfinished last one is left out. Reads on only when
 * the line before has been taken, so a sender can't run ahead.
 * @throws WIRELET_E_CONTROL for a line of more than `bytesMax` bytes
 */
export async function* linesOf(stream: Readable, bytesMax: number): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let bytes = 0;
  // The stream stays open for an answer to what it has sent.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    let rest = chunk as Buffer;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      refuseLong(bytes + end, bytesMax);
      yield Buffer.concat([...parts, rest.subarray(0, end)]).toString('utf8');
      rest = rest.subarray(end + 1);
      parts = [];
      bytes = 0;
    }
    bytes += rest.length;
    refuseLong(bytes, bytesMax);
    if (rest.length > 0) parts.push(rest);
  }
}

function refuseLong(bytes: number, bytesMax: number): void {
  if (bytes <= bytesMax) return;
  const message = `a line has more than ${bytesMax} bytes`;
  throw new WireletError('WIRELET_E_CONTROL', message, {
    hint: 'Send large tables in parts.',
  });
}
