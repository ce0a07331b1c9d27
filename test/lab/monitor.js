// QEMU's monitor (QMP): commands and their answers, events, one JSON text a line.
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';

const PATIENCE_MS = 60_000;

/** Runs one command; waits for its answer, and for an event where one is named. */
export async function tellMonitor(path, execute, args, event) {
  const socket = createConnection(path);
  const timer = setTimeout(() => socket.destroy(new Error(`no end of ${execute}`)), PATIENCE_MS);
  const send = (request) => socket.write(`${JSON.stringify(request)}\n`);
  let answered = false;
  let happened = event === undefined;
  try {
    send({ execute: 'qmp_capabilities' });
    send({ execute, arguments: args, id: execute });
    for await (const line of createInterface({ input: socket })) {
      const message = JSON.parse(line);
      if (message.error) throw new Error(`${execute}: ${message.error.desc}`);
      // A command for people answers with what is wrong.
      if (typeof message.return === 'string' && message.return) throw new Error(message.return);
      answered ||= message.id === execute;
      happened ||= message.event === event && message.data.device === args.id;
      if (answered && happened) return;
    }
    throw new Error(`${execute}: the monitor is closed`);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
