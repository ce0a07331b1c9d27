/** `wirelet inspect`: what a program is made of. */

import { disassemble } from '../compile/component.js';
import { inspectModule, type ModuleReport } from '../compile/inspect.js';
import { coded, type NativeModuleInfo, native } from '../native.js';
import { loadProgram } from '../program.js';
import { grouped } from '../terminal/numbers.js';
import { tableText } from '../terminal/table.js';
import type { Call } from './command.js';

export async function run({ arguments: [source = ''], options, output }: Call): Promise<number> {
  const program = await loadProgram(source);
  if (options.flag('wat')) {
    const wat = await disassemble(program.wasm);
    output.result(wat.trimEnd());
    output.json('wirelet.inspect/1', { name: program.name, wat });
    return 0;
  }
  const report = await inspectModule(program.wasm);
  const info = coded(() => native().checkModule(program.wasm));
  output.result(reportText(program.name, report, info));
  const { codeBytes, onLoad, compileMs } = info;
  output.json('wirelet.inspect/1', { name: program.name, ...report, codeBytes, onLoad, compileMs });
  return 0;
}

function reportText(name: string, report: ModuleReport, info: NativeModuleInfo): string {
  const { functions, memory, manifest } = report;
  const facts: [string, string][] = [
    ['program', manifest ? `${name} ${manifest.version} (ABI ${manifest.abi})` : name],
    ['entry', `${manifest?.entry ?? 'onBurst'}${info.onLoad ? ', onLoad' : ''}`],
    ['module', `${grouped(report.bytes)} bytes`],
    ['machine code', `${grouped(info.codeBytes)} bytes`],
    ['functions', `${functions.defined}, and ${functions.imported} imported`],
    ['largest', `${grouped(functions.largestBytes)} bytes of Wasm`],
    ['own memory', `${grouped(memory?.ownBytes ?? 0)} bytes`],
    ['imports', list(report.imports.map((one) => `${one.module}.${one.name}`))],
    ['exports', list(report.exports.map((one) => one.name))],
    ['counters', list(manifest?.counters ?? [])],
    ['tables', list((manifest?.tables ?? []).map((one) => `${one.name} (${one.kind})`))],
    ['affinity', manifest?.affinity ?? 'none'],
    ['compiler', manifest?.compiler ?? 'unknown: no manifest'],
  ];
  const width = Math.max(...facts.map(([title]) => title.length));
  const head = facts.map(([title, value]) => `${title.padEnd(width)}  ${value}`).join('\n');
  const columns = [{ title: 'section' }, { title: 'bytes', align: 'right' as const }];
  const rows = report.sections.map((section) => [section.name, grouped(section.bytes)]);
  return `${head}\n\n${tableText(columns, rows)}`;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? '-' : names.join(', ');
}
