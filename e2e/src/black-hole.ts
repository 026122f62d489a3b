/**
 * A TCP proxy that can begin to swallow everything without a word, as a machine does that lost its power: neither FIN nor RST
 * follows, so that only pings tell.
 */
import net, { type Socket } from "node:net";

export interface BlackHole {
  readonly address: string;
  /** From now on nothing passes on any connection, new ones included, and none is closed. */
  swallow(): void;
  close(): Promise<void>;
}

export async function openBlackHole(target: string): Promise<BlackHole> {
  const [host = "", port = ""] = target.split(":");
  const sockets = new Set<Socket>();
  let isSwallowing = false;
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on("error", () => undefined);
    from.on("close", () => {
      sockets.delete(from);
      if (!isSwallowing) to.destroy();
    });
    from.on("data", (data: Buffer) => {
      if (!isSwallowing) to.write(data);
    });
  };
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ host, port: Number(port), allowHalfOpen: true });
    pass(near, far);
    pass(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const bound = server.address() as net.AddressInfo;
  return {
    address: `127.0.0.1:${bound.port}`,
    swallow: () => {
      isSwallowing = true;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
