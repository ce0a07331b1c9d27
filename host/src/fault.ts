/** A program's fault in its author's words: file, line, column, and the lines around. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ERRORS } from './abi.js';
import { frameOf } from './compile/diagnostics.js';
import { mapTrap } from './compile/source-map.js';
import { type ErrorCode, isErrorCode } from './error.js';
import type { NativeFault } from './native.js';
import type { LoadedProgram } from './program.js';
import type { Colors } from './terminal/color.js';

export interface FaultFrame {
  /** Name of the function. */
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
  program: string;
  lcore: number;
  generation: number;
  /** Innermost first. */
  frames: FaultFrame[];
  /** The author's line: the innermost frame that is not the SDK's. */
  file?: string;
  line?: number;
  column?: number;
  /** The lines around it; '' when the source is not at hand. */
  codeFrame: string;
  /** The packet being worked on, as it was after the fault. */
  packet?: Uint8Array;
}

/** What is known of a fault besides its frames. */
export interface FaultOrigin extends Pick<NativeFault, 'message' | 'frames'> {
  code?: string;
  name: string;
  lcore: number;
  generation: number;
  packet?: Uint8Array;
}

/** The report of `origin`, placed in the source of `program`. */
export function faultOf(origin: FaultOrigin, program: LoadedProgram | undefined): Fault {
  const places = origin.frames.map(({ offset }) => program && placeAt(program, offset));
  const authors = places.findIndex((place) => place && !isLibrary(place.file));
  const place = places[authors];
  const offset = origin.frames[authors]?.offset ?? 0;
  const { code = '', message, lcore, generation, packet } = origin;
  return {
    code: isErrorCode(code) ? code : 'WIRELET_E_PROGRAM_TRAP',
    message,
    program: origin.name,
    lcore,
    generation,
    frames: origin.frames.map(({ name }, index) => ({ function: name, ...places[index] })),
    ...place,
    codeFrame: program && place ? codeFrameAt(program, offset, place) : '',
    ...(packet === undefined ? {} : { packet }),
  };
}

/** The fault as a compiler would say it. */
export function faultText(fault: Fault, colors: Colors): string {
  const { code, message, program, lcore, generation, file, line, column } = fault;
  const head = `${colors.red(colors.bold(`fault[${code}]`))}: ${program}: ${message}`;
  const place = file === undefined ? 'no source map' : `${file}:${line}:${column}`;
  const lines = [head, `  at ${colors.cyan(place)} (lcore ${lcore}, generation ${generation})`];
  if (fault.codeFrame !== '') lines.push(fault.codeFrame);
  lines.push(`${colors.cyan('hint')}: ${ERRORS[code].hint}`);
  return lines.join('\n');
}

type Place = Required<Pick<FaultFrame, 'file' | 'line' | 'column'>>;

/** What was found before: the faults of a storm are few lines, and a source map is slow to read. */
class Known {
  readonly places = new Map<number, Place | null>();
  readonly frames = new Map<number, string>();
}

const knownByProgram = new WeakMap<LoadedProgram, Known>();

function knownOf(program: LoadedProgram): Known {
  const known = knownByProgram.get(program) ?? new Known();
  knownByProgram.set(program, known);
  return known;
}

function placeAt(program: LoadedProgram, offset: number): Place | undefined {
  if (program.sourceMap === null) return undefined;
  const { places } = knownOf(program);
  const place = places.has(offset) ? places.get(offset) : mapTrap(program.sourceMap, offset);
  places.set(offset, place ?? null);
  return place ?? undefined;
}

/** The lines around a place, from the map itself or, if it has no texts, from disk. */
function codeFrameAt(program: LoadedProgram, offset: number, place: Place): string {
  const { frames } = knownOf(program);
  const frame =
    frames.get(offset) ??
    frameOf(sourceText(program, place), place.line, place.column, place.column + 1);
  frames.set(offset, frame);
  return frame;
}

function sourceText({ sourceMap }: LoadedProgram, { file }: Place): string {
  const path = resolve(file);
  try {
    const { sourceRoot = '', sources, sourcesContent } = JSON.parse(sourceMap ?? '') as MapTexts;
    const index = sources.findIndex((source) => resolve(sourceRoot, source) === path);
    return sourcesContent?.[index] ?? readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

interface MapTexts {
  sourceRoot?: string;
  sources: string[];
  sourcesContent?: (string | null)[];
}

/** The SDK's and the compiler's own sources. */
function isLibrary(file: string): boolean {
  return file.startsWith('~lib/') || file.startsWith('wirelet:');
}
