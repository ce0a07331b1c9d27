/** Turns what the schema finds into coded errors that name the place and suggest. */
import type { z } from 'zod';
import { type ErrorCode, WireletError } from '../error.js';
import { didYouMean } from '../suggest.js';
import { KNOWN_KEYS } from './schema.js';

type Issue = z.core.$ZodIssue;

/** One thing that is wrong with a config. */
export interface Finding {
  code: ErrorCode;
  /** `ports.in.device`, `lcores[1]`. */
  path: string;
  message: string;
}

/** The error of a config in `file` for which the schema has `issues`. */
export function configError(issues: readonly Issue[], file: string | undefined): WireletError {
  const findings = issues.flatMap((issue) => findingsOf(issue, []));
  // A misspelt key explains what is missing, so it comes first.
  const isKey = ({ code }: Finding) => (code === 'WIRELET_E_CONFIG_UNKNOWN_KEY' ? 0 : 1);
  return findingsError(
    findings.toSorted((a, b) => isKey(a) - isKey(b)),
    file,
  );
}

/** The error that says all of `findings`; the first gives the code. */
export function findingsError(
  findings: readonly Finding[],
  file: string | undefined,
): WireletError {
  const [first] = findings;
  const lines = findings.map(({ path, message }) =>
    path === '' ? message : `${path}: ${message}`,
  );
  const where = file === undefined ? {} : { file };
  return new WireletError(first?.code ?? 'WIRELET_E_CONFIG_INVALID', lines.join('\n'), {
    details: { ...where, findings },
  });
}

function findingsOf(issue: Issue, prefix: readonly PropertyKey[]): Finding[] {
  const path = [...prefix, ...issue.path];
  const at = (code: ErrorCode, message: string): Finding[] => [
    { code, path: pathText(path), message },
  ];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key));
    case 'invalid_union':
      return unionFindings(issue, path);
    case 'invalid_key':
      return issue.issues.flatMap((inner) => findingsOf({ ...inner, path: [] }, path));
    case 'too_big':
      return at('WIRELET_E_CONFIG_LIMIT', `${amount(issue.origin)} at most ${issue.maximum}`);
    case 'too_small':
      return at('WIRELET_E_CONFIG_LIMIT', `${amount(issue.origin)} at least ${issue.minimum}`);
    case 'not_multiple_of':
      return at('WIRELET_E_CONFIG_LIMIT', `must be a multiple of ${issue.divisor}`);
    case 'invalid_value':
      return at('WIRELET_E_CONFIG_INVALID', choices(issue.values, issue.input));
    default:
      return at('WIRELET_E_CONFIG_INVALID', sentence(issue.message));
  }
}

function unknownKey(path: readonly PropertyKey[], key: string): Finding {
  const known = KNOWN_KEYS[wildcard(path)] ?? [];
  return {
    code: 'WIRELET_E_CONFIG_UNKNOWN_KEY',
    path: pathText([...path, key]),
    message: `unknown key${didYouMean(key, known)}`,
  };
}

/** Of a union, the findings of the branch whose type fits; else which types it could be. */
function unionFindings(issue: Extract<Issue, { code: 'invalid_union' }>, path: PropertyKey[]) {
  const isTopLevelType = (inner: Issue) => inner.code === 'invalid_type' && inner.path.length === 0;
  const fitting = issue.errors.find((branch) => !branch.some(isTopLevelType));
  if (fitting) return fitting.flatMap((inner) => findingsOf(inner, path));
  const expected = issue.errors
    .flat()
    .flatMap((i) => (i.code === 'invalid_type' ? [i.expected] : []));
  const message = `expected ${[...new Set(expected)].join(' or ')}`;
  return [{ code: 'WIRELET_E_CONFIG_INVALID' as const, path: pathText(path), message }];
}

function choices(values: readonly unknown[], input: unknown): string {
  const names = values.map(String);
  const hint = typeof input === 'string' ? didYouMean(input, names) : '';
  const got = input === undefined ? '' : `${JSON.stringify(input)} is not `;
  return `${got === '' ? 'must be ' : got}${names.map((one) => `"${one}"`).join(' or ')}${hint}`;
}

function amount(origin: string): string {
  if (origin === 'string') return 'must have characters';
  return origin === 'array' || origin === 'set' ? 'must have entries' : 'must be';
}

/** `Invalid input: expected object, received string` without zod's opening. */
function sentence(message: string): string {
  return message.replace(/^Invalid input: /, '');
}

function wildcard(path: readonly PropertyKey[]): string {
  const isName = (part: PropertyKey, index: number) => index === 1 || typeof part === 'number';
  return path.map((part, index) => (isName(part, index) ? '*' : String(part))).join('.');
}

/** `['ports', 'in', 0]` to `ports.in[0]`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part) : `.${String(part)}`;
  }
  return text;
}
