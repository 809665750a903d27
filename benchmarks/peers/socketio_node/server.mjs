// A socket.io server with rooms, as its documentation shows it: `join` and `publish`. The argument is the port.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false, pingInterval: 3_600_000 });

io.on("connection", (socket) => {
  socket.on("join", (rooms, done) => {
    socket.join(rooms);
    done();
  });
  socket.on("publish", (room, body) => io.to(room).emit("message", body));
});
http.listen(Number(process.argv[2]), "127.0.0.1", 4096);
