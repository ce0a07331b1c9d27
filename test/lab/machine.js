// One machine of the lab: QEMU without KVM, two NICs behind an emulated IOMMU, and the other ends
// of their wires here, as UDP on loopback: one datagram is one frame.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { tellMonitor } from './monitor.js';
import { hostTool, kernelOf } from './packages.js';

/** QEMU's names. virtio behind an IOMMU must be modern, and be told so. */
export const NICS = {
  e1000: 'e1000',
  e1000e: 'e1000e',
  igb: 'igb',
  virtio: 'virtio-net-pci,disable-legacy=on,iommu_platform=on',
  vmxnet3: 'vmxnet3',
};
const MACHINE = ['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2'];
const BARE = ['-m', '1536', '-nodefaults', '-no-user-config', '-nographic', '-no-reboot'];
const IOMMU = ['-device', 'intel-iommu,intremap=on,caching-mode=on'];
const APPEND = [
  'console=ttyS0 quiet panic=-1 nokaslr random.trust_cpu=on',
  // Time in software is uneven: what the kernel checks it by fails now and then.
  'tsc=reliable no_timer_check',
].join(' ');
/** A kernel in software that is unwell says so. */
const UNWELL = /rcu: INFO: .*stall|soft lockup|blocked for more than|Kernel panic|BUG: .*|Oops.*/;
const ANSWER_MS = 20_000;
/** Of what a machine said, what an error repeats: the last lines that are not EAL's. */
const REPEATED_LINES = 30;
const TRANSLATED = 'intel_iommu=on iommu=nopt lab_driver=vfio-pci';
const PHYSICAL = 'lab_driver=uio_pci_generic';

/** The end of a wire: frames to and from a NIC. */
class Wire {
  #socket;
  #port;
  frames = [];
  onFrame = () => {};

  constructor(socket, port) {
    this.#socket = socket;
    this.#port = port;
    socket.on('message', (bytes) => {
      this.frames.push(bytes);
      this.onFrame(bytes);
    });
    // Nobody listens before QEMU has started and after it has ended.
    socket.on('error', () => {});
  }

  static async open() {
    const [socket, probe] = [await bound(), await bound()];
    const { port } = probe.address();
    await new Promise((done) => probe.close(done));
    return new Wire(socket, port);
  }

  netdev(id) {
    const here = this.#socket.address().port;
    return (
      `dgram,id=${id},local.type=inet,local.host=127.0.0.1,local.port=${this.#port},` +
      `remote.type=inet,remote.host=127.0.0.1,remote.port=${here}`
    );
  }

  send(bytes) {
    this.#socket.send(bytes, this.#port, '127.0.0.1');
  }

  close() {
    this.#socket.close();
  }
}

/** A NIC in its slot and on its wire, as QEMU wants to be told. */
function nicOf(nic, index) {
  return `${NICS[nic]},id=nic${index},netdev=wire${index},bus=slot${index},romfile=`;
}

async function bound() {
  const socket = createSocket('udp4');
  await new Promise((done) => socket.bind(0, '127.0.0.1', done));
  return socket;
}

export class Machine {
  #child;
  #output = '';
  #monitor;
  #lines = [];
  wires;
  /** What its kernel complains of. */
  complaint;
  /** After a failure, if it answers: what the appliance's threads wait for. */
  threads = '';

  /** Boots one with two NICs of this kind, or none; with `uio` it has no IOMMU. */
  static async boot(nic, { folder, packages, image, uio = false, onLine = () => {} }) {
    const machine = new Machine();
    machine.wires = nic === 'tap' ? [] : [await Wire.open(), await Wire.open()];
    const monitor = join(folder, `monitor-${process.pid}.sock`);
    const nics = machine.wires.flatMap((wire, index) => [
      '-netdev',
      wire.netdev(`wire${index}`),
      // A slot of its own for each: what is on the root bus can't be taken out.
      '-device',
      `pcie-root-port,id=slot${index},chassis=${index},addr=1${index}`,
      '-device',
      nicOf(nic, index),
    ]);
    const data = ['usr/share/qemu', 'usr/share/seabios'].flatMap((each) => [
      '-L',
      join(packages.host, each),
    ]);
    const append = `${APPEND} ${uio ? PHYSICAL : TRANSLATED}`;
    const boot = ['-kernel', kernelOf(packages), '-initrd', image, '-append', append];
    const controls = ['-serial', 'stdio', '-qmp', `unix:${monitor},server=on,wait=off`];
    const [command, ...args] = [
      ...hostTool(packages, 'usr/bin/qemu-system-x86_64'),
      ...[...data, ...MACHINE, ...BARE, ...(uio ? [] : IOMMU), ...nics, ...boot, ...controls],
    ];
    machine.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    machine.#monitor = monitor;
    let line = '';
    for (const stream of [machine.#child.stdout, machine.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        machine.#output += text;
        line += text;
        const lines = line.split('\n');
        line = lines.pop() ?? '';
        for (const each of lines) machine.#heard(each.replace('\r', ''), onLine);
      });
    }
    return machine;
  }

  #heard(line, onLine) {
    this.complaint ??= UNWELL.exec(line)?.[0];
    if (!line.startsWith('EAL: ')) this.#lines.push(line.slice(0, 400));
    onLine(line);
  }

  /** Waits for `lab: <word> ...` on the console and returns what follows; each is found once. */
  async said(word, timeoutMs = 120_000) {
    const until = performance.now() + timeoutMs;
    const pattern = new RegExp(`lab: ${word}(?: ([^\\r\\n]*))?\\r?\\n`);
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found) {
        this.#output = this.#output.slice(found.index + found[0].length);
        return found[1] ?? '';
      }
      if (this.#child.exitCode !== null || performance.now() > until) {
        const last = this.#lines.slice(-REPEATED_LINES).join('\n');
        throw new Error(`the machine never said "${word}"; its last lines:\n${last}`);
      }
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** A line to the guest. */
  tell(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /**
   * After a failure: why it is the machine's own and none of the appliance in it, which means that
   * its kernel is unwell, it has crashed, or it does not answer; else nothing.
   */
  async ownFailure() {
    if (this.complaint) return this.complaint;
    if (this.#child.exitCode !== null) {
      const ended = this.#lines.some((line) => line.startsWith('lab: guest ended'));
      return ended ? undefined : `QEMU ended with ${this.#child.exitCode}`;
    }
    try {
      this.tell('ping');
      this.threads = await this.said('pong', ANSWER_MS);
      return undefined;
    } catch {
      return this.complaint ?? 'it does not answer';
    }
  }

  /** Takes the cable of a NIC out, or plugs it in again. */
  setLink(index, up) {
    return tellMonitor(this.#monitor, 'set_link', { name: `nic${index}`, up });
  }

  /** Takes a NIC out of its slot; done when the guest's kernel has let go of it. */
  unplug(index) {
    return tellMonitor(this.#monitor, 'device_del', { id: `nic${index}` }, 'DEVICE_DELETED');
  }

  /** Puts a new NIC of this kind into the same slot, on the same wire, with this MAC address. */
  plug(index, nic, mac) {
    const words = `device_add ${nicOf(nic, index)},mac=${mac}`;
    return tellMonitor(this.#monitor, 'human-monitor-command', { 'command-line': words });
  }

  async off() {
    const ended =
      this.#child.exitCode !== null || new Promise((done) => this.#child.once('close', done));
    this.#child.kill('SIGKILL');
    await ended;
    for (const wire of this.wires) wire.close();
    rmSync(this.#monitor, { force: true });
  }
}
