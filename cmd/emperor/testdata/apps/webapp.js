// The same site as webapp.py for node: plain http, listening where PORT says.
const http = require('http');
const fs = require('fs');
const path = require('path');
const crypto = require('crypto');

const release = fs.readFileSync(path.join(__dirname, 'RELEASE'), 'utf8').trim();

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://site');
  if (url.pathname === '/echo') {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      response.writeHead(200, { 'Content-Length': body.length });
      response.end(body);
    });
    return;
  }
  if (url.pathname === '/slow') {
    const end = Date.now() + 1000 * Number(url.searchParams.get('s'));
    const tick = () => {
      response.write('.');
      if (Date.now() < end) setTimeout(tick, Math.min(500, end - Date.now()));
      else response.end('done');
    };
    tick();
    return;
  }
  if (url.pathname === '/crash') process.exit(1);
  const body = `release ${release} pid ${process.pid}\n`;
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': body.length });
  response.end(body);
});

server.on('upgrade', (request, socket, head) => {
  const accept = crypto.createHash('sha1')
    .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let rest = head;
  const frames = (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 6) {
      if ((rest[0] & 15) === 8) return socket.end();
      const length = rest[1] & 127;
      if (rest.length < 6 + length) return;
      const text = Buffer.from(rest.subarray(6, 6 + length).map((b, i) => b ^ rest[2 + i % 4]));
      rest = rest.subarray(6 + length);
      socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
    }
  };
  socket.on('data', frames);
  socket.on('error', () => {});
  frames(Buffer.alloc(0));
});

// A program that knows nothing of its supervisor: it takes a port and, asked to
// end, finishes what it has.
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
