/**
 * One end of a TCP transfer both ways: `transfer.js ADDRESS BYTES server|client`. The client prints
 * `equal` when what comes back is what it has sent.
 */
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream/promises';

const PORT = 5009;
const ATTEMPTS = 100;
const [address, bytes, role] = process.argv.slice(2);
setTimeout(() => process.exit(3), 50_000).unref();

if (role === 'server') {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    await pipeline(socket, socket).catch(() => undefined);
    server.close();
  });
  server.listen(PORT, address);
} else {
  const socket = await connected();
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  const answered = (async () => {
    for await (const chunk of socket) received.update(chunk);
  })();
  await pipeline(payload(Number(bytes), sent), socket);
  await answered;
  process.stdout.write(sent.digest('hex') === received.digest('hex') ? 'equal\n' : 'different\n');
}

/** Bytes that do not repeat soon. */
async function* payload(count, hash) {
  let random = 1;
  for (let left = count; left > 0; left -= 65536) {
    const chunk = Buffer.alloc(Math.min(left, 65536));
    for (let at = 0; at + 4 <= chunk.length; at += 4) {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      chunk.writeUInt32LE(random, at);
    }
    hash.update(chunk);
    yield chunk;
  }
}

/** The server may not listen yet. */
async function connected() {
  for (let attempt = 0; ; attempt++) {
    try {
      return await new Promise((resolve, reject) => {
        const socket = connect({ port: PORT, host: address, allowHalfOpen: true });
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
