/**
 * One end of a soak: `soak-peer.js OURS THEIRS server|client SECONDS`. Sends UDP packets of all
 * sizes to the other end and answers nothing; beside them one TCP connection after the other, whose
 * bytes come back and are compared. Prints a line of JSON at the end.
 */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

const UDP_PORT = 5010;
const TCP_PORT = 5011;
/** So many datagrams every so many milliseconds. */
const BURST = 40;
const BURST_MS = 10;
const TCP_BYTES = 1 << 20;
const TCP_PATIENCE_MS = 60_000;
/** The server goes on for so long, so that it ends no connection of the client's. */
const SERVER_LONGER_MS = 5000;

const [ours, theirs, role, seconds] = process.argv.slice(2);
const counts = {
  sent: 0,
  received: 0,
  equal: 0,
  different: 0,
  broken: 0,
  differences: [],
  errors: {},
};
const ends = performance.now() + Number(seconds) * 1000;

const socket = createSocket('udp4');
socket.on('message', () => counts.received++);
// A link or neighbour that is not there yet is no reason to end.
socket.on('error', () => {});
socket.bind(UDP_PORT, ours);
const bytes = Buffer.alloc(1472, 0xa5);
const sending = setInterval(() => {
  for (let packet = 0; packet < BURST; packet++) {
    counts.sent++;
    socket.send(bytes, 0, 18 + ((counts.sent * 97) % 1454), UDP_PORT, theirs);
  }
}, BURST_MS);

/** Sends bytes over a new connection; whether the same come back. */
function transfer() {
  return new Promise((resolve) => {
    const sent = Buffer.alloc(TCP_BYTES, counts.sent & 0xff);
    const received = [];
    const connection = connect({ port: TCP_PORT, host: theirs, allowHalfOpen: true });
    const end = (outcome) => {
      connection.destroy();
      resolve(outcome);
    };
    connection.setTimeout(TCP_PATIENCE_MS, () => end('broken'));
    connection.on('error', (error) => {
      failed(error);
      end('broken');
    });
    connection.on('data', (part) => received.push(part));
    connection.on('end', () => {
      const got = Buffer.concat(received);
      const isEqual = got.equals(sent);
      if (!isEqual) counts.differences.push(difference(sent, got));
      end(isEqual ? 'equal' : 'different');
    });
    connection.end(sent);
  });
}

function failed({ code }) {
  counts.errors[code] = (counts.errors[code] ?? 0) + 1;
}

/** Lengths, and the bytes that are others. */
function difference(sent, got) {
  const at = [...got.keys()].filter((place) => got[place] !== sent[place]);
  const bytes = at.slice(0, 16).map((place) => [place, sent[place], got[place]]);
  return { sent: sent.length, got: got.length, differ: at.length, bytes };
}

async function transfers() {
  while (performance.now() < ends) {
    const outcome = await transfer();
    // Before the first one the other end may not listen yet.
    if (outcome !== 'broken' || counts.equal > 0) counts[outcome]++;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (role === 'server') {
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    connection.on('error', failed);
    connection.pipe(connection);
  });
  server.listen(TCP_PORT, ours);
} else {
  void transfers();
}

setTimeout(() => {
  clearInterval(sending);
  const end = () => process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit(0));
  setTimeout(end, role === 'server' ? SERVER_LONGER_MS : 0);
}, Number(seconds) * 1000);
