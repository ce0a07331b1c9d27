/**
 * What a test expects of packets, with a difference that can be read when it is not so:
 *
 * ```ts
 * expect(program.send(packet)).toPass();
 * expect(program.send(packet)).toBecome(udp({ from: '198.51.100.1:1000', ttl: 63 }));
 * expect(program.send([one, other])).toBecome([one, 'drop']);
 * ```
 */
import type { MatcherResult, MatcherState } from 'vitest';
import { EGRESS_FLOOD, type Verdict } from '../abi.js';
import { packetDifference } from '../packet/difference.js';
import { packetText } from '../packet/text.js';
import { fateText, isForwarded, type Outcome, sentText } from './outcome.js';

/** The packet that goes on, or what else becomes of it. */
export type Expected = Uint8Array | 'drop' | 'punt';

/** Matchers of outcomes. On a list, every packet has to match. */
export interface PacketMatchers<Result = void> {
  /** Its verdict is pass, whatever bytes it has now. */
  toPass(): Result;
  toDrop(): Result;
  toPunt(): Result;
  /** It is redirected: to this port, if one is given. */
  toRedirect(port?: number): Result;
  /** It is sent to every other port that the program may redirect to. */
  toFlood(): Result;
  /** It goes on with exactly these bytes; of a list, each as the list says. */
  toBecome(expected: Expected | readonly Expected[]): Result;
  /** The packets that go on are these, in this order. */
  toForward(packets: readonly Uint8Array[]): Result;
}

type Matcher<Arguments extends unknown[]> = (
  this: MatcherState,
  received: unknown,
  ...expected: Arguments
) => MatcherResult;

type Matchers = {
  [Name in keyof PacketMatchers]: Matcher<Parameters<PacketMatchers[Name]>>;
};

export const packetMatchers: Matchers = {
  toPass: verdictMatcher('toPass', 'pass', 'pass'),
  toDrop: verdictMatcher('toDrop', 'drop', 'be dropped'),
  toPunt: verdictMatcher('toPunt', 'punt', 'be punted'),

  toRedirect(received, port) {
    const wanted = `be redirected${port === undefined ? '' : ` to port ${port}`}`;
    const isWanted = ({ verdict, egress }: Outcome): boolean =>
      verdict === 'redirect' && (port === undefined || egress === port);
    return verdictResult(outcomesOf('toRedirect', received), isWanted, wanted);
  },

  toFlood(received) {
    const isFlooded = ({ verdict, egress }: Outcome): boolean =>
      verdict === 'redirect' && egress === EGRESS_FLOOD;
    return verdictResult(outcomesOf('toFlood', received), isFlooded, 'be flooded');
  },

  toBecome(received, expected) {
    const outcomes = outcomesOf('toBecome', received);
    const list = isList(expected) ? expected : outcomes.map(() => expected);
    if (list.length !== outcomes.length) {
      const message = `${outcomes.length} packets were sent, ${list.length} are expected`;
      return { pass: false, message: () => message };
    }
    const problems = outcomes.flatMap((outcome, index) => {
      const problem = problemOf(outcome, list[index] ?? 'drop', this);
      return problem === undefined ? [] : [withPacket(outcomes, index, problem)];
    });
    const not = () => `expected ${listText(outcomes)} not to become what was given; it did`;
    return { pass: problems.length === 0, message: () => problemsText(problems) ?? not() };
  },

  toForward(received, packets) {
    const forwarded = outcomesOf('toForward', received).filter(isForwarded);
    const problems = packets.flatMap((packet, index) => {
      const outcome = forwarded[index];
      if (!outcome) return [`packet ${index + 1} is missing: ${packetText(packet)}`];
      const difference = packetDifference(packet, outcome.packet, style(this));
      const head = `packet ${index + 1} of ${packets.length} is another one`;
      return difference === '' ? [] : [`${head}\n\n${difference}`];
    });
    for (const { packet } of forwarded.slice(packets.length)) {
      problems.push(`one too many: ${packetText(packet)}`);
    }
    const not = () => 'expected other packets to be forwarded; these were';
    return { pass: problems.length === 0, message: () => problemsText(problems) ?? not() };
  },
};

/** Problems that are shown; the first ones say what is wrong. */
const PROBLEMS_MAX = 3;

function verdictMatcher(name: string, verdict: Verdict, wanted: string): Matcher<[]> {
  return (received) =>
    verdictResult(outcomesOf(name, received), (outcome) => outcome.verdict === verdict, wanted);
}

function verdictResult(
  outcomes: readonly Outcome[],
  isWanted: (outcome: Outcome) => boolean,
  wanted: string,
): MatcherResult {
  const problems = outcomes.flatMap((outcome, index) => {
    if (isWanted(outcome)) return [];
    return [withPacket(outcomes, index, `expected to ${wanted}, it ${fateText(outcome)}`)];
  });
  const not = () => `expected ${listText(outcomes)} not to ${wanted}`;
  return { pass: problems.length === 0, message: () => problemsText(problems) ?? not() };
}

/** Undefined when the outcome is the expected one. */
function problemOf(outcome: Outcome, expected: Expected, state: MatcherState): string | undefined {
  if (typeof expected === 'string') {
    if (outcome.verdict === expected) return undefined;
    const wanted = expected === 'drop' ? 'be dropped' : 'be punted';
    return `expected to ${wanted}, it ${fateText(outcome)}`;
  }
  if (!isForwarded(outcome)) {
    return `expected to go on as ${packetText(expected)}\nbut it ${fateText(outcome)}`;
  }
  const difference = packetDifference(expected, outcome.packet, style(state));
  return difference === '' ? undefined : `expected to become another packet\n\n${difference}`;
}

function style({ utils }: MatcherState) {
  return { paint: [utils.EXPECTED_COLOR, utils.RECEIVED_COLOR] as const };
}

function withPacket(outcomes: readonly Outcome[], index: number, problem: string): string {
  const sent = outcomes.map((outcome) => outcome.sent);
  return `${sentText(sent, index)}\n${problem}`;
}

/** Undefined when there is none. */
function problemsText(problems: readonly string[]): string | undefined {
  if (problems.length === 0) return undefined;
  const shown = problems.slice(0, PROBLEMS_MAX).join('\n\n');
  const rest = problems.length - PROBLEMS_MAX;
  return rest > 0 ? `${shown}\n\n... and ${rest} more packets` : shown;
}

function listText(outcomes: readonly Outcome[]): string {
  const [first] = outcomes;
  if (first && outcomes.length === 1) return packetText(first.sent);
  return `${outcomes.length} packets`;
}

/** @throws TypeError for what `send` did not return */
function outcomesOf(matcher: string, received: unknown): readonly Outcome[] {
  const outcomes: readonly unknown[] = Array.isArray(received) ? received : [received];
  if (outcomes.length > 0 && outcomes.every(isOutcome)) return outcomes;
  throw new TypeError(`${matcher} is about what send() returned: expect(program.send(packet))`);
}

function isOutcome(value: unknown): value is Outcome {
  return typeof value === 'object' && value !== null && 'verdict' in value && 'sent' in value;
}

function isList(expected: Expected | readonly Expected[]): expected is readonly Expected[] {
  return Array.isArray(expected);
}
