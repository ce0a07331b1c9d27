/** `node datagram.js ADDRESS`: sends a datagram to port 9, and prints the error that comes back. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

const PATIENCE_MS = 1000;
const address = process.argv[2] ?? '';
const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
const timer = setTimeout(() => end('silence'), PATIENCE_MS);

function end(text) {
  clearTimeout(timer);
  process.stdout.write(`${text}\n`);
  socket.close();
}

socket.once('error', (error) => end(error.code));
socket.once('connect', () => socket.send('anybody?'));
socket.connect(9, address);
