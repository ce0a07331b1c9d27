/** The ends of a soak: processes that send to each other and compare (soak-peer.js). */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Namespace } from './namespace.js';

const PEER = fileURLToPath(new URL('soak-peer.js', import.meta.url));

export interface PeerCounts {
  sent: number;
  received: number;
  equal: number;
  different: number;
  broken: number;
  /** Of transfers whose bytes came back as others: lengths, and where they differ. */
  differences: object[];
  /** Of TCP connections, by code. */
  errors: Record<string, number>;
}

export class Peer {
  readonly counts: Promise<PeerCounts>;
  readonly #child: ChildProcess;

  constructor(
    namespace: Namespace,
    ours: string,
    theirs: string,
    role: 'server' | 'client',
    seconds: number,
  ) {
    const words = [process.execPath, PEER, ours, theirs, role, String(seconds)];
    const [file, args] = namespace.inside(words);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    this.counts = new Promise((resolve, reject) => {
      child.once('close', (status) => {
        if (status === 0) resolve(JSON.parse(text) as PeerCounts);
        else reject(new Error(`a peer ended with ${status}`));
      });
    });
    this.#child = child;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
