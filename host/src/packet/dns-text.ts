/** A DNS message in the words of tcpdump: `4660+ A? ads.example. (29)`. */

const HEADER_BYTES = 12;
const NAME_BYTES_MAX = 255;
const OPERATIONS = ['', ' inv_q', ' stat', ' op3', ' notify', ' update'];
const CODES = ['', ' FormErr', ' ServFail', ' NXDomain', ' NotImp', ' Refused'];
const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'A'],
  [2, 'NS'],
  [5, 'CNAME'],
  [6, 'SOA'],
  [12, 'PTR'],
  [15, 'MX'],
  [16, 'TXT'],
  [28, 'AAAA'],
  [33, 'SRV'],
  [65, 'HTTPS'],
  [255, 'ANY'],
]);

/** What a message asks or answers; undefined when it has no whole header. */
export function dnsText(message: Uint8Array): string | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const flags = view.getUint16(2);
  const [questions = 0, ...records] = [4, 6, 8, 10].map((at) => view.getUint16(at));
  const operation = OPERATIONS[(flags >> 11) & 15] ?? ` op${(flags >> 11) & 15}`;
  const head = `${view.getUint16(0)}${operation}`;
  const size = `(${message.length})`;
  if (flags & 0x8000) {
    const code = CODES[flags & 15] ?? ` Resp${flags & 15}`;
    return `${head}${code}${answerMarks(flags)} ${records.join('/')} ${size}`;
  }
  const marks = (flags & 0x0100 ? '+' : '') + (flags & 0x0010 ? '%' : '');
  return `${head}${marks}${countsText(questions, records)}${questionText(message)} ${size}`;
}

function answerMarks(flags: number): string {
  const marks = [
    flags & 0x0400 ? '*' : '',
    flags & 0x0080 ? '' : '-',
    flags & 0x0200 ? '|' : '',
    flags & 0x0020 ? '$' : '',
  ];
  return marks.join('');
}

/** Counts of a query that are not the usual: one question, nothing else. */
function countsText(questions: number, records: readonly number[]): string {
  const named = ['a', 'n', 'au'].map((name, index) => [records[index] ?? 0, name] as const);
  const counts = named.filter(([count]) => count > 0);
  const texts = counts.map(([count, name]) => ` [${count}${name}]`);
  return `${questions === 1 ? '' : ` [${questions}q]`}${texts.join('')}`;
}

/** ` A? ads.example.`, of the first question. */
function questionText(message: Uint8Array): string {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    const end = at + 1 + length;
    // A pointer in the first name of a message can only point back to itself.
    if (length > 63 || end > message.length || end - HEADER_BYTES > NAME_BYTES_MAX) return '';
    labels.push(readable(message.subarray(at + 1, end)));
    at = end;
  }
  if (at + 5 > message.length) return '';
  const type = ((message[at + 1] ?? 0) << 8) | (message[at + 2] ?? 0);
  return ` ${TYPES.get(type) ?? `Type${type}`}? ${labels.join('.')}.`;
}

/** Labels come from the network: nothing in them may drive a terminal. */
function readable(label: Uint8Array): string {
  return Buffer.from(label)
    .toString('latin1')
    .replace(/[^\x21-\x7e]/g, '?');
}
