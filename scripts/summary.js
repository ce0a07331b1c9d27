/** What the test runners say at their end, in their words, and added up. */
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

/**
 * Counts and closing lines of libtest, which prints one for each test binary. A test that finds at
 * run time that it can't run here passes, for libtest; it says `skipped: ` and why.
 */
export function readCargo(output) {
  const all = output.split('\n');
  const lines = all.filter((line) => line.startsWith('test result: '));
  const skipped = all.filter((line) => line.includes('skipped: ')).length;
  const sum = (word) =>
    lines.reduce((all, line) => all + Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0), 0);
  return {
    lines,
    passed: sum('passed') - skipped,
    failed: sum('failed'),
    skipped: sum('ignored') + skipped,
  };
}

/** Counts of vitest's JSON report, closing lines of what it printed. */
export function readVitest(output, report) {
  const plain = stripVTControlCharacters(output).split('\n');
  const lines = plain.filter((line) => /^ +(Test Files|Tests|Duration) {2}/.test(line));
  return { lines, ...vitestCounts(report) };
}

function vitestCounts(file) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'));
    const skipped = report.numPendingTests + report.numTodoTests;
    return { passed: report.numPassedTests, failed: report.numFailedTests, skipped };
  } catch {
    // It ended before it could report; its status says so.
    return { passed: 0, failed: 0, skipped: 0 };
  }
}

/** The closing lines of all runs, and as the last line their sum. */
export function summary(runs) {
  const total = (key) => runs.reduce((sum, run) => sum + run[key], 0);
  const words = ['passed', 'failed', 'skipped'];
  const counts = words.map((word) => `${total(word)} ${word}`).join(', ');
  const lines = runs.flatMap((run) => [`${run.name}:`, ...run.lines, run.ended]);
  return [...lines.filter((line) => line !== ''), counts, ''].join('\n');
}
