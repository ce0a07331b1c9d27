// Reads settings of every type while it loads and says what it read.

import { Address, Counter, Line, log, Packet, Settings, Verdict } from '@wirelet/runtime';

const text = Settings.string('text', 'nothing');
const numbers = Settings.numbers('numbers', []);
const strings = Settings.strings('strings', ['one', 'two']);
const late = Settings.boolean('late', false);

export function onLoad(): void {
  log(text);
  Line.of('number ')
    .number(<u64>(Settings.number('number', 2.5) * 10))
    .write();
  Line.of('u32 ').number(Settings.u32('u32', 7)).write();
  Line.of(Settings.has('u32') ? 'has u32' : 'has no u32').write();
  for (let i = 0; i < numbers.length; i++)
    Line.of('')
      .number(<u64>numbers[i])
      .write();
  for (let i = 0; i < strings.length; i++) log(strings[i]);
  const name = Settings.string('counter', '');
  if (name.length > 0) Counter.of(name);
  const ipv4 = Settings.string('ipv4', '');
  if (ipv4.length > 0) Line.of('').ipv4(Address.ipv4(ipv4)).write();
  const mac = Settings.string('mac', '');
  if (mac.length > 0) Line.of('').mac(Address.mac(mac)).write();
  const ipv6 = Settings.string('ipv6', '');
  if (ipv6.length > 0) {
    const address = Address.ipv6(ipv6);
    Line.of('').ipv6(address[0], address[1]).write();
  }
}

export function onPacket(packet: Packet): Verdict {
  if (late) Counter.of('late');
  Line.of('a').hex(packet.length, 8).number(0).number(u64.MAX_VALUE).write();
  return Verdict.Pass;
}
