// Rules, as the settings have them: text that becomes numbers while the program loads.
//
//   allow|deny [protocol] [in PORT] [from PREFIX [port PORTS]] [to PREFIX [port PORTS]]

import { Address, Protocol, Settings } from '@wirelet/runtime';
import { Tuple } from './tuple';

/** So many of the longest fit into the program's memory (asconfig.json). */
const RULES_MAX = 1024;
const PORT_MAX: u32 = 65535;
/** No protocol and no port has this number. */
const ANY: u32 = u32.MAX_VALUE;

/** A prefix of one of the two families, or of both, and ports. */
class End {
  isAny: bool = true;
  isIpv6: bool = false;
  high: u64 = 0;
  low: u64 = 0;
  highMask: u64 = 0;
  lowMask: u64 = 0;
  firstPort: u32 = 0;
  /** Ports behind the first. */
  morePorts: u32 = ANY;
}

/** A rule as it is read. */
class Draft {
  isOf4: bool = true;
  isOf6: bool = true;
  allows: bool = false;
  protocol: u32 = ANY;
  arrival: u32 = ANY;
  source: End = new End();
  destination: End = new End();
}

/**
 * What both families ask for. Rules are small objects in the order in which they are asked, and a
 * list of them needs no bounds checks. Where anything is right, the mask is 0.
 */
class Rule {
  allows: bool;
  private protocol: u32;
  private protocolMask: u32;
  private arrival: u32;
  private arrivalMask: u32;
  private sourcePort: u32;
  private moreSourcePorts: u32;
  private destinationPort: u32;
  private moreDestinationPorts: u32;

  constructor(draft: Draft) {
    this.allows = draft.allows;
    this.protocol = draft.protocol;
    this.protocolMask = draft.protocol == ANY ? 0 : ANY;
    this.arrival = draft.arrival;
    this.arrivalMask = draft.arrival == ANY ? 0 : ANY;
    this.sourcePort = draft.source.firstPort;
    this.moreSourcePorts = draft.source.morePorts;
    this.destinationPort = draft.destination.firstPort;
    this.moreDestinationPorts = draft.destination.morePorts;
  }

  /** 0 where protocol and port of arrival are right. */
  @inline
  protected difference(tuple: Tuple): u32 {
    const protocol = (tuple.protocol ^ this.protocol) & this.protocolMask;
    return protocol | ((tuple.arrival ^ this.arrival) & this.arrivalMask);
  }

  /** One comparison does for both bounds: what is below the first port wraps around. */
  @inline
  protected hasPorts(tuple: Tuple): bool {
    return (
      tuple.destinationPort - this.destinationPort <= this.moreDestinationPorts &&
      tuple.sourcePort - this.sourcePort <= this.moreSourcePorts
    );
  }
}

@final
class Rule4 extends Rule {
  next: Rule4 | null;
  private source: u32;
  private sourceMask: u32;
  private destination: u32;
  private destinationMask: u32;

  constructor(draft: Draft, next: Rule4 | null) {
    super(draft);
    this.next = next;
    this.source = <u32>draft.source.low;
    this.sourceMask = <u32>draft.source.lowMask;
    this.destination = <u32>draft.destination.low;
    this.destinationMask = <u32>draft.destination.lowMask;
  }

  @inline
  holds(tuple: Tuple): bool {
    const source = (<u32>tuple.sourceLow ^ this.source) & this.sourceMask;
    const destination = (<u32>tuple.destinationLow ^ this.destination) & this.destinationMask;
    return (source | destination | this.difference(tuple)) == 0 && this.hasPorts(tuple);
  }
}

@final
class Rule6 extends Rule {
  next: Rule6 | null;
  private source: End;
  private destination: End;

  constructor(draft: Draft, next: Rule6 | null) {
    super(draft);
    this.next = next;
    this.source = draft.source;
    this.destination = draft.destination;
  }

  @inline
  holds(tuple: Tuple): bool {
    const source = this.source;
    const destination = this.destination;
    const address =
      ((tuple.sourceHigh ^ source.high) & source.highMask) |
      ((tuple.sourceLow ^ source.low) & source.lowMask) |
      ((tuple.destinationHigh ^ destination.high) & destination.highMask) |
      ((tuple.destinationLow ^ destination.low) & destination.lowMask);
    return address == 0 && this.difference(tuple) == 0 && this.hasPorts(tuple);
  }
}

/** What the rules say of a packet. */
export enum Answer {
  /** No rule holds: the policy decides. */
  None = 0,
  Allow,
  Deny,
}

let first4: Rule4 | null = null;
let first6: Rule6 | null = null;

const policyAllows = policyOf(Settings.string('policy', 'deny'));
readRules(Settings.strings('rules', []));

export class Rules {
  /** The first rule that holds decides. */
  static ask(tuple: Tuple): Answer {
    return tuple.isIpv6 ? ask6(tuple) : ask4(tuple);
  }

  /** Whether a packet that no rule is about passes. */
  static get policyAllows(): bool {
    return policyAllows;
  }
}

function ask4(tuple: Tuple): Answer {
  let rule = first4;
  while (rule != null) {
    if (rule.holds(tuple)) return rule.allows ? Answer.Allow : Answer.Deny;
    rule = rule.next;
  }
  return Answer.None;
}

function ask6(tuple: Tuple): Answer {
  let rule = first6;
  while (rule != null) {
    if (rule.holds(tuple)) return rule.allows ? Answer.Allow : Answer.Deny;
    rule = rule.next;
  }
  return Answer.None;
}

function policyOf(text: string): bool {
  if (text == 'allow' || text == 'deny') return text == 'allow';
  throw new TypeError('setting "policy" must be "allow" or "deny"');
}

function readRules(texts: string[]): void {
  if (texts.length > RULES_MAX) throw new RangeError('setting "rules" has more than 1024 rules');
  const drafts = texts.map<Draft>((text) => readRule(text));
  for (let i = drafts.length - 1; i >= 0; i--) {
    const draft = drafts[i];
    if (draft.isOf4) first4 = new Rule4(draft, first4);
    if (draft.isOf6) first6 = new Rule6(draft, first6);
  }
}

/** The words of one rule, while it is read. */
class Words {
  at: i32 = 0;
  words: string[];

  constructor(private text: string) {
    this.words = text.split(' ').filter((word) => word.length > 0);
  }

  /** Takes the next word if it is this one. */
  takes(word: string): bool {
    if (this.at >= this.words.length || this.words[this.at] != word) return false;
    this.at++;
    return true;
  }

  /** The next word, which has to be there. */
  take(what: string): string {
    if (this.at >= this.words.length) this.refuse('it ends where ' + what + ' is expected');
    return this.words[this.at++];
  }

  get isAtEnd(): bool {
    return this.at >= this.words.length;
  }

  refuse(reason: string): void {
    throw new TypeError('setting "rules": "' + this.text + '": ' + reason);
  }
}

function readRule(text: string): Draft {
  const words = new Words(text);
  const allows = words.takes('allow');
  if (!allows && !words.takes('deny')) words.refuse('a rule begins with "allow" or "deny"');
  const rule = new Draft();
  rule.allows = allows;
  const family = readProtocol(words, rule);
  if (words.takes('in')) {
    rule.arrival = numberOf(words, words.take('the number of a port of arrival'), PORT_MAX);
  }
  if (words.takes('from')) readEnd(words, rule.source, rule.protocol);
  if (words.takes('to')) readEnd(words, rule.destination, rule.protocol);
  if (!words.isAtEnd) words.refuse('"' + words.take('') + '" is not expected there');
  setFamilies(words, rule, family);
  return rule;
}

/** Returns 4 or 6 where the protocol is of one family only, else 0. */
function readProtocol(words: Words, rule: Draft): u32 {
  if (words.takes('any')) return 0;
  if (words.takes('tcp')) rule.protocol = Protocol.Tcp;
  else if (words.takes('udp')) rule.protocol = Protocol.Udp;
  else if (words.takes('icmp')) {
    rule.protocol = Protocol.Icmp;
    return 4;
  } else if (words.takes('icmpv6')) {
    rule.protocol = Protocol.Icmpv6;
    return 6;
  } else if (words.takes('protocol')) {
    rule.protocol = numberOf(words, words.take('the number of a protocol'), 255);
  }
  return 0;
}

function readEnd(words: Words, end: End, protocol: u32): void {
  const text = words.take('a prefix');
  if (text != 'any') readPrefix(words, end, text);
  if (!words.takes('port')) return;
  if (protocol != Protocol.Tcp && protocol != Protocol.Udp) {
    words.refuse('ports are of "tcp" or "udp"');
  }
  const ports = words.take('a port').split('-');
  if (ports.length > 2) words.refuse('ports are "80" or "80-443"');
  const first = numberOf(words, ports[0], PORT_MAX);
  const last = ports.length == 2 ? numberOf(words, ports[1], PORT_MAX) : first;
  if (last < first) words.refuse('the last port is below the first');
  end.firstPort = first;
  // One comparison does for both bounds: what is below the first wraps around.
  end.morePorts = last - first;
}

function readPrefix(words: Words, end: End, text: string): void {
  const parts = text.split('/');
  if (parts.length > 2) words.refuse('"' + text + '" is no prefix');
  end.isAny = false;
  end.isIpv6 = parts[0].includes(':');
  const width: u32 = end.isIpv6 ? 128 : 32;
  const bits = parts.length == 2 ? numberOf(words, parts[1], width) : width;
  if (end.isIpv6) {
    const address = Address.ipv6(parts[0]);
    end.high = address[0];
    end.low = address[1];
    end.highMask = maskOf(min(bits, 64), 64);
    end.lowMask = maskOf(max(bits, 64) - 64, 64);
  } else {
    end.low = Address.ipv4(parts[0]);
    end.lowMask = maskOf(bits, 32) & u32.MAX_VALUE;
  }
  const rest = (end.high & ~end.highMask) | (end.low & ~end.lowMask);
  if (rest != 0) words.refuse('"' + text + '" has bits behind its prefix');
}

/** Finds the families that a rule is of; its protocol is of `family`, or of both. */
function setFamilies(words: Words, rule: Draft, family: u32): void {
  const source = rule.source;
  const destination = rule.destination;
  const isOf4 = (!source.isAny && !source.isIpv6) || (!destination.isAny && !destination.isIpv6);
  const isOf6 = (!source.isAny && source.isIpv6) || (!destination.isAny && destination.isIpv6);
  const is4 = isOf4 || family == 4;
  const is6 = isOf6 || family == 6;
  if (is4 && is6) words.refuse('a part of it is IPv4, another IPv6');
  rule.isOf4 = !is6;
  rule.isOf6 = !is4;
}

/** The upper `bits` of a word of `width`. */
function maskOf(bits: u32, width: u32): u64 {
  return bits == 0 ? 0 : u64.MAX_VALUE << (width - bits);
}

function numberOf(words: Words, text: string, most: u32): u32 {
  let value: u32 = 0;
  let isNumber = text.length > 0 && text.length <= 5;
  for (let i = 0; i < text.length && isNumber; i++) {
    const digit = text.charCodeAt(i) - 48;
    isNumber = digit >= 0 && digit <= 9;
    value = value * 10 + digit;
  }
  if (!isNumber || value > most) {
    words.refuse('"' + text + '" is no number from 0 to ' + most.toString());
  }
  return value;
}
