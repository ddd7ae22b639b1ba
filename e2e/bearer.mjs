// A proxy that puts an agent key on every request, for clients that know no keys. Host and Origin stay what the client sent.
import { createServer, request } from 'node:http';

/** Starts the proxy in front of a URL; url is the same path on the proxy. */
export async function bearer(target, key) {
  const to = new URL(target);
  const server = createServer((req, res) => {
    const headers = { ...req.headers, authorization: `Bearer ${key}` };
    const up = request({ host: to.hostname, port: to.port, path: req.url, method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      res.flushHeaders();
      answer.pipe(res);
    });
    up.on('error', () => res.destroy());
    res.on('close', () => up.destroy());
    req.pipe(up);
  });
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  return { url: `http://127.0.0.1:${server.address().port}${to.pathname}`, stop: () => new Promise((ok) => { server.close(ok); server.closeAllConnections(); }) };
}
