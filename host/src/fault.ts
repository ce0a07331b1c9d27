/** A program's fault in its author's words: file, line, column, and the lines around. */
import { ERRORS } from './abi.js';
import { type ErrorCode, isErrorCode } from './error.js';
import type { NativeFault } from './native.js';
import { type Mapped, SourceLines } from './source-lines.js';
import { TENANT_DEFAULT } from './tenant.js';
import type { Colors } from './terminal/color.js';

export interface FaultFrame {
  /** Name of the function; '' when the module has no names. */
  function: string;
  /** Where it stood; undefined without a source map. */
  file?: string;
  line?: number;
  column?: number;
}

/** A program faulted: a trap, a missed deadline or a descriptor that lies. */
export interface Fault {
  code: ErrorCode;
  message: string;
  tenant: string;
  program: string;
  lcore: number;
  generation: number;
  /** Innermost first. */
  frames: FaultFrame[];
  /** The author's line; undefined without a source map. */
  file?: string;
  line?: number;
  column?: number;
  /** The fault is in an SDK function that was inlined a little behind that line. */
  near: boolean;
  /** The lines around; '' when the source is not at hand. */
  codeFrame: string;
  /** The packet being worked on, as it was after the fault. */
  packet?: Uint8Array;
  /** Capture file that the packet was saved in. */
  saved?: string;
}

/** What the engine says of a fault. */
export interface FaultOrigin extends Pick<NativeFault, 'message' | 'frames'> {
  code?: string;
  /** The program's. */
  name: string;
  lcore: number;
  generation: number;
  packet?: Uint8Array;
}

const linesByProgram = new WeakMap<Mapped, SourceLines>();

/** The report of `origin`, placed in the source of `program`. */
export function faultOf(origin: FaultOrigin, program: Mapped | undefined): Fault {
  const lines = program && linesOf(program);
  const author = lines?.author(origin.frames.map(({ offset }) => offset)) ?? undefined;
  const { code = '', message, name, lcore, generation, packet } = origin;
  return {
    code: isErrorCode(code) ? code : 'WIRELET_E_PROGRAM_TRAP',
    message,
    tenant: TENANT_DEFAULT,
    program: name,
    lcore,
    generation,
    frames: origin.frames.map((frame) => ({ function: frame.name, ...lines?.at(frame.offset) })),
    near: false,
    ...author,
    codeFrame: author ? (lines?.codeFrame(author) ?? '') : '',
    ...(packet === undefined ? {} : { packet }),
  };
}

/** The fault as a compiler would say it. */
export function faultText(fault: Fault, colors: Colors): string {
  const { code, message, program, lcore, generation, saved } = fault;
  const head = `${colors.red(colors.bold(`fault[${code}]`))}: ${program}: ${message}`;
  const place = `${fault.near ? 'near' : 'at'} ${colors.cyan(placeText(fault))}`;
  const lines = [head, `  ${place} (lcore ${lcore}, generation ${generation})`];
  if (fault.codeFrame !== '') lines.push(fault.codeFrame);
  if (saved !== undefined) lines.push(`  packet: ${saved}`);
  lines.push(`${colors.cyan('hint')}: ${ERRORS[code].hint}`);
  return lines.join('\n');
}

/** The author's line, else the innermost one that is known. */
function placeText(fault: Fault): string {
  const known = [fault, ...fault.frames].find(({ file }) => file !== undefined);
  if (known === undefined) return 'an unknown line: the module has no source map';
  return `${known.file}:${known.line}:${known.column}`;
}

function linesOf(program: Mapped): SourceLines {
  const lines = linesByProgram.get(program) ?? new SourceLines(program);
  linesByProgram.set(program, lines);
  return lines;
}
