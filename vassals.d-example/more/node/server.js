"use strict";
const http = require("node:http");

const server = http.createServer((request, response) => {
	response.setHeader("Content-Type", "text/plain; charset=utf-8");
	response.end(`${process.env.GREETING ?? "Hello"}, process ${process.pid}, asked as ${request.headers.host}\n`);
});

// The socket held for us is descriptor 3 if LISTEN_PID says that it is meant
// for this very process; otherwise there is a port number in $PORT.
const handedOver = process.env.LISTEN_PID === String(process.pid) && Number(process.env.LISTEN_FDS) > 0;
server.listen(handedOver ? {fd: 3} : {port: process.env.PORT ?? 3000});

// Finish what is under way, then end: the next generation answers already.
process.on("SIGTERM", () => {
	server.close(() => process.exit(0));
	server.closeIdleConnections();
});
