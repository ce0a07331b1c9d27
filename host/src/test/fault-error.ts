/** A fault as the failure of a test. */
import type { ErrorCode } from '../abi.js';
import type { Fault } from '../fault.js';
import { type Outcome, sentText } from './outcome.js';

/**
 * A program faulted: its message has the author's file, line and column, the lines around, and the
 * packet.
 *
 * ```ts
 * expect(() => program.send(packet)).toThrow(FaultError);
 * ```
 */
export class FaultError extends Error {
  override readonly name = 'FaultError';
  readonly code: ErrorCode;
  readonly fault: Fault;
  /** All packets of the burst; those decided before the fault keep their verdict. */
  readonly outcomes: readonly Outcome[];

  constructor(fault: Fault, outcomes: readonly Outcome[], index: number) {
    super(messageOf(fault, outcomes, index));
    this.code = fault.code;
    this.fault = fault;
    this.outcomes = outcomes;
  }
}

function messageOf(fault: Fault, outcomes: readonly Outcome[], index: number): string {
  const { code, program, message, file, line, column, near, codeFrame } = fault;
  const known = file === undefined ? 'an unknown line' : `${file}:${line}:${column}`;
  const sent = outcomes.map((outcome) => outcome.sent);
  const lines = [
    `${program}: ${message} (${code})`,
    `  ${near ? 'near' : 'at'} ${known}`,
    ...(codeFrame === '' ? [] : [codeFrame]),
    ...(index < 0 ? [] : [`sent: ${sentText(sent, index)}`]),
  ];
  return lines.join('\n');
}
