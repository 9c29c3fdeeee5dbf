// A site whose event loop can be blocked for ever: GET /block.
require("http").createServer((request, response) => {
  if (request.url === "/block") for (;;);
  response.end("release 0 pid " + process.pid + "\n");
}).listen({ fd: 3 });
