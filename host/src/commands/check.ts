/** `wirelet check`: would the engine accept this program? */
import { type CheckResult, checkProgram } from '../check.js';
import { formatDiagnostics } from '../compile/diagnostics.js';
import { loadProgram } from '../program.js';
import { duration, grouped } from '../terminal/numbers.js';
import type { Call } from './command.js';
import { readSettings } from './settings-options.js';

const NS_PER_MS = 1e6;

export async function run({ arguments: [source = ''], options, output }: Call): Promise<number> {
  const program = await loadProgram(source);
  if (program.warnings.length > 0) output.message(formatDiagnostics(program.warnings));
  const settings = await readSettings(options, [program.name]);
  const result = checkProgram(program, settings.get(program.name));
  for (const line of result.logs) output.message(`[${program.name}] ${line}`);
  output.result(`${output.colors.green('ok')} ${program.name}: ${checkText(result)}`);
  output.json('wirelet.check/1', { program: program.name, ok: true, ...result });
  return 0;
}

function checkText({ bytes, codeBytes, functions, counters, compileMs }: CheckResult): string {
  const parts = [
    `${grouped(bytes)} bytes of Wasm`,
    `${functions} functions`,
    `${grouped(codeBytes)} bytes of machine code in ${duration(compileMs * NS_PER_MS)}`,
  ];
  if (counters.length > 0) parts.push(`counters ${counters.join(', ')}`);
  return parts.join(', ');
}
