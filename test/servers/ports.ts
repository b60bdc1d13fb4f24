import { createServer } from 'node:net';

/* Below Linux's ephemeral ports (32768..60999): a server that restarts on its port must not find it
   taken by some outgoing connection. */
const PORT_FIRST = 20_000;
const PORT_LAST = 32_000;
const TRIES_MAX = 100;

/** A port of 127.0.0.1 that nothing listens on now; whoever uses it must still expect to lose a race. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const port = PORT_FIRST + Math.floor(Math.random() * (PORT_LAST - PORT_FIRST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port of 127.0.0.1 in ${TRIES_MAX} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
